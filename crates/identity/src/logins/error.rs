//! Why a login failed.

use crate::{ports::WalletCheckError, siwe::Mismatch, token::TokenError};
use haithe_kernel::{Failure, Kind, StoreError};
use std::fmt;

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No live challenge fits the signature: it is wrong, expired, used, or another wallet's. The error text
    /// names the reason only where the signed text itself shows it; the log always has it.
    #[error("{}", .0.explanation())]
    Refused(Refusal),
    /// A smart wallet's signature could not be checked.
    #[error(transparent)]
    Wallet(#[from] WalletCheckError),
    /// A token could not be signed.
    #[error("the session could not be opened")]
    Token(#[from] TokenError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was wrong with a refused login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no live challenge of this address, or none with this nonce.
    NoChallenge,
    /// The client's own text does not answer the challenge.
    Message(Mismatch),
    /// The wallet did not sign it.
    Signature,
    /// Another login used the challenge up in the meantime.
    Used,
}

impl Refusal {
    /// The text for the client. It tells nothing about the stored challenges that the client's own text does
    /// not show.
    fn explanation(self) -> String {
        let shown = match self {
            Self::Message(mismatch) => mismatch.explanation(),
            Self::NoChallenge | Self::Signature | Self::Used => None,
        };
        shown.unwrap_or_else(|| GENERIC.to_owned())
    }
}

/// For every refusal whose reason the client's own text does not show.
const GENERIC: &str = "the signature matches no live challenge of this address; request a new nonce and sign it exactly as given";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChallenge => f.write_str("no live challenge"),
            Self::Message(mismatch) => write!(f, "the message does not answer the challenge: {mismatch}"),
            Self::Signature => f.write_str("the wallet did not sign it"),
            Self::Used => f.write_str("the challenge was used up meanwhile"),
        }
    }
}

impl From<Refusal> for LoginError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Failure for LoginError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) => Kind::Unauthenticated,
            Self::Wallet(error) => error.kind(),
            Self::Token(_) => Kind::Internal,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "login_refused",
            Self::Wallet(error) => error.code(),
            Self::Token(_) => "internal",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Wallet(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            Self::Refused(_) | Self::Token(_) => None,
        }
    }
}
