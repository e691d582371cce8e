//! What billing needs from outside. One method is one atomic operation.
//!
//! A store promises something *globally* when the promise holds over all processes that use the database,
//! and *per process* when it holds among the callers in one process only. While a store promises anything per
//! process, one process at a time may use the database.

mod figures;
mod treasury;

pub use figures::{CreatorTransactions, EarningsStore, UsageStore};
#[cfg(any(test, feature = "mocks"))]
pub use figures::{MockCreatorTransactions, MockEarningsStore, MockUsageStore};
#[cfg(any(test, feature = "mocks"))]
pub use treasury::MockTreasuryStore;
pub use treasury::TreasuryStore;

use crate::{
    batch::{Batch, BatchItem, BatchState, Carry, CarryKey, SealPolicy, Unsealed},
    capture::{Capture, Captured, Payee},
    chain::{BlockRef, ChainCounts, ChainError, ChainEvent, Hash32, IndexStep, StepEffects},
    faucet::{FaucetError, Grant, Granted},
    hold::{HoldError, HoldRequest},
    ledger::{Balance, LedgerSnapshot, LedgerTotals},
    outbox::{NewTx, Rationed, TxAttempt, TxIntent, TxIntentId, TxPurpose, TxRation},
    receipt::{Receipt, ReceiptFilter},
};
use async_trait::async_trait;
use haithe_kernel::{
    CallId, ClientNetwork, Listed, OrgId, Page, StoreError, Timestamp, TokenUnits, Usdt, WalletAddress,
};
use std::{collections::HashSet, time::Duration};

/// The ledger's hot side: decisions about money.
///
/// **Guarantees**: [`capture`](Self::capture) is global: a call is captured once, and durably. The others are per
/// process where holds live in its memory (SQLite, which one process owns), and global where holds are rows of an
/// instance (PostgreSQL): holds of all instances together never exceed what there is. There a hold is released when
/// the [lease](crate::lease) of its instance ends, and every decision of an instance that lost its lease is refused.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Sets money aside and says how much: as much of `most` as there is, at least `least`.
    ///
    /// One atomic decision over the spendable balance, the on-chain daily cap and every budget:
    /// concurrent holds never exceed any of them, and what is covered is never refused. When the
    /// caller is dropped before it has the answer, its [`release`](Self::release) comes after this
    /// call in order and must find what was set aside.
    async fn hold(&self, request: HoldRequest) -> Result<Usdt, HoldError>;

    /// What [`hold`](Self::hold) would set aside now, without setting it aside: the same decision over
    /// the balance, the daily cap and every budget, with the same refusals. Another call may take the
    /// money in between, so nothing may be sent on the strength of this answer.
    async fn available(&self, request: HoldRequest) -> Result<Usdt, HoldError>;

    /// Gives a hold back. Unknown calls are ignored. Never blocks, so that a destructor may call it.
    fn release(&self, call: CallId);

    /// Takes min(cost, hold + spendable) and gives the rest of the hold back, in one durable
    /// transaction with the usage record, the receipt and the payees' lines. Returns once that is
    /// on disk. The same call again returns the first answer and takes nothing. A call whose hold was
    /// released pays what is spendable; the platform bears the rest.
    async fn capture(&self, capture: Capture) -> Result<Captured, StoreError>;

    /// An organization's money now.
    async fn balance(&self, org: OrgId) -> Result<Balance, StoreError>;

    /// Everything captured from the organization, all time.
    async fn expenditure(&self, org: OrgId) -> Result<Usdt, StoreError>;

    /// Over all organizations, for figures.
    async fn totals(&self) -> Result<LedgerTotals, StoreError>;
}

/// Receipts and the ledger's books, for reading.
///
/// **Guarantees**: global: each method is one consistent read.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Books: Send + Sync {
    /// A receipt with its settlement and proof.
    async fn receipt(&self, call: CallId) -> Result<Option<Receipt>, StoreError>;
    /// Receipts of an organization settled or not, oldest first, after `after`.
    async fn receipts(
        &self,
        org: OrgId,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, StoreError>;
    /// One page of the receipts that fit, oldest first, of those after `after` where it is given; the
    /// total counts those before it too.
    async fn listed_receipts(
        &self,
        filter: ReceiptFilter,
        after: Option<CallId>,
        page: Page,
    ) -> Result<Listed<Receipt>, StoreError>;
    /// Everything the identity check needs, from one consistent read.
    async fn snapshot(&self) -> Result<LedgerSnapshot, StoreError>;
}

/// How much happened on chain, for everybody to see.
///
/// **Guarantees**: global.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChainStats: Send + Sync {
    /// Transactions that touched each contract of the index, and those of `server`.
    async fn count(&self, server: WalletAddress) -> Result<ChainCounts, StoreError>;
}

