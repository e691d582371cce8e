//! Why the chain gave no answer.

use haithe_kernel::{Failure, Kind};

/// Why the chain gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The node refuses so many blocks or logs at once: ask for fewer.
    #[error("the node refuses a range this large")]
    RangeTooLarge,
    /// The node cannot be reached, or answered nonsense.
    #[error("the chain cannot be reached; try again shortly")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The contract refuses the call; the text is its decoded custom error.
    #[error("the contract refused: {0}")]
    Refused(String),
}

impl ChainError {
    /// Wraps the adapter's error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

impl Failure for ChainError {
    fn kind(&self) -> Kind {
        match self {
            Self::RangeTooLarge | Self::Unavailable(_) => Kind::Unavailable,
            Self::Refused(_) => Kind::Conflict,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::RangeTooLarge | Self::Unavailable(_) => "chain_unavailable",
            Self::Refused(_) => "contract_refused",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Unavailable(_)).then_some(5)
    }
}
