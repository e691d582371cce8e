//! Why a key was not made or changed.

use crate::{ports::CreateKeyError, signature::SignatureError};
use haithe_kernel::{Failure, Kind, StoreError};

/// Why a key was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name is empty, too long, or has control characters.
    #[error("a key's name has 1 to 64 characters and no control characters")]
    Name,
    /// The expiry is not in the future.
    #[error("a key must expire in the future")]
    Expiry,
    /// A scope that opens nothing.
    #[error("a scope's list names at least one thing; leave it out to allow all")]
    EmptyScope,
    /// A rate of zero.
    #[error("a rate per minute is 1 or more; leave it out for none")]
    Rate,
    /// A change of nothing.
    #[error(
        "nothing to change: give `name`, `expires_at`, `budget`, `requests_per_minute` or `tokens_per_minute`"
    )]
    NoChange,
    /// Missing, or another wallet's: both answer alike.
    #[error("no such API key")]
    NotFound,
    /// Revoked or expired.
    #[error("this API key was revoked or has expired; create a new one")]
    NotLive,
    /// Signing failed.
    #[error("the key could not be signed")]
    Signing(#[from] SignatureError),
    /// The wallet has a live default key, or the store failed.
    #[error(transparent)]
    Create(#[from] CreateKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for KeyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Name | Self::Expiry | Self::EmptyScope | Self::Rate | Self::NoChange => Kind::Invalid,
            Self::NotFound => Kind::NotFound,
            Self::NotLive => Kind::Conflict,
            Self::Signing(_) => Kind::Internal,
            Self::Create(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Name => "invalid_key_name",
            Self::Expiry => "invalid_expiry",
            Self::EmptyScope => "invalid_key_scope",
            Self::Rate => "invalid_rate",
            Self::NoChange => "nothing_to_change",
            Self::NotFound => "not_found",
            Self::NotLive => "api_key_not_live",
            Self::Signing(_) => "internal",
            Self::Create(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}
