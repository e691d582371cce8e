//! What the chain's logs say, in the domain's words.

use haithe_kernel::{Timestamp, WalletAddress};
use serde::{Deserialize, Serialize};
use std::fmt;

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

/// Names a log on one chain, wherever its transaction is mined: a log that is indexed again is recognized by
/// this. Displays as `0x{tx}/{log_index}`, the part of a ledger key that names the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId {
    /// Hash of its transaction.
    pub tx: Hash32,
    /// Position of the log in its block.
    pub log_index: u64,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}/{}", hex::encode(self.tx), self.log_index)
    }
}

/// Where and what: one log, decoded. Its [`LogId`] names it.
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

impl ChainEvent {
    /// The name of the log.
    pub const fn id(&self) -> LogId {
        LogId {
            tx: self.tx,
            log_index: self.log_index,
        }
    }

    /// Block and position in it: the order of the chain.
    pub const fn position(&self) -> (u64, u64) {
        (self.block, self.log_index)
    }
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

impl SkipReason {
    /// The word in storage. It has no number for [`SkipReason::Other`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::DailyCap => "daily_cap",
            Self::UnknownPayee => "unknown_payee",
            Self::UnknownOrganization => "unknown_organization",
            Self::TransferFailed => "transfer_failed",
            Self::Other(_) => "other",
        }
    }

    /// The reason of a word in storage; `other` reads back as `Other(0)`. `None` for an unknown word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "insufficient_funds" => Some(Self::InsufficientFunds),
            "daily_cap" => Some(Self::DailyCap),
            "unknown_payee" => Some(Self::UnknownPayee),
            "unknown_organization" => Some(Self::UnknownOrganization),
            "transfer_failed" => Some(Self::TransferFailed),
            "other" => Some(Self::Other(0)),
            _ => None,
        }
    }
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

impl EventBody {
    /// The word for the kind of event in storage.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::OrganizationCreated { .. } => "organization_created",
            Self::OrganizationFunded { .. } => "organization_funded",
            Self::RoleChanged { .. } => "role_changed",
            Self::OwnershipOffered { .. } => "ownership_offered",
            Self::OwnershipTransferred { .. } => "ownership_transferred",
            Self::DailyCapChanged { .. } => "daily_cap_changed",
            Self::ProductEnabled { .. } => "product_enabled",
            Self::ProductDisabled { .. } => "product_disabled",
            Self::WithdrawalRequested { .. } => "withdrawal_requested",
            Self::WithdrawalExecuted { .. } => "withdrawal_executed",
            Self::WithdrawalCancelled { .. } => "withdrawal_cancelled",
            Self::ProductAdded { .. } => "product_added",
            Self::PriceChanged { .. } => "price_changed",
            Self::PriceScheduled { .. } => "price_scheduled",
            Self::UriChanged { .. } => "uri_changed",
            Self::ProductRetired { .. } => "product_retired",
            Self::CreatorRegistered { .. } => "creator_registered",
            Self::CreatorWithdrawn { .. } => "creator_withdrawn",
            Self::PayoutAddressProposed { .. } => "payout_address_proposed",
            Self::PayoutAddressCancelled { .. } => "payout_address_cancelled",
            Self::BatchSettled { .. } => "batch_settled",
            Self::LineSkipped { .. } => "line_skipped",
            Self::PlatformWithdrawn { .. } => "platform_withdrawn",
            Self::ServerChanged { .. } => "server_changed",
            Self::Paused => "paused",
            Self::Unpaused => "unpaused",
            Self::Transfer { .. } => "transfer",
        }
    }

    /// The organization, product or creator whose rows follow from the event. The subject of a transfer is its
    /// receiver.
    pub const fn subject(&self) -> Option<WalletAddress> {
        match self {
            Self::OrganizationCreated { org, .. }
            | Self::OrganizationFunded { org, .. }
            | Self::RoleChanged { org, .. }
            | Self::OwnershipOffered { org, .. }
            | Self::OwnershipTransferred { org, .. }
            | Self::DailyCapChanged { org, .. }
            | Self::ProductEnabled { org, .. }
            | Self::ProductDisabled { org, .. }
            | Self::WithdrawalRequested { org, .. }
            | Self::WithdrawalExecuted { org, .. }
            | Self::WithdrawalCancelled { org }
            | Self::LineSkipped { org, .. } => Some(*org),
            Self::ProductAdded { product, .. }
            | Self::PriceChanged { product, .. }
            | Self::PriceScheduled { product, .. }
            | Self::UriChanged { product, .. }
            | Self::ProductRetired { product } => Some(*product),
            Self::CreatorRegistered { creator, .. }
            | Self::CreatorWithdrawn { creator, .. }
            | Self::PayoutAddressProposed { creator, .. }
            | Self::PayoutAddressCancelled { creator } => Some(*creator),
            Self::Transfer { to, .. } => Some(*to),
            Self::BatchSettled { .. }
            | Self::PlatformWithdrawn { .. }
            | Self::ServerChanged { .. }
            | Self::Paused
            | Self::Unpaused => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_named_by_its_transaction_and_position() {
        let id = LogId {
            tx: [0xab; 32],
            log_index: 7,
        };
        assert_eq!(id.to_string(), format!("0x{}/7", "ab".repeat(32)));
    }

    #[test]
    fn every_skip_reason_reads_back_from_its_word() {
        for reason in [
            SkipReason::InsufficientFunds,
            SkipReason::DailyCap,
            SkipReason::UnknownPayee,
            SkipReason::UnknownOrganization,
            SkipReason::TransferFailed,
            SkipReason::Other(0),
        ] {
            assert_eq!(SkipReason::from_word(reason.as_str()), Some(reason));
        }
        assert_eq!(SkipReason::from_word("payer"), None);
    }
}
