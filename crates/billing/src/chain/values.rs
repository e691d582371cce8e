//! What effects store: values, named as the chain names them.

use super::{ChainAmount, ChainEvent, Hash32, LogId, ProductPrices};
use crate::capture::Payee;
use haithe_kernel::{OrgId, OrgUid, Timestamp, Usdt, WalletAddress};

/// What an alarm of the index is about. `docs/OPERATIONS.md` explains each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// A deposit is beyond the range of money and is not credited.
    DepositOutOfRange,
    /// A final batch whose skipped calls moved on lost its block.
    FinalBatchRewound,
    /// A withdrawal of a creator or of the platform is beyond the range of money.
    PayoutOutOfRange,
    /// A batch was settled that was never sealed here.
    UnknownBatch,
    /// A line was skipped that is not ours.
    UnknownLine,
    /// A withdrawal ended that was never requested.
    UnknownWithdrawal,
    /// No batch can contain a charge.
    UnsealableCharge,
    /// A withdrawal paid more than can be counted.
    WithdrawalOutOfRange,
    /// A batch was settled with other contents than it was sealed with.
    WrongBatch,
}

impl AlarmKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DepositOutOfRange,
        Self::FinalBatchRewound,
        Self::PayoutOutOfRange,
        Self::UnknownBatch,
        Self::UnknownLine,
        Self::UnknownWithdrawal,
        Self::UnsealableCharge,
        Self::WithdrawalOutOfRange,
        Self::WrongBatch,
    ];

    /// The kind that this stable word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DepositOutOfRange => "deposit_out_of_range",
            Self::FinalBatchRewound => "final_batch_rewound",
            Self::PayoutOutOfRange => "payout_out_of_range",
            Self::UnknownBatch => "unknown_batch",
            Self::UnknownLine => "unknown_line",
            Self::UnknownWithdrawal => "unknown_withdrawal",
            Self::UnsealableCharge => "unsealable_charge",
            Self::WithdrawalOutOfRange => "withdrawal_out_of_range",
            Self::WrongBatch => "wrong_batch",
        }
    }
}

/// Something that must not be and is not repaired here. It stays until its block is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexAlarm {
    /// What it is about.
    pub kind: AlarmKind,
    /// What was seen, for the operator.
    pub detail: String,
    /// The block in which it was seen.
    pub block: u64,
    /// That block's time.
    pub raised_at: Timestamp,
}

impl IndexAlarm {
    /// An alarm about the event in the log `id` of this block.
    pub fn about(kind: AlarmKind, id: LogId, block: u64, at: Timestamp, detail: &str) -> Self {
        Self {
            kind,
            detail: format!("{detail} (event {id})"),
            block,
            raised_at: at,
        }
    }

    /// An alarm about this event.
    pub(super) fn of(kind: AlarmKind, event: &ChainEvent, detail: &str) -> Self {
        Self::about(kind, event.id(), event.block, event.block_time, detail)
    }
}

/// An organization that the orchestrator created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedOrganization {
    /// Its public identifier, which follows from where it was created.
    pub uid: OrgUid,
    /// Its contract.
    pub address: WalletAddress,
    /// The transaction that created it. Address and transaction name the organization: the same again is the
    /// same organization.
    pub created_tx: Hash32,
    /// Position in the orchestrator's list, from 1.
    pub index: u64,
    /// The name on chain, which is shown until it is renamed here.
    pub name: String,
    /// The owner.
    pub owner: WalletAddress,
    /// Time of the block that created it.
    pub created_at: Timestamp,
    /// The block that created it.
    pub block: u64,
}

/// A product that a creator added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedProduct {
    /// Its contract.
    pub address: WalletAddress,
    /// The transaction that added it. Address and transaction name the product.
    pub created_tx: Hash32,
    /// Position in the orchestrator's list, from 1.
    pub index: u64,
    /// The creator's wallet.
    pub creator: WalletAddress,
    /// The name on chain.
    pub name: String,
    /// Where its content is.
    pub uri: String,
    /// The content key, encrypted for the enclave.
    pub encrypted_key: String,
    /// The chain's word for its category, known to us or not.
    pub category: String,
    /// What a call costs; nothing else is announced.
    pub prices: ProductPrices,
    /// Time of the block that added it.
    pub created_at: Timestamp,
    /// The block that added it.
    pub block: u64,
}

/// A creator that the orchestrator registered, without payout addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredCreator {
    /// The creator's wallet.
    pub creator: WalletAddress,
    /// Number of its identity token.
    pub identity: u64,
    /// Where its profile is.
    pub uri: String,
    /// The public key that content is sealed to.
    pub pub_key: String,
    /// Time of the block that registered it.
    pub created_at: Timestamp,
}

/// The addresses at which a creator is paid beside its wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PayoutAddresses {
    /// In effect before `next`.
    pub current: Option<WalletAddress>,
    /// Replaces `current` from a moment on; without an address it removes `current`.
    pub next: Option<(Option<WalletAddress>, Timestamp)>,
}

/// A deposit as it was seen. It counts once `block` is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDeposit {
    /// The log of the transfer, or of the creation that reports what the address held.
    pub event: LogId,
    /// Whose contract it reached.
    pub org: OrgId,
    /// The block from which it counts: the event's, or the later one that created the organization.
    pub block: u64,
    /// Base units.
    pub units: ChainAmount,
    /// In nano-USDT, rounded down; `None` when out of range, which is never booked.
    pub amount: Option<Usdt>,
    /// Base units below a nano, which are not credited.
    pub dust: i64,
}

/// A request to withdraw that freezes money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenRequest {
    /// The log of the request.
    pub event: LogId,
    /// Whose money.
    pub org: OrgId,
    /// The block of the request.
    pub block: u64,
    /// Base units that were requested.
    pub units: ChainAmount,
    /// What is frozen for it.
    pub frozen: Usdt,
    /// More was requested than the ledger can count: nothing can be spent until the request has ended.
    pub clamped: bool,
    /// Active time from which it can be executed.
    pub ready_at: Timestamp,
}

/// How the chain ended a request to withdraw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenEnd {
    /// Paid: so many base units.
    Executed(ChainAmount),
    /// Cancelled by the owner.
    Cancelled,
}

impl SeenEnd {
    /// The word in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executed(_) => "executed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How the end of a request was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookedEnd {
    /// Paid.
    Executed,
    /// Cancelled by the owner.
    Cancelled,
    /// Its window passed without either.
    Void,
}

impl BookedEnd {
    /// The word in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Cancelled => "cancelled",
            Self::Void => "void",
        }
    }

    /// The end of a word in storage; `None` for an unknown word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Executed, Self::Cancelled, Self::Void]
            .into_iter()
            .find(|end| end.as_str() == word)
    }
}

/// Whose fault a skipped line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The organization that pays.
    Payer,
    /// A payee that cannot be paid.
    Payee(Payee),
}
