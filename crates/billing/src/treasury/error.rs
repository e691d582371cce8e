//! What can be wrong with a wish to move an organization's money.

use haithe_kernel::{Failure, Kind, StoreError, Timestamp, Usdt};
use haithe_orgs::OrgError;

/// Why there is nothing to sign.
#[derive(Debug, thiserror::Error)]
pub enum TreasuryError {
    /// Nothing cannot be withdrawn.
    #[error("a withdrawal is of more than nothing")]
    Nothing,
    /// The zero address, or the organization's own contract.
    #[error("name a payee other than the organization's own contract and the zero address")]
    Payee,
    /// Calls and earlier requests come first.
    #[error("{available} USDT can be withdrawn; ask for no more, or deposit first")]
    NotThere {
        /// What there is beside unsettled charges and what is withdrawn already.
        available: Usdt,
    },
    /// The contract takes one at a time.
    #[error("a withdrawal is announced already; execute or cancel it first")]
    Open,
    /// None is announced.
    #[error("no withdrawal is announced")]
    NotOpen,
    /// Its delay runs.
    #[error("the withdrawal can be executed from {from} on")]
    TooEarly {
        /// From when.
        from: Timestamp,
    },
    /// The contracts are paused.
    #[error("the contracts are paused; nothing can be withdrawn until the pause ends")]
    Paused,
    /// The rule table, or the directory.
    #[error(transparent)]
    Org(#[from] OrgError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for TreasuryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Nothing | Self::Payee => Kind::Invalid,
            Self::NotThere { .. } | Self::Open | Self::NotOpen | Self::TooEarly { .. } | Self::Paused => {
                Kind::Conflict
            }
            Self::Org(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Nothing => "invalid_amount",
            Self::Payee => "invalid_payee",
            Self::NotThere { .. } => "insufficient_balance",
            Self::Open => "withdrawal_open",
            Self::NotOpen => "no_withdrawal",
            Self::TooEarly { .. } => "withdrawal_too_early",
            Self::Paused => "contracts_paused",
            Self::Org(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Org(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}