/// Unsettled calls on their way into batches.
///
/// **Guarantees**: global for [`seal`](Self::seal) and [`dissolve`](Self::dissolve): a call is in one open
/// batch. [`set_aside`](Self::set_aside) is per process. One process at a time settles.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait SettlementStore: Send + Sync {
    /// What waits for a batch and can be sealed, by organization. Suspended organizations count too;
    /// calls that no batch can contain do not.
    async fn unsealed(&self, policy: SealPolicy, now: Timestamp) -> Result<Unsealed, StoreError>;
    /// The sealed batches that are not final, in order of their numbers.
    async fn open_batches(&self) -> Result<Vec<(Batch, BatchState)>, StoreError>;
    /// Atomically seals the next batch: offers waiting items to a [`Sealer`](crate::batch::Sealer),
    /// oldest first, calls [`Batch::build`] with the next sequence number, and stores the result. A
    /// call that no batch can contain is set aside as by [`set_aside`](Self::set_aside). `None` when
    /// `policy.max_open` batches are open or nothing waits.
    async fn seal(&self, policy: SealPolicy, now: Timestamp) -> Result<Option<Batch>, StoreError>;
    /// Atomically dissolves all batches from `seq` on: their calls wait again and their changes to the
    /// carry are undone, as if they had never been sealed. Returns whether it did. It does nothing if
    /// any of them may still reach the chain: it was seen there, or one of its transactions has a
    /// nonce and has not failed for good. Transactions without a nonce are closed.
    async fn dissolve(&self, seq: u64) -> Result<bool, StoreError>;
    /// Excludes waiting calls from all batches until the process starts again, and raises one alarm
    /// for each.
    async fn set_aside(&self, calls: Vec<CallId>, reason: String) -> Result<(), StoreError>;
    /// A batch by number.
    async fn batch(&self, seq: u64) -> Result<Option<(Batch, BatchState)>, StoreError>;
}

/// The index of the chain. Facts are applied once each, named by (transaction, log).
///
/// **Guarantees**: global: an event is applied once, together with its checkpoint. One process at a time
/// indexes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChainIndex: Send + Sync {
    /// Binds this database to one chain and orchestrator for ever, starting below `start`;
    /// an error when it is bound to another.
    async fn bind(&self, chain_id: u64, orchestrator: WalletAddress, start: u64) -> Result<(), StoreError>;
    /// The contracts' withdrawal delay, as it was recorded; `None` when it never was.
    async fn withdrawal_delay(&self) -> Result<Option<Duration>, StoreError>;
    /// Records the contracts' withdrawal delay, so that a start while the chain is away knows it. Only
    /// after [`bind`](Self::bind).
    async fn record_withdrawal_delay(&self, delay: Duration) -> Result<(), StoreError>;
    /// The last indexed block; `None` before the first step.
    async fn checkpoint(&self) -> Result<Option<BlockRef>, StoreError>;
    /// Remembered blocks, newest first.
    async fn recent(&self, limit: u32) -> Result<Vec<BlockRef>, StoreError>;
    /// Contracts of all organizations, whose token transfers matter.
    async fn organizations(&self) -> Result<Vec<WalletAddress>, StoreError>;
    /// Writes a step's effects, confirmations and its checkpoint in one transaction. Applying an
    /// event that is already there changes nothing. Directory and marketplace rows follow at first
    /// sight; a withdrawal request freezes at first sight; deposits count once confirmed; batches,
    /// executed withdrawals and payouts count once final.
    async fn apply(&self, step: IndexStep) -> Result<StepEffects, StoreError>;
    /// Forgets every event above `to` and undoes its effects with opposite postings; `to` becomes
    /// the checkpoint.
    async fn rewind(&self, to: BlockRef) -> Result<(), StoreError>;
}

/// Reads the chain.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChainReader: Send + Sync {
    /// The newest block.
    async fn head(&self) -> Result<BlockRef, ChainError>;
    /// A block of the canonical chain.
    async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError>;
    /// Every event in [`from`, `to`], in chain order: all of the orchestrator's, and the payment
    /// token's transfers from or to `orgs` and organizations created in the range.
    async fn events(
        &self,
        from: u64,
        to: u64,
        orgs: Vec<WalletAddress>,
    ) -> Result<Vec<ChainEvent>, ChainError>;
    /// The payment token's balances of `holders` in their order, all at one block or all at the head,
    /// in few requests however many holders there are. A balance beyond 128 bits is given as the
    /// largest number, so that it affects only its own holder.
    async fn token_balances(
        &self,
        holders: Vec<WalletAddress>,
        block: Option<u64>,
    ) -> Result<Vec<TokenUnits>, ChainError>;
}

/// What became of a batch that was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// It is in the outbox. A contract that accepts no batch at all (it is paused, say) is left to the
    /// sender, which tries again.
    Queued,
    /// The contract accepts batches, but not this one. It has no nonce, so it can be dissolved.
    Refused {
        /// Why, in the words of the contract or the node.
        reason: String,
    },
}

