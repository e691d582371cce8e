//! When charges become a batch, and the bounds of a batch.

use super::GasModel;
use haithe_kernel::{Decimals, OrgId, Timestamp, Usdt};
use std::time::Duration;

/// When unsettled calls become a batch, and how large it may be. The counts and the gas are bounds
/// that [`Batch::build`](super::Batch::build) enforces; the sum and the age only say when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPolicy {
    /// At this many calls, …
    pub max_items: u32,
    /// … or at this sum, …
    pub max_amount: Usdt,
    /// … or when the oldest is this old.
    pub max_age: Duration,
    /// At most this many organizations in one batch.
    pub max_lines: u32,
    /// At most this many payees in one line.
    pub max_credits_per_line: u32,
    /// At most this many batches that are not final.
    pub max_open: u32,
    /// The gas bound of a batch.
    pub batch_gas: u64,
    /// What the parts of a batch cost.
    pub gas: GasModel,
    /// A credit below this waits for more of its kind (same payer and payee), …
    pub min_credit: Usdt,
    /// … but no longer than this.
    pub max_deferral: Duration,
    /// The payment token's decimals.
    pub decimals: Decimals,
}

impl SealPolicy {
    /// The default bounds, under which no credit waits for more of its kind.
    pub const fn new(decimals: Decimals) -> Self {
        Self {
            max_items: 50_000,
            max_amount: Usdt::whole(100),
            max_age: Duration::from_secs(60),
            max_lines: 100,
            max_credits_per_line: 50,
            max_open: 4,
            batch_gas: 8_000_000,
            gas: GasModel::MEASURED,
            min_credit: Usdt::ZERO,
            max_deferral: Duration::from_secs(7 * 86_400),
            decimals,
        }
    }

    /// Whether a credit of `nano` is paid out now. `since` is when the carried part of it began to
    /// wait; an organization that withdraws pays everything at once.
    pub(super) fn is_due(
        &self,
        nano: i128,
        since: Option<Timestamp>,
        withdrawing: bool,
        now: Timestamp,
    ) -> bool {
        let unit = 10i128.pow(9u32.saturating_sub(self.decimals.digits()));
        if nano < unit {
            return false;
        }
        withdrawing
            || nano >= i128::from(self.min_credit.nano())
            || since.is_some_and(|since| now.since(since) >= self.max_deferral)
    }

    /// Whether all waiting charges of an organization are too small for a line of their own. They
    /// wait for more, without counting as a delay of settlement.
    pub fn defers(&self, waiting: &WaitingCharges, now: Timestamp) -> bool {
        waiting.amount < self.min_credit
            && !waiting.withdrawing
            && waiting.skipped == 0
            && waiting
                .oldest
                .is_none_or(|oldest| now.since(oldest) < self.max_deferral)
    }

    /// The same policy for smaller batches: gas and calls are halved `times` over, but a line with one
    /// credit always fits.
    #[must_use]
    pub fn shrunk(self, times: u32) -> Self {
        let least = self.gas.alone(super::CreditCounts {
            creators: 0,
            organizations: 1,
        });
        Self {
            batch_gas: (self.batch_gas >> times.min(63)).max(least).min(self.batch_gas),
            max_items: (self.max_items >> times.min(31)).max(1),
            max_lines: (self.max_lines >> times.min(31)).max(1),
            ..self
        }
    }
}

/// Charges of one organization that wait for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCharges {
    /// The payer.
    pub org: OrgId,
    /// Calls that wait for their first batch.
    pub items: u64,
    /// What they were charged.
    pub amount: Usdt,
    /// When the oldest of them was charged.
    pub oldest: Option<Timestamp>,
    /// Calls that wait again because their line was skipped. They go along with any batch, but one
    /// organization that cannot pay neither hastens batches nor counts as a delay of settlement.
    pub skipped: u64,
    /// The organization withdraws: all of its charges are settled before that, however small.
    pub withdrawing: bool,
}

/// Everything that waits for a batch and can be sealed. Charges that no batch can contain are not
/// part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsealed {
    /// By organization, in order of their numbers.
    pub orgs: Vec<WaitingCharges>,
    /// Carried credits that wait no longer (they are a week old, or their payer withdraws), and escrow
    /// that can be paid out.
    pub overdue: u64,
}

impl Unsealed {
    /// Calls that wait for their first batch, over all organizations.
    pub fn items(&self) -> u64 {
        self.orgs.iter().map(|waiting| waiting.items).sum()
    }

    /// What they were charged, over all organizations.
    pub fn amount(&self) -> Usdt {
        let amounts = self.orgs.iter().map(|waiting| waiting.amount);
        Usdt::checked_sum(amounts).unwrap_or(Usdt::MAX)
    }

    /// Calls of skipped lines, over all organizations.
    pub fn skipped(&self) -> u64 {
        self.orgs.iter().map(|waiting| waiting.skipped).sum()
    }

    /// When the oldest call that waits for its first batch was charged.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.orgs.iter().filter_map(|waiting| waiting.oldest).min()
    }

    /// Without the organizations whose charges are too small to be settled now.
    #[must_use]
    pub fn without_deferred(mut self, policy: &SealPolicy, now: Timestamp) -> Self {
        self.orgs.retain(|waiting| !policy.defers(waiting, now));
        self
    }
}
