//! Rules about conversations that can be broken.

use super::{MessageText, NotStored, SearchQuery, Title};
use haithe_kernel::{Failure, Kind, StoreError};

/// A broken rule, fit for a stranger.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// Missing, or somebody else's: both answer alike.
    #[error("no such conversation")]
    NotFound,
    /// A title that cannot be shown.
    #[error("a title has 1 to {} characters and no control characters", Title::MOST_CHARS)]
    Title,
    /// A message without content.
    #[error("a message is not empty and contains no NUL character")]
    EmptyMessage,
    /// A message beyond all bounds.
    #[error("a message has at most {} bytes", MessageText::MOST_BYTES)]
    MessageTooLarge,
    /// A search that is a text.
    #[error("a search has at most {} characters", SearchQuery::MOST_CHARS)]
    Search,
    /// The wallet has as many conversations as it may.
    #[error("this wallet has {most} conversations, which is the most; delete some first")]
    TooMany {
        /// Conversations allowed.
        most: u64,
    },
    /// The wallet's messages take as much room as they may.
    #[error("the messages of this wallet would take more than {most} bytes; delete some first")]
    Full {
        /// Bytes allowed.
        most: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotStored> for ConversationError {
    fn from(error: NotStored) -> Self {
        match error {
            NotStored::TooMany { most } => Self::TooMany { most },
            NotStored::Full { most } => Self::Full { most },
            NotStored::Store(error) => Self::Store(error),
        }
    }
}

impl Failure for ConversationError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Title | Self::EmptyMessage | Self::Search => Kind::Invalid,
            Self::MessageTooLarge => Kind::TooLarge,
            Self::TooMany { .. } | Self::Full { .. } => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Title => "invalid_title",
            Self::EmptyMessage => "empty_message",
            Self::Search => "search_too_long",
            Self::MessageTooLarge => "message_too_large",
            Self::TooMany { .. } => "too_many_conversations",
            Self::Full { .. } => "conversations_full",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}
