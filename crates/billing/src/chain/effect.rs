//! What follows from an event, as values that a database writes.
//!
//! An effect says what is so after it and leaves nothing to decide. Events are named by [`LogId`];
//! organizations, products, batches and lines by their own numbers.

use super::{
    AddedProduct, Blame, BlockRef, BookedEnd, ChainAmount, CreatedOrganization, FrozenRequest, Hash32,
    IndexAlarm, LogId, PayoutAddresses, ProductPrices, RegisteredCreator, SeenDeposit, SeenEnd, SkipReason,
};
use crate::ledger::Entry;
use haithe_kernel::{OrgId, ProductId, Timestamp, WalletAddress};
use haithe_orgs::model::OrgRole;

/// One change of what is stored. All effects of a step, and its checkpoint, are written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Books an entry; a fact that was reversed before gets the next key of its fact.
    Book(Entry),
    /// Reverses every entry that books a fact of a block above `block` and is not reversed, newest first.
    ReverseAbove {
        /// The newest block that stays.
        block: u64,
        /// The time of the reversals.
        at: Timestamp,
    },
    /// Raises an alarm; the same alarm again changes nothing.
    RaiseAlarm(IndexAlarm),

    /// Remembers blocks, ascending; the last is the checkpoint. Forgets the blocks below `keep_from`.
    Remember {
        /// The blocks.
        blocks: Vec<BlockRef>,
        /// The oldest number to keep.
        keep_from: u64,
    },
    /// Up to which blocks facts count as confirmed and as final; `None` before the first.
    Count {
        /// Facts at or below are confirmed.
        confirmed: Option<u64>,
        /// Facts at or below are final.
        last_final: Option<u64>,
    },
    /// Forgets events, blocks and alarms above a block.
    ForgetAbove {
        /// The newest block that stays.
        block: u64,
    },

    /// Stores a deposit; one that is stored already stays as it is.
    NoteDeposit(SeenDeposit),
    /// The deposit is booked.
    ConfirmDeposit {
        /// The deposit.
        event: LogId,
        /// Whose.
        org: OrgId,
        /// Its base units below a nano.
        dust: i64,
    },
    /// The deposit is beyond the range of money and is never booked.
    RefuseDeposit {
        /// The deposit.
        event: LogId,
        /// Whose.
        org: OrgId,
    },
    /// Forgets a deposit.
    DropDeposit {
        /// The deposit.
        event: LogId,
        /// Whose.
        org: OrgId,
    },
    /// The base units below a nano that the ledger keeps for an organization.
    SetDust {
        /// Whose.
        org: OrgId,
        /// How many.
        units: i64,
    },

    /// Stores a request that freezes money.
    Freeze(FrozenRequest),
    /// Notes how the chain ended a request.
    EndRequest {
        /// The request.
        event: LogId,
        /// Whose.
        org: OrgId,
        /// How.
        end: SeenEnd,
        /// In which block.
        block: u64,
    },
    /// Notes that the end of a request is booked, which frees what it froze.
    CloseRequest {
        /// The request.
        event: LogId,
        /// Whose.
        org: OrgId,
        /// How.
        end: BookedEnd,
        /// As of which block.
        block: u64,
        /// What booking it added to the organization's dust.
        dust: i64,
    },
    /// The end of a request is not booked any more.
    ReopenRequest {
        /// The request.
        event: LogId,
        /// Whose.
        org: OrgId,
    },
    /// Nothing is known about the end of a request any more.
    ResumeRequest {
        /// The request.
        event: LogId,
        /// Whose.
        org: OrgId,
    },
    /// Forgets a request.
    DropRequest {
        /// The request.
        event: LogId,
        /// Whose.
        org: OrgId,
    },

    /// A line of a batch was skipped on chain.
    SkipLine {
        /// The batch.
        seq: u64,
        /// The line.
        line: u32,
        /// Why.
        reason: SkipReason,
        /// Whose fault it is; `None` when that is not known.
        blamed: Option<Blame>,
    },
    /// The line of a batch that pays escrow out was skipped on chain.
    SkipPayouts {
        /// The batch.
        seq: u64,
    },
    /// A batch was settled on chain.
    SettleBatch {
        /// The batch.
        seq: u64,
        /// The transaction that settled it.
        tx: Hash32,
        /// Its block.
        block: u64,
        /// Time of the block.
        at: Timestamp,
        /// The batch's hash on chain.
        hash: Hash32,
        /// Payers and paid organizations.
        orgs: Vec<OrgId>,
    },
    /// The calls of a skipped line wait for another batch, and what the line changed of the carry is undone.
    RequeueLine {
        /// The batch.
        seq: u64,
        /// The line.
        line: u32,
    },
    /// The calls of a skipped line belong to their batch again, with what the line changed of the carry.
    ReclaimLine {
        /// The batch.
        seq: u64,
        /// The line.
        line: u32,
    },
    /// A batch is final.
    FinishBatch {
        /// The batch.
        seq: u64,
        /// Payers and paid organizations.
        orgs: Vec<OrgId>,
    },
    /// A batch was not settled: neither are its lines or payouts skipped.
    UnsettleBatch {
        /// The batch.
        seq: u64,
        /// Payers and paid organizations.
        orgs: Vec<OrgId>,
    },
    /// Skipped lines of the organization count towards suspension from batch `seq` on.
    CountSkipsFrom {
        /// The payer.
        org: OrgId,
        /// The first batch that counts.
        seq: u64,
    },

    /// Stores an organization, or shows a stored one of the same address and transaction on chain again; one
    /// that is new gets its accounts.
    CreateOrganization(CreatedOrganization),
    /// The organization is not on chain. Its pending owner, its daily cap and its enabled products are cleared.
    HideOrganization {
        /// The organization.
        org: OrgId,
    },
    /// Another organization replaces this one at its address.
    ReplaceOrganization {
        /// The organization that leaves the chain.
        org: OrgId,
    },
    /// The organization has another owner, and no transfer of ownership is open.
    SetOwner {
        /// The organization.
        org: OrgId,
        /// The owner.
        owner: WalletAddress,
    },
    /// Ownership is offered to a wallet, or to none.
    OfferOwnership {
        /// The organization.
        org: OrgId,
        /// To whom.
        to: Option<WalletAddress>,
    },
    /// The tightest daily cap now or scheduled, in base units; `None` is no cap.
    SetDailyCap {
        /// The organization.
        org: OrgId,
        /// The cap.
        cap: ChainAmount,
    },

    /// The role that the organization's contract gives a wallet; 0 means no role.
    NoteChainRole {
        /// The organization.
        org: OrgId,
        /// The wallet.
        wallet: WalletAddress,
        /// The contract's number of the role.
        role: u8,
    },
    /// The role that a wallet has here. A member that is there keeps the time since when it is one.
    SetRole {
        /// The organization.
        org: OrgId,
        /// The wallet.
        wallet: WalletAddress,
        /// The role; `None` removes the member. Its roles in projects stay.
        role: Option<OrgRole>,
        /// Since when, for a new member.
        since: Timestamp,
        /// Whether an event on chain set it.
        from_chain: bool,
    },
    /// The contract may say something else than the decision made here, which is open again.
    ReopenDecision {
        /// The organization.
        org: OrgId,
        /// The wallet.
        wallet: WalletAddress,
    },
    /// A change by this transaction stays overruled by the decision made here, in whatever block it is mined.
    KeepOverruled {
        /// The transaction.
        tx: Hash32,
        /// The organization.
        org: OrgId,
        /// The wallet.
        wallet: WalletAddress,
    },
    /// Decisions that knew blocks above this one know blocks up to it.
    LowerDecisions {
        /// The newest block that stays.
        block: u64,
    },

    /// Stores a product, or shows a stored one of the same address and transaction on chain again, not retired.
    AddProduct(AddedProduct),
    /// The product is not on chain.
    HideProduct {
        /// The product.
        product: ProductId,
    },
    /// What a call of a product costs, now and next.
    SetPrices {
        /// The product.
        product: ProductId,
        /// The prices.
        prices: ProductPrices,
    },
    /// Where a product's content is.
    SetUri {
        /// The product.
        product: ProductId,
        /// The address.
        uri: String,
    },
    /// A product is retired.
    RetireProduct {
        /// The product.
        product: ProductId,
    },
    /// An organization's contract accepts calls of a product.
    EnableProduct {
        /// The organization.
        org: OrgId,
        /// The product.
        product: ProductId,
        /// Up to this price, in base units; `None` is no limit.
        max_price: ChainAmount,
    },
    /// An organization's contract accepts no calls of a product.
    DisableProduct {
        /// The organization.
        org: OrgId,
        /// The product.
        product: ProductId,
    },
    /// Stores a creator in the place of an earlier registration.
    RegisterCreator(RegisteredCreator),
    /// Where a registered creator is paid beside its wallet.
    SetPayout {
        /// The creator.
        creator: WalletAddress,
        /// The addresses.
        payout: PayoutAddresses,
    },
    /// Forgets a creator.
    DropCreator {
        /// The creator.
        creator: WalletAddress,
    },
}

impl Effect {
    /// The organizations whose facts beside their accounts change: money on its way, the daily cap, suspension.
    pub fn organizations(&self) -> &[OrgId] {
        match self {
            Self::NoteDeposit(SeenDeposit { org, .. })
            | Self::Freeze(FrozenRequest { org, .. })
            | Self::ConfirmDeposit { org, .. }
            | Self::RefuseDeposit { org, .. }
            | Self::DropDeposit { org, .. }
            | Self::SetDust { org, .. }
            | Self::EndRequest { org, .. }
            | Self::CloseRequest { org, .. }
            | Self::ReopenRequest { org, .. }
            | Self::ResumeRequest { org, .. }
            | Self::DropRequest { org, .. }
            | Self::CountSkipsFrom { org, .. }
            | Self::HideOrganization { org }
            | Self::ReplaceOrganization { org }
            | Self::SetDailyCap { org, .. } => std::slice::from_ref(org),
            Self::SettleBatch { orgs, .. }
            | Self::FinishBatch { orgs, .. }
            | Self::UnsettleBatch { orgs, .. } => orgs,
            _ => &[],
        }
    }
}
