//! Batches: many captured calls become one settlement transaction.
//!
//! A batch is a pure function of its items and of what earlier batches carried over, so that the
//! same items always give the same calldata, the same leaves and the same root:
//! [`Batch::build`].

mod build;

pub use build::BatchError;

use crate::{capture::Payee, chain::Hash32};
use haithe_kernel::{CallId, Decimals, OrgId, Timestamp, TokenUnits, Usdt, WalletAddress};
use std::sync::Arc;

/// A captured call, as settlement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchItem {
    /// The call.
    pub call: CallId,
    /// The payer and its contract.
    pub org: OrgId,
    /// The payer's contract.
    pub org_address: WalletAddress,
    /// What was charged, by payee; sums to the receipt's amount.
    pub credits: Vec<(Payee, Usdt)>,
    /// SHA-256 of the receipt's canonical JSON.
    pub receipt_hash: Hash32,
}

/// What an organization owes a payee from earlier batches because it was below a base unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CarryKey {
    pub org: OrgId,
    pub payee: Payee,
}

/// A credit of a line: who gets how many base units, and what that is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BatchCredit {
    pub payee: Payee,
    /// The payee's address on chain; unused for the platform.
    pub address: WalletAddress,
    pub units: TokenUnits,
    /// Exactly `units`, in nano-USDT.
    pub amount: Usdt,
}

/// One organization's part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchLine {
    /// The payer.
    pub org: OrgId,
    /// Its contract.
    pub address: WalletAddress,
    /// Payees, sorted, without zero amounts. A line may have none (free calls, or less than a base
    /// unit so far): it moves nothing and is there so that its receipts can be proven.
    pub credits: Vec<BatchCredit>,
}

/// Where an item ended up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedItem {
    /// The call.
    pub call: CallId,
    /// Its organization's line.
    pub line: u32,
    /// Its leaf in the batch's tree.
    pub leaf: Hash32,
}

/// A sealed batch: what `settleBatch` is called with, and what every receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number; must equal the contract's `nextBatch`.
    pub seq: u64,
    /// Root over the leaves of all items.
    pub root: Hash32,
    /// One line per organization, sorted by organization.
    pub lines: Vec<BatchLine>,
    /// The items, in the order given. There may be tens of thousands, of which copies are not wanted.
    pub items: Arc<[SealedItem]>,
    /// What stays below a base unit, for the next batch; replaces the carry of the same keys. It
    /// holds only if the line is settled: the items of a skipped line wait again in full, so its
    /// organization's carry goes back to what the batch was built from.
    pub carry: Vec<(CarryKey, Usdt)>,
    /// When it was sealed.
    pub sealed_at: Timestamp,
}

/// When unsettled calls become a batch, and how large it may be. The counts are bounds that
/// [`Batch::build`] enforces; the sum and the age only say when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPolicy {
    /// At this many calls, …
    pub max_items: u32,
    /// … or at this sum, …
    pub max_amount: Usdt,
    /// … or when the oldest is this old.
    pub max_age: std::time::Duration,
    /// At most this many organizations in one batch (gas).
    pub max_lines: u32,
    /// At most this many payees in one line (gas).
    pub max_credits_per_line: u32,
    /// The payment token's decimals.
    pub decimals: Decimals,
}

/// Unsettled calls outside any open batch, for deciding whether to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unsealed {
    /// Calls that wait for their first batch.
    pub items: u64,
    /// What they were charged in all.
    pub amount: Usdt,
    /// When the oldest of them was captured.
    pub oldest: Option<Timestamp>,
    /// Calls that wait again because their line was skipped. They go along with any batch, but one
    /// organization that cannot pay neither hastens batches nor counts as a delay of settlement.
    pub skipped: u64,
}

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BatchState {
    Sealed,
    Seen,
    Final,
}

#[cfg(test)]
mod tests;