/// Settles batches on the chain.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Settler: Send + Sync {
    /// The contract's `nextBatch`.
    async fn next_sequence(&self) -> Result<u64, ChainError>;
    /// Hands the batch to the durable outbox under the key `settle/{seq}`; again is harmless. The
    /// batch that the contract expects next is simulated before it gets a nonce; one behind others is
    /// not, because it can only be simulated once they are mined.
    async fn submit(&self, batch: Batch) -> Result<Submission, ChainError>;
    /// The hash the contract will store for this batch, computed here: keccak(chain id, orchestrator, seq, root, lines).
    async fn expected_hash(&self, batch: Batch) -> Result<Hash32, ChainError>;
    /// The hash the contract has stored for this batch (`batchHash`); `None` before it was settled.
    async fn settled_hash(&self, seq: u64) -> Result<Option<Hash32>, ChainError>;
    /// The contract's own check of a receipt's leaf: `verifyReceipt`.
    async fn verify_receipt(
        &self,
        seq: u64,
        line: u32,
        leaf: Hash32,
        proof: Vec<Hash32>,
    ) -> Result<bool, ChainError>;
}

/// Test tokens that the server gives away at its own expense.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait TestTokens: Send + Sync {
    /// The wallet's newest grant that has not failed.
    async fn newest(&self, wallet: WalletAddress) -> Result<Option<Grant>, StoreError>;
    /// Sends `amount` to the wallet through the durable outbox, unless it was granted some within
    /// `every` or a daily budget is spent, and waits (3 s at most) for its transaction. Of concurrent
    /// asks of a wallet one is granted.
    async fn grant(
        &self,
        wallet: WalletAddress,
        amount: Usdt,
        every: Duration,
        network: Option<ClientNetwork>,
    ) -> Result<Granted, FaucetError>;
}

/// The durable half of the outbox.
///
/// **Guarantees**: global: a key has one intent, a nonce has one intent, and rations hold over all processes.
/// One process at a time sends for a signer.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait TxOutbox: Send + Sync {
    /// Writes an intent; the same key gives the intent that is there.
    async fn enqueue(&self, tx: NewTx) -> Result<TxIntent, StoreError>;
    /// Writes an intent unless that exceeds the ration of its purpose for `tx.on_behalf` at
    /// `tx.created_at`. Of concurrent callers no more than the ration are served.
    async fn enqueue_rationed(&self, tx: NewTx, ration: TxRation) -> Result<Rationed, StoreError>;
    /// The newest intent of this purpose for the wallet that has not failed.
    async fn newest_of(
        &self,
        purpose: TxPurpose,
        on_behalf: WalletAddress,
    ) -> Result<Option<TxIntent>, StoreError>;
    /// By key.
    async fn find(&self, key: String) -> Result<Option<TxIntent>, StoreError>;
    /// Intents of the lane that are neither done nor failed, in order of nonce, then of age.
    async fn open(&self, signer: WalletAddress) -> Result<Vec<TxIntent>, StoreError>;
    /// Gives the intent the lane's next nonce: max(`chain_nonce`, last used + 1). Idempotent.
    async fn assign_nonce(&self, id: TxIntentId, chain_nonce: u64) -> Result<u64, StoreError>;
    /// Stores an attempt's signed bytes; must return before they are sent.
    async fn record_attempt(&self, id: TxIntentId, attempt: TxAttempt) -> Result<(), StoreError>;
    /// An attempt was mined in this block.
    async fn mark_mined(&self, id: TxIntentId, hash: Hash32, block: u64) -> Result<(), StoreError>;
    /// The block that held it is gone; the attempts are live again.
    async fn mark_unmined(&self, id: TxIntentId) -> Result<(), StoreError>;
    /// Mined and final: `failure` is `None` when it succeeded.
    async fn close(&self, id: TxIntentId, failure: Option<String>) -> Result<(), StoreError>;
    /// How many intents of this purpose were made since, for one wallet or for all.
    async fn count_since(
        &self,
        purpose: TxPurpose,
        on_behalf: Option<WalletAddress>,
        since: Timestamp,
    ) -> Result<u64, StoreError>;
}

/// What [`SettlementStore::seal`] gathers before it builds a batch.
#[derive(Debug, Clone, Default)]
pub struct SealInput {
    /// Items, oldest first.
    pub items: Vec<BatchItem>,
    /// What earlier batches carried over to the payees of the items, and to those of `carried`. Any
    /// other carry is left alone.
    pub carry: Vec<Carry>,
    /// Organizations that have a line because of overdue carry, with their contracts. They may have
    /// items, too.
    pub carried: Vec<(OrgId, WalletAddress)>,
    /// Organizations that withdraw: their credits do not wait for more of their kind.
    pub withdrawing: HashSet<OrgId>,
    /// Payers and payees whose credits go to escrow.
    pub unpayable: HashSet<CarryKey>,
    /// What is paid out of escrow.
    pub payouts: Vec<(Payee, Usdt)>,
    /// Contracts of the organizations that are payees, of items or of carry.
    pub payee_orgs: Vec<(OrgId, WalletAddress)>,
}
