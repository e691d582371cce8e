//! Conversations and messages, and what they may contain.

use super::ConversationError;
use haithe_kernel::{OrgId, ProjectId, Timestamp, WalletAddress};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Whose conversations: a wallet's, in one project, on one organization's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The wallet.
    pub wallet: WalletAddress,
    /// The organization that pays. Another one may pay for the same public project: other conversations.
    pub org: OrgId,
    /// The project that is spoken to.
    pub project: ProjectId,
}

/// A conversation's number in the database; REST paths carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConversationId(pub i64);

/// A message's number in the database. A later message has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub i64);

/// What a conversation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Longest title, in characters.
    pub const MOST_CHARS: usize = 200;

    /// `New Conversation xxxxxxxx`, until somebody finds a better one.
    pub fn of_new(chance: [u8; 16]) -> Self {
        let [a, b, c, d, ..] = chance;
        Self(format!("New Conversation {a:02x}{b:02x}{c:02x}{d:02x}"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Title {
    type Err = ConversationError;

    /// Trims it.
    fn from_str(text: &str) -> Result<Self, ConversationError> {
        let title = text.trim();
        let too_long = title.chars().count() > Self::MOST_CHARS;
        if title.is_empty() || too_long || title.chars().any(char::is_control) {
            return Err(ConversationError::Title);
        }
        Ok(Self(title.to_owned()))
    }
}

/// What was said, exactly.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// Longest message, in bytes of UTF-8: more than the longest answer of any model in the catalogue.
    pub const MOST_BYTES: usize = 262_144;

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for MessageText {
    type Error = ConversationError;

    fn try_from(text: String) -> Result<Self, ConversationError> {
        if text.len() > Self::MOST_BYTES {
            return Err(ConversationError::MessageTooLarge);
        }
        if text.trim().is_empty() || text.contains('\0') {
            return Err(ConversationError::EmptyMessage);
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for MessageText {
    /// Without the text: what people say is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageText({} bytes)", self.0.len())
    }
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The wallet.
    User,
    /// The model.
    Ai,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its number.
    pub id: ConversationId,
    /// What it is called.
    pub title: Title,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last changed: its title, or a message more.
    pub updated_at: Timestamp,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// Who said it.
    pub sender: Sender,
    /// What was said.
    pub text: MessageText,
    /// When.
    pub created_at: Timestamp,
}

/// A conversation to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConversation {
    /// Whose.
    pub owner: Owner,
    /// What it is called.
    pub title: Title,
    /// When.
    pub at: Timestamp,
}

/// A message to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Who says it.
    pub sender: Sender,
    /// What is said.
    pub text: MessageText,
}
