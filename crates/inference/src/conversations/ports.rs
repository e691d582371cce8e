//! What keeps conversations.

use super::{
    Conversation, ConversationId, Message, MessageId, NewConversation, NewMessage, Owner, SearchQuery, Title,
};
use async_trait::async_trait;
use haithe_kernel::{Failure, Kind, Listed, Page, StoreError, Timestamp};

/// What one wallet may keep, over all organizations and projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Conversations at once.
    pub conversations: u64,
    /// Bytes of messages at once.
    pub bytes: u64,
}

/// Why something was not stored. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// The wallet has as many conversations as its quota allows.
    #[error("this wallet has {most} conversations, which is the most")]
    TooMany {
        /// Conversations allowed.
        most: u64,
    },
    /// The messages do not fit the wallet's quota.
    #[error("the messages of this wallet would take more than {most} bytes")]
    Full {
        /// Bytes allowed.
        most: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for NotStored {
    fn kind(&self) -> Kind {
        match self {
            Self::TooMany { .. } | Self::Full { .. } => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "too_many_conversations",
            Self::Full { .. } => "conversations_full",
            Self::Store(error) => error.code(),
        }
    }
}

/// Which messages of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    /// Only those after this one.
    pub after: Option<MessageId>,
    /// Only those before this one.
    pub before: Option<MessageId>,
    /// Only those that contain all of these words, or words that begin with them.
    pub query: Option<SearchQuery>,
}

/// Conversations and their messages. One method is one atomic operation. A conversation of another
/// owner does not exist. Words are found whatever their case and accents.
///
/// **Guarantees**: global. Quotas hold over all processes, and messages that are appended together stay
/// together.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ConversationStore: Send + Sync {
    /// Begins a conversation within the quota of its wallet.
    async fn create(&self, new: NewConversation, quota: Quota) -> Result<Conversation, NotStored>;
    /// The owner's conversations, the one that changed last first. With a query, those whose title has
    /// all its words, and those with a message that has them all; words that begin with them count.
    async fn list(
        &self,
        owner: Owner,
        query: Option<SearchQuery>,
        page: Page,
    ) -> Result<Listed<Conversation>, StoreError>;
    /// One conversation.
    async fn find(&self, owner: Owner, id: ConversationId) -> Result<Option<Conversation>, StoreError>;
    /// Changes the title; gives the conversation after the change.
    async fn rename(
        &self,
        owner: Owner,
        id: ConversationId,
        title: Title,
        at: Timestamp,
    ) -> Result<Option<Conversation>, StoreError>;
    /// Deletes it with its messages, from searches too; says whether there was one.
    async fn delete(&self, owner: Owner, id: ConversationId) -> Result<bool, StoreError>;
    /// A page of the messages that the cut leaves, oldest first. The page counts from the newest
    /// backwards; with `after`, from the oldest forwards. `None`: no such conversation.
    async fn messages(
        &self,
        owner: Owner,
        id: ConversationId,
        cut: Cut,
        page: Page,
    ) -> Result<Option<Listed<Message>>, StoreError>;
    /// Appends all messages in this order, or none, within the quota of the wallet; the conversation
    /// has changed `at`. `None`: no such conversation.
    async fn append(
        &self,
        owner: Owner,
        id: ConversationId,
        messages: Vec<NewMessage>,
        at: Timestamp,
        quota: Quota,
    ) -> Result<Option<Vec<Message>>, NotStored>;
    /// The newest `most` messages, oldest first: the window of memory. `None`: no such conversation.
    async fn newest(
        &self,
        owner: Owner,
        id: ConversationId,
        most: u32,
    ) -> Result<Option<Vec<Message>>, StoreError>;
    /// At most `most` messages before this one that contain any of the words, best match first: what
    /// memory recalls from beyond the window. `None`: no such conversation.
    async fn recall(
        &self,
        owner: Owner,
        id: ConversationId,
        before: MessageId,
        query: SearchQuery,
        most: u32,
    ) -> Result<Option<Vec<Message>>, StoreError>;
    /// Deletes at most `most` messages that are older than their project keeps them
    /// (`memory_retention_days` before `now`) or whose project is deleted, and the conversations of
    /// deleted projects once they are empty; says how many rows went. 0: nothing is left to delete.
    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError>;
}
