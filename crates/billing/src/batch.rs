//! Batches: many captured calls become one settlement transaction.
//!
//! A batch is a pure function of its items and of what earlier batches carried over, so that the
//! same items always give the same calldata, the same leaves and the same root:
//! [`Batch::build`].
//!
//! Everything around it is decided here, too, by pure functions of what a store has read; a store reads what
//! they ask for and writes what they return, in one transaction:
//!
//! | decision | where |
//! |--|--|
//! | what waits, for whom, and what counts as delay | [`WaitingCall`], [`waiting_charges`], [`SealPolicy::defers`] |
//! | what is offered to the next batch, in which order | [`Gathering`] |
//! | what the batch takes of it | [`Sealer`] |
//! | whether a built batch may still be stored | [`Sealing`] |
//! | how carry changes | [`CarryBook`] |
//! | which payees go to escrow, when escrow is paid out | [`PaymentHistory`], [`due_payouts`] |
//! | whether batches may be dissolved, and what that restores | [`DissolveView`] |

mod build;
mod carry;
mod dissolve;
mod escrow;
mod gas;
mod gather;
mod policy;
mod seal;
mod sealing;
mod waiting;

pub use build::BatchError;
pub use carry::{CarryBook, CarryChange, CarryUpdate, OverdueCarry};
pub use dissolve::{DISSOLVED, Dissolution, DissolveView, DissolvedBatch, SettlementTx};
pub use escrow::{
    EscrowAccount, LineFault, PAYOUT_PAUSE, PaymentHistory, SkippedLine, UNPAYABLE_AFTER, due_payouts,
};
pub use gas::{CreditCounts, GasModel, LineGas};
pub use gather::{GatherRead, Gathered, Gathering};
pub use policy::{SealPolicy, Unsealed, WaitingCharges};
pub use seal::{Pass, Payers, Sealer, Verdict};
pub use sealing::{SealEffects, SealState, Sealing};
pub use waiting::{
    UnsealableCharge, WaitingCall, WaitingGroup, merge_waiting, waiting_charges, was_skipped_before,
};

use crate::{capture::Payee, chain::Hash32};
use haithe_kernel::{CallId, OrgId, Timestamp, TokenUnits, Usdt, WalletAddress};
use std::sync::Arc;

/// A batch's number on chain: batches are numbered from 0 without gaps.
pub type BatchSeq = u64;

/// The number of the next batch after the newest one that there is.
pub const fn next_batch(newest: Option<BatchSeq>) -> BatchSeq {
    match newest {
        Some(newest) => newest.saturating_add(1),
        None => 0,
    }
}

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
    /// When the call was charged. For a call that waits again because its line was skipped: when it was
    /// sealed, because that delay is not settlement's.
    pub due_since: Timestamp,
}

/// What an organization owes a payee from earlier batches because it was too small to be paid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CarryKey {
    pub org: OrgId,
    pub payee: Payee,
}

/// An amount that earlier batches did not pay out: below a base unit, or below the policy's
/// `min_credit`. It can be negative after a line was skipped: a later batch then paid ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carry {
    /// Payer and payee.
    pub key: CarryKey,
    /// How much.
    pub amount: Usdt,
    /// Since when it has been carried.
    pub since: Timestamp,
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
    /// The payee cannot be paid for now: on chain the amount is part of the platform's share, and the
    /// ledger keeps it in the account `escrow/{payee}`.
    pub escrow: bool,
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
    /// The oldest `due_since` of its calls.
    pub since: Timestamp,
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
    pub seq: BatchSeq,
    /// Root over the leaves of all items.
    pub root: Hash32,
    /// One line per organization, sorted by organization.
    pub lines: Vec<BatchLine>,
    /// Paid out of escrow, in a line of the orchestrator's own behind all others. Mostly empty.
    pub payouts: Vec<BatchCredit>,
    /// The items, in the order given. There may be tens of thousands, of which copies are not wanted.
    pub items: Arc<[SealedItem]>,
    /// What is not paid out by this batch, for keys whose carry changes. It holds only if the line is
    /// settled: the items of a skipped line wait again in full, so the change to the carry is undone.
    pub carry: Vec<(CarryKey, Usdt)>,
    /// When it was sealed.
    pub sealed_at: Timestamp,
}

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BatchState {
    Sealed,
    Seen,
    Final,
}

impl BatchState {
    /// The state of a batch that was seen on chain or not, and whose settlement is final or not.
    pub const fn of(is_seen: bool, is_final: bool) -> Self {
        match (is_seen, is_final) {
            (_, true) => Self::Final,
            (true, false) => Self::Seen,
            (false, false) => Self::Sealed,
        }
    }
}

#[cfg(test)]
mod conservation;
#[cfg(test)]
mod tests;
