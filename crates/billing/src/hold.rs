//! Holds: money set aside before the upstream hears of a call.
//!
//! A hold is no posting. It lives as long as the instance that serves the call: in the memory of the one process that
//! owns the ledger, or in a row that is removed when the [lease](crate::lease) of its instance ends.

use crate::ExpenditureScope;
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, Failure, Kind, OrgId, ProjectId, StoreError, Timestamp, Usdt};

/// Whose budget a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetSubject {
    /// An API key.
    ApiKey(ApiKeyId),
    /// A project.
    Project(ProjectId),
}

/// A budget that the call must fit, beside the balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetClaim {
    /// Whose.
    pub subject: BudgetSubject,
    /// At most this much …
    pub limit: Usdt,
    /// … captured or held since then.
    pub since: Timestamp,
}

/// What to set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRequest {
    /// For this call.
    pub call: CallId,
    /// From this organization.
    pub org: OrgId,
    /// The most the call can cost.
    pub most: Usdt,
    /// The least that lets it run at all: fixed prices, its input, and one output token.
    /// The ledger grants as much of `most` as there is, if that is at least this.
    pub least: Usdt,
    /// Budgets it must fit too.
    pub budgets: Vec<BudgetClaim>,
    /// Whose figures the caller may be told.
    pub expenditure: ExpenditureScope,
}

/// Why nothing was set aside.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The balance does not cover the least the call can cost.
    #[error(
        "this organization's balance of {spendable} USDT does not cover this call, which needs at least {least} USDT; deposit USDT to its contract"
    )]
    Funds {
        /// What could be spent.
        spendable: Usdt,
        /// What the call needs at least.
        least: Usdt,
    },
    /// As [`HoldError::Funds`], for a caller who may not read the organization's balance.
    #[error(
        "this organization's balance does not cover this call, which needs at least {least} USDT; ask its owner or an admin to deposit USDT"
    )]
    FundsConcealed {
        /// What the call needs at least.
        least: Usdt,
    },
    /// The organization's on-chain daily cap.
    #[error(
        "this organization's daily cap leaves {left} USDT today, less than this call needs; raise the cap or try again tomorrow"
    )]
    DailyCap {
        /// What the cap leaves.
        left: Usdt,
    },
    /// As [`HoldError::DailyCap`], for a caller who may not read the organization's money.
    #[error(
        "this organization's daily cap leaves less than this call needs; ask its owner to raise the cap or try again tomorrow"
    )]
    DailyCapConcealed,
    /// A key's or project's budget.
    #[error("the budget of this {} leaves {left} USDT, less than this call needs", match .subject { BudgetSubject::ApiKey(_) => "API key", BudgetSubject::Project(_) => "project" })]
    Budget {
        /// Whose.
        subject: BudgetSubject,
        /// What it leaves.
        left: Usdt,
    },
    /// Its charges could not be settled three times in a row.
    #[error(
        "this organization is suspended because its charges could not be settled on chain; check its balance and daily cap"
    )]
    Suspended,
    /// Settlement lags too far behind to admit new charges.
    #[error("settlement on chain is delayed; new calls are paused until it catches up")]
    SettlementDelayed,
    /// The ledger failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HoldError {
    /// The refusal without figures of the organization that `scope` does not show.
    #[must_use]
    pub fn told_to(self, scope: ExpenditureScope) -> Self {
        match self {
            refusal if scope.shows_organization() => refusal,
            Self::Funds { least, .. } => Self::FundsConcealed { least },
            Self::DailyCap { .. } => Self::DailyCapConcealed,
            refusal => refusal,
        }
    }
}

impl Failure for HoldError {
    fn kind(&self) -> Kind {
        match self {
            Self::Funds { .. }
            | Self::FundsConcealed { .. }
            | Self::DailyCap { .. }
            | Self::DailyCapConcealed
            | Self::Budget { .. }
            | Self::Suspended => Kind::PaymentRequired,
            Self::SettlementDelayed => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Funds { .. } | Self::FundsConcealed { .. } => "insufficient_quota",
            Self::DailyCap { .. } | Self::DailyCapConcealed => "daily_cap_reached",
            Self::Budget { .. } => "budget_exceeded",
            Self::Suspended => "organization_suspended",
            Self::SettlementDelayed => "settlement_delayed",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::SettlementDelayed => Some(30),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_organizations_figures_only_to_those_who_may_read_them() {
        let funds = || HoldError::Funds {
            spendable: Usdt::whole(77),
            least: Usdt::whole(1),
        };
        let cap = || HoldError::DailyCap {
            left: Usdt::whole(77),
        };
        for scope in [ExpenditureScope::Project, ExpenditureScope::ApiKey] {
            for (refusal, told) in [(funds(), funds().told_to(scope)), (cap(), cap().told_to(scope))] {
                assert!(!told.to_string().contains("77"), "{told}");
                assert_eq!((told.code(), told.kind()), (refusal.code(), refusal.kind()));
            }
        }
        let told = funds().told_to(ExpenditureScope::Organization).to_string();
        assert!(told.contains("77 USDT"), "{told}");
    }
}
