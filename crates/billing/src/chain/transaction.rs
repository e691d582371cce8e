//! One write transaction of the index, as the rules see it: small views of what is stored, and effects.

use super::{
    BookedEnd, ChainAmount, ChainEvent, Effect, Hash32, LogId, PayoutAddresses, ProductPrices, SeenEnd,
    SkipReason,
};
use crate::{batch::BatchCredit, outbox::TxPurpose};
use async_trait::async_trait;
use haithe_kernel::{OrgId, ProductId, StoreError, Timestamp, TokenUnits, Usdt, WalletAddress};
use haithe_orgs::roles::RoleDecision;

/// What the index belongs to, and how far facts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexBinding {
    /// The chain.
    pub chain_id: u64,
    /// The orchestrator's contract.
    pub orchestrator: WalletAddress,
    /// Facts at or below this block count as confirmed; `None` before the first step.
    pub confirmed: Option<u64>,
    /// Facts at or below this block count as final; `None` before the first step.
    pub last_final: Option<u64>,
}

/// Which stored events are read, in the order of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFilter {
    /// `Paused` and `Unpaused` up to a block.
    Pauses {
        /// The last block.
        to: u64,
    },
    /// Transfers to an organization's address, and what its creation found there.
    Inward {
        /// The address.
        address: WalletAddress,
    },
    /// What creators and the platform withdrew in (`after`, `to`].
    Payouts {
        /// The last block that is left out; `None` for none.
        after: Option<u64>,
        /// The last block.
        to: u64,
    },
    /// Everything about an organization, product or creator but transfers.
    About {
        /// Its address.
        subject: WalletAddress,
    },
    /// Events that have a subject, above a block.
    Above {
        /// The last block that is left out.
        block: u64,
    },
}

/// Something at an address on the indexed chain, and the transaction that created it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located<Id> {
    /// Its number.
    pub id: Id,
    /// The transaction.
    pub created_tx: Hash32,
}

/// An organization's balances in nano-USDT, as stored: captures on their way to disk are not part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrgBalances {
    /// `chain/{org}`: what the contract holds, as a negative number.
    pub chain: Usdt,
    /// `org/{id}/available`.
    pub available: Usdt,
    /// `org/{id}/unsettled`.
    pub unsettled: Usdt,
    /// `org/{id}/withdrawing`.
    pub withdrawing: Usdt,
    /// Base units below a nano that the ledger keeps beside them.
    pub dust: i64,
}

/// What is known about skipped lines of a payer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SkipState {
    /// Why the payer's newest final line was skipped; `None` when it was settled or there is none.
    pub newest: Option<SkipReason>,
    /// The number after the newest final batch of all; 0 when there is none.
    pub next_final: u64,
}

/// What is known about a wallet's role in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoleState {
    /// The newest decision made here.
    pub decision: Option<RoleDecision>,
    /// For a member: whether an event on chain set the role that it has.
    pub member_from_chain: Option<bool>,
    /// What our outbox sent the transaction for; `None` when it is not ours.
    pub sent_for: Option<TxPurpose>,
    /// [`Effect::KeepOverruled`] was written for the transaction and the wallet.
    pub overruled: bool,
}

/// A deposit that is not booked and can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingDeposit {
    /// The deposit.
    pub event: LogId,
    /// The block of its log.
    pub seen_block: u64,
    /// The time of that block.
    pub seen_at: Timestamp,
    /// Whose.
    pub org: OrgId,
    /// The block from which it counts.
    pub block: u64,
    /// In nano-USDT.
    pub amount: Usdt,
    /// Base units below a nano.
    pub dust: i64,
}

/// A deposit that counts from a block that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedDeposit {
    /// The deposit.
    pub event: LogId,
    /// Whose.
    pub org: OrgId,
    /// Base units below a nano.
    pub dust: i64,
    /// Whether it is booked.
    pub confirmed: bool,
}

/// A request to withdraw, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRequest {
    /// The log of the request.
    pub event: LogId,
    /// Whose money.
    pub org: OrgId,
    /// The block of the request.
    pub block: u64,
    /// The time of that block.
    pub requested_at: Timestamp,
    /// What is frozen for it.
    pub frozen: Usdt,
    /// Active time from which it can be executed.
    pub ready_at: Timestamp,
    /// How the chain ended it, and in which block.
    pub end: Option<(SeenEnd, u64)>,
    /// How its end was booked, and as of which block.
    pub booked: Option<(BookedEnd, u64)>,
    /// What booking it added to the organization's dust.
    pub dust_change: i64,
}

/// A line of a batch, as it was sealed and as the chain treated it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// Its number.
    pub line: u32,
    /// The payer.
    pub org: OrgId,
    /// The payer's contract.
    pub address: WalletAddress,
    /// Why it was skipped, if it was.
    pub skipped: Option<SkipReason>,
    /// Its credits, in order.
    pub credits: Vec<BatchCredit>,
}

/// What a skipped line is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineSite {
    /// The line of this number.
    pub line: Option<StoredLine>,
    /// How many lines the batch has, without the one that pays escrow out; 0 when there is no such batch.
    pub lines: u64,
    /// Whether the batch pays escrow out.
    pub has_payouts: bool,
}

