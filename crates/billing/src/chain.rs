//! What the chain says, in the domain's words.

use haithe_kernel::{Failure, Kind, Timestamp, TokenUnits, WalletAddress};
use serde::{Deserialize, Serialize};

/// A 32-byte hash: a block's, a transaction's, a Merkle root.
pub type Hash32 = [u8; 32];

/// A block, as far as the index cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BlockRef {
    pub number: u64,
    pub hash: Hash32,
    pub parent: Hash32,
    pub time: Timestamp,
}

/// Where and what: one log, decoded. (`tx`, `log_index`) names it for ever on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEvent {
    /// Number of its block.
    pub block: u64,
    /// Hash of its block.
    pub block_hash: Hash32,
    /// The block's time.
    pub block_time: Timestamp,
    /// Hash of its transaction.
    pub tx: Hash32,
    /// Position of the log in its block.
    pub log_index: u64,
    /// What it says.
    pub body: EventBody,
}

/// Why a line of a batch was skipped. The numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SkipReason {
    InsufficientFunds,
    DailyCap,
    UnknownPayee,
    UnknownOrganization,
    TransferFailed,
    Other(u8),
}

/// An amount from the chain; `None` is one beyond 128 bits, which harms only its own row.
pub type ChainAmount = Option<u128>;

/// The events the index understands. All but `Transfer` come from the orchestrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as in the contracts' NatSpec")]
pub enum EventBody {
    OrganizationCreated {
        index: u64,
        org: WalletAddress,
        owner: WalletAddress,
        name: String,
    },
    /// The organization's address held `amount` when the contract was created there; transfers to
    /// it before are part of this.
    OrganizationFunded {
        org: WalletAddress,
        amount: ChainAmount,
    },
    RoleChanged {
        org: WalletAddress,
        wallet: WalletAddress,
        role: u8,
    },
    /// Somebody may accept ownership; the zero address takes the offer back.
    OwnershipOffered {
        org: WalletAddress,
        to: WalletAddress,
    },
    OwnershipTransferred {
        org: WalletAddress,
        from: WalletAddress,
        to: WalletAddress,
    },
    /// `effective_at` is now for a raise and later for a cut; a cap of `u128::MAX` or beyond is no cap.
    DailyCapChanged {
        org: WalletAddress,
        cap: ChainAmount,
        effective_at: Timestamp,
    },
    ProductEnabled {
        org: WalletAddress,
        product: WalletAddress,
        max_price: ChainAmount,
    },
    ProductDisabled {
        org: WalletAddress,
        product: WalletAddress,
    },
    WithdrawalRequested {
        org: WalletAddress,
        to: WalletAddress,
        amount: ChainAmount,
        ready_at: Timestamp,
    },
    WithdrawalExecuted {
        org: WalletAddress,
        to: WalletAddress,
        amount: ChainAmount,
    },
    WithdrawalCancelled {
        org: WalletAddress,
    },
    ProductAdded {
        index: u64,
        product: WalletAddress,
        creator: WalletAddress,
        name: String,
        uri: String,
        encrypted_key: String,
        category: String,
        price: ChainAmount,
    },
    PriceChanged {
        product: WalletAddress,
        price: ChainAmount,
    },
    /// A call costs `price` until `next_price_at` and `next_price` from then on, unless a later event
    /// replaces this.
    PriceScheduled {
        product: WalletAddress,
        price: ChainAmount,
        next_price: ChainAmount,
        next_price_at: Timestamp,
    },
    UriChanged {
        product: WalletAddress,
        uri: String,
    },
    ProductRetired {
        product: WalletAddress,
    },
    CreatorRegistered {
        creator: WalletAddress,
        id: u64,
        uri: String,
        pub_key: String,
    },
    CreatorWithdrawn {
        creator: WalletAddress,
        amount: ChainAmount,
    },
    /// From `effective_at` on the creator may also be paid at `payout`; the zero address removes it.
    PayoutAddressProposed {
        creator: WalletAddress,
        payout: WalletAddress,
        effective_at: Timestamp,
    },
    /// The proposed payout address that is not in effect yet was cancelled.
    PayoutAddressCancelled {
        creator: WalletAddress,
    },
    BatchSettled {
        seq: u64,
        hash: Hash32,
        root: Hash32,
        total: ChainAmount,
        skipped: u64,
    },
    LineSkipped {
        seq: u64,
        line: u32,
        org: WalletAddress,
        amount: ChainAmount,
        reason: SkipReason,
        /// The receiver that the reason names, if it names one.
        #[serde(default)]
        payee: Option<WalletAddress>,
    },
    PlatformWithdrawn {
        to: WalletAddress,
        amount: ChainAmount,
    },
    ServerChanged {
        server: WalletAddress,
    },
    Paused,
    Unpaused,
    /// The payment token moved to or from an organization's contract.
    Transfer {
        from: WalletAddress,
        to: WalletAddress,
        amount: ChainAmount,
    },
}

/// Why the chain gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The node refuses so many blocks or logs at once: ask for fewer.
    #[error("the node refuses a range this large")]
    RangeTooLarge,
    /// The node cannot be reached, or answered nonsense.
    #[error("the chain cannot be reached; try again shortly")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The contract refuses the call; the text is its decoded custom error.
    #[error("the contract refused: {0}")]
    Refused(String),
}

impl ChainError {
    /// Wraps the adapter's error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

impl Failure for ChainError {
    fn kind(&self) -> Kind {
        match self {
            Self::RangeTooLarge | Self::Unavailable(_) => Kind::Unavailable,
            Self::Refused(_) => Kind::Conflict,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::RangeTooLarge | Self::Unavailable(_) => "chain_unavailable",
            Self::Refused(_) => "contract_refused",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Unavailable(_)).then_some(5)
    }
}

/// How deep a block must be before its facts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depths {
    /// Blocks on top (its own included) before a deposit can be spent. At least 1.
    pub confirmations: u64,
    /// Blocks on top (its own included) before a batch or withdrawal is final. At least `confirmations`.
    pub finality: u64,
}

/// One step of the index, written in one transaction.
#[derive(Debug, Clone)]
pub struct IndexStep {
    /// Every event in (old checkpoint, `to`], in chain order.
    pub events: Vec<ChainEvent>,
    /// The blocks to remember for recognising a reorganization, ascending, ending with `to`.
    pub blocks: Vec<BlockRef>,
    /// The new checkpoint.
    pub to: BlockRef,
    /// Facts at or below this block are confirmed.
    pub confirmed: u64,
    /// Facts at or below this block are final.
    pub last_final: u64,
}

/// What a step changed, for logs and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "counters")]
pub struct StepEffects {
    pub new_events: u64,
    pub deposits_confirmed: u64,
    pub batches_final: u64,
    pub lines_skipped: u64,
    pub dust: TokenUnits,
}

/// How many transactions there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainCounts {
    /// With the orchestrator's events in them.
    pub orchestrator: u64,
    /// With events about each organization, the busiest first, at most 100 of them.
    pub organizations: Vec<(WalletAddress, u64)>,
    /// With events about each product, the busiest first, at most 100 of them.
    pub products: Vec<(WalletAddress, u64)>,
    /// Sent by the server and mined.
    pub server: u64,
}
