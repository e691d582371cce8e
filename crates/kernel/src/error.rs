//! One list of failure kinds, so that every dialect can translate all of them.

use std::error::Error;

/// What went wrong, without any transport. `server` owns the one table from kind to HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The input breaks a rule that the caller can fix.
    Invalid,
    /// Who is calling could not be established.
    Unauthenticated,
    /// The balance, a budget or a cap does not cover the call.
    PaymentRequired,
    /// The caller is known and may not do this.
    Forbidden,
    /// The thing does not exist, or the caller may not know that it does.
    NotFound,
    /// The current state refuses the change.
    Conflict,
    /// The input is larger than allowed.
    TooLarge,
    /// Well-formed, but cannot be carried out as asked.
    Unprocessable,
    /// Too many requests or tokens.
    RateLimited,
    /// A model provider failed.
    Upstream,
    /// A model provider did not answer in time.
    UpstreamTimeout,
    /// A part of the service cannot be reached now; trying again later may help.
    Unavailable,
    /// A defect of ours.
    Internal,
}

/// An error that knows its kind, a stable machine-readable code, and a text fit for strangers.
///
/// `Display` is shown to callers and must leak nothing; the cause stays in `source()` for the log.
pub trait Failure: Error + Send + Sync + 'static {
    /// The kind, from which each dialect derives its status.
    fn kind(&self) -> Kind;
    /// A stable code such as `insufficient_quota`. A published code keeps its meaning.
    fn code(&self) -> &'static str;
    /// Seconds after which the same request may succeed, where that is known.
    fn retry_after(&self) -> Option<u64> {
        None
    }
    /// Facts for programs beside the message, by name: prices, limits, a field at fault. Amounts are exact
    /// decimal texts.
    fn details(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The question could not be answered: a store or another adapter failed.
///
/// The library's own error is kept as the source for the log and is never shown to callers.
#[derive(Debug, thiserror::Error)]
#[error("the service cannot reach its storage; try again shortly")]
pub struct StoreError {
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    /// Wraps the adapter's error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }

    /// A row that breaks an invariant: `place` is `table.column`.
    pub fn inconsistent(place: &'static str) -> Self {
        Self::new(format!("inconsistent data in {place}"))
    }
}

impl Failure for StoreError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }
    fn code(&self) -> &'static str {
        "storage_unavailable"
    }
    fn retry_after(&self) -> Option<u64> {
        Some(1)
    }
}