/// A batch, as it was sealed and as the chain treated it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its number.
    pub seq: u64,
    /// Root over the leaves of its calls.
    pub root: Hash32,
    /// Block and time at which it was settled.
    pub settled: Option<(u64, Timestamp)>,
    /// That is final, and booked.
    pub is_final: bool,
    /// The line that pays escrow out was skipped.
    pub payouts_skipped: bool,
    /// Its lines, in order.
    pub lines: Vec<StoredLine>,
    /// What it pays out of escrow, in order.
    pub payouts: Vec<BatchCredit>,
}

/// One write transaction of the index. [`apply`](super::apply()) and [`rewind`](super::rewind()) read the views that
/// the rules ask for and write the effects that the rules return, in one transaction that is rolled back when any
/// of it fails.
///
/// Every read sees what was written before in the same transaction. An implementation stores and decides nothing.
#[async_trait]
pub trait IndexTransaction: Send {
    /// What the index belongs to. An error when it is not bound to a chain.
    async fn binding(&mut self) -> Result<IndexBinding, StoreError>;
    /// The time of the newest remembered block at or below `block`.
    async fn time_at(&mut self, block: u64) -> Result<Option<Timestamp>, StoreError>;
    /// Stores an event; returns `false` when its [`LogId`] is stored already, which changes nothing.
    async fn store_event(&mut self, event: &ChainEvent) -> Result<bool, StoreError>;
    /// Stored events, in the order of the chain.
    async fn events(&mut self, filter: EventFilter) -> Result<Vec<ChainEvent>, StoreError>;
    /// Whether the transaction has a stored `BatchSettled`.
    async fn settles_a_batch(&mut self, tx: Hash32) -> Result<bool, StoreError>;
    /// Whether an organization was created at the address after this position of the chain.
    async fn is_created_after(
        &mut self,
        address: WalletAddress,
        position: (u64, u64),
    ) -> Result<bool, StoreError>;

    /// The organization at the address, on the indexed chain.
    async fn organization_at(&mut self, address: WalletAddress)
    -> Result<Option<Located<OrgId>>, StoreError>;
    /// An organization's balances.
    async fn balances(&mut self, org: OrgId) -> Result<OrgBalances, StoreError>;
    /// What is known about a payer's skipped lines.
    async fn skips(&mut self, org: OrgId) -> Result<SkipState, StoreError>;
    /// What is known about a wallet's role, and about a transaction that changes it.
    async fn role(&mut self, org: OrgId, wallet: WalletAddress, tx: Hash32) -> Result<RoleState, StoreError>;

    /// The product at the address, on the indexed chain.
    async fn product_at(&mut self, address: WalletAddress) -> Result<Option<Located<ProductId>>, StoreError>;
    /// Products on the indexed chain whose next price is due at `now`.
    async fn prices_due(&mut self, now: Timestamp) -> Result<Vec<(ProductId, ProductPrices)>, StoreError>;
    /// Addresses of products on the indexed chain whose announced price came into force after `time`.
    async fn raised_after(&mut self, time: Timestamp) -> Result<Vec<WalletAddress>, StoreError>;
    /// Where a registered creator is paid; `None` when the wallet is not registered.
    async fn payout(&mut self, creator: WalletAddress) -> Result<Option<PayoutAddresses>, StoreError>;

    /// Deposits with an amount that are not booked and count from `block` or before, oldest block first.
    async fn deposits_to_confirm(&mut self, block: u64) -> Result<Vec<PendingDeposit>, StoreError>;
    /// Deposits that count from a block above `block`.
    async fn deposits_above(&mut self, block: u64) -> Result<Vec<DroppedDeposit>, StoreError>;
    /// The organization's newest request in `block` or before.
    async fn newest_request(&mut self, org: OrgId, block: u64) -> Result<Option<StoredRequest>, StoreError>;
    /// The requests whose end is not booked, oldest first.
    async fn open_requests(&mut self) -> Result<Vec<StoredRequest>, StoreError>;
    /// The requests of which anything happened above `block`.
    async fn requests_above(&mut self, block: u64) -> Result<Vec<StoredRequest>, StoreError>;

    /// What is stored about a line of a batch.
    async fn line(&mut self, seq: u64, line: u32) -> Result<LineSite, StoreError>;
    /// A batch with its lines.
    async fn batch(&mut self, seq: u64) -> Result<Option<StoredBatch>, StoreError>;
    /// Numbers of batches that are not final and were settled in `block` or before, ascending.
    async fn batches_to_finish(&mut self, block: u64) -> Result<Vec<u64>, StoreError>;
    /// Numbers of batches that were settled above `block`, the newest settlement first.
    async fn batches_above(&mut self, block: u64) -> Result<Vec<u64>, StoreError>;
    /// Whether calls of the batch's skipped lines are in another batch now.
    async fn moved_on(&mut self, seq: u64) -> Result<bool, StoreError>;

    /// Writes an effect.
    async fn write(&mut self, effect: Effect) -> Result<(), StoreError>;
}

impl StoredBatch {
    /// Base units that the batch moved: its lines and payouts, as far as they were not skipped. `None` beyond 128 bits.
    pub(super) fn moved(&self) -> ChainAmount {
        let lines = self.lines.iter().filter(|line| line.skipped.is_none());
        let payouts = self.payouts.iter().filter(|_| !self.payouts_skipped);
        let mut credits = lines.flat_map(|line| &line.credits).chain(payouts);
        credits
            .try_fold(TokenUnits::ZERO, |sum, credit| sum.checked_add(credit.units))
            .map(TokenUnits::get)
    }
}
