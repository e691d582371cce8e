//! The outbox: transactions that must reach the chain once, whatever crashes.
//!
//! An intent is written first. The signed bytes of every attempt are written before they are sent.
//! One nonce belongs to one intent, so at most one attempt is ever mined: every intent happens at
//! most once, even without an id on chain.
//!
//! Which nonce an intent gets, and whether a ration allows one more, are pure functions of what a store has
//! read: [`NonceRequest::assign`] and [`TxRation::refusal`].

mod lane;
mod ration;

pub use lane::{NonceAssignment, NonceRequest, settled_batch};
pub use ration::RationHistory;

use crate::chain::Hash32;
use haithe_kernel::{ClientNetwork, Timestamp, WalletAddress};
use std::time::Duration;

/// An intent's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxIntentId(pub i64);

/// What a transaction is for; part of logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TxPurpose {
    DeployContracts,
    CreateOrganization,
    SettleBatch,
    RegisterCreator,
    MirrorRole,
    Faucet,
}

impl TxPurpose {
    /// Whether the sender starts it before everything else, and never lets other purposes take its
    /// place among the transactions in flight.
    pub const fn is_settlement(self) -> bool {
        matches!(self, Self::SettleBatch)
    }

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeployContracts => "deploy_contracts",
            Self::CreateOrganization => "create_organization",
            Self::SettleBatch => "settle_batch",
            Self::RegisterCreator => "register_creator",
            Self::MirrorRole => "mirror_role",
            Self::Faucet => "faucet",
        }
    }

    /// The purpose of a word in the database; `None` for an unknown word.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::DeployContracts,
            Self::CreateOrganization,
            Self::SettleBatch,
            Self::RegisterCreator,
            Self::MirrorRole,
            Self::Faucet,
        ]
        .into_iter()
        .find(|purpose| purpose.as_str() == word)
    }
}

/// A transaction to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTx {
    /// Unique: the same key again is the same intent.
    pub key: String,
    /// What for.
    pub purpose: TxPurpose,
    /// The signing key's address: its lane of nonces.
    pub signer: WalletAddress,
    /// The contract; `None` deploys one.
    pub to: Option<WalletAddress>,
    /// Calldata.
    pub data: Vec<u8>,
    /// On whose account its gas is booked, for daily budgets.
    pub on_behalf: Option<WalletAddress>,
    /// Now.
    pub created_at: Timestamp,
}

/// How often a purpose may be written for wallets, whatever comes of it: the server pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxRation {
    /// A wallet has at most one intent that has not failed within this.
    pub every: Duration,
    /// The span of the two budgets, which count failed intents too.
    pub window: Duration,
    /// Intents of one wallet.
    pub per_wallet: u64,
    /// Intents of one client network.
    pub per_network: u64,
    /// The client network that asks; `None` if it is unknown, which only the other budgets bound.
    pub network: Option<ClientNetwork>,
    /// Intents of all wallets.
    pub global: u64,
}

/// What a ration said.
#[expect(clippy::large_enum_variant, reason = "one per request, moved once")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rationed {
    /// Within it, and written.
    Written(TxIntent),
    /// The wallet's last intent is too young; when it was made.
    TooSoon(Timestamp),
    /// A budget is spent until this time.
    BudgetSpent(Timestamp),
}

/// One signed form of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "EIP-1559's terms")]
pub struct TxAttempt {
    pub hash: Hash32,
    pub raw: Vec<u8>,
    pub max_fee_per_gas: u128,
    pub max_priority_fee_per_gas: u128,
    pub gas_limit: u64,
    /// A 0-value self-send that only frees the nonce.
    pub cancels: bool,
    pub sent_at: Timestamp,
}

/// How far an intent has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxState {
    /// Written, no nonce yet.
    Queued,
    /// Has a nonce; at least one attempt may be out there.
    Sent,
    /// An attempt was mined and is not final.
    Mined,
    /// Mined successfully and final.
    Done,
    /// Mined, final, and reverted; or refused in simulation before a nonce was taken.
    Failed,
}

/// An intent with its attempts, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in NewTx")]
pub struct TxIntent {
    pub id: TxIntentId,
    pub key: String,
    pub purpose: TxPurpose,
    pub signer: WalletAddress,
    pub to: Option<WalletAddress>,
    pub data: Vec<u8>,
    pub on_behalf: Option<WalletAddress>,
    pub nonce: Option<u64>,
    pub state: TxState,
    pub attempts: Vec<TxAttempt>,
    /// The mined attempt and its block, when there is one.
    pub mined: Option<(Hash32, u64)>,
    /// Why it failed.
    pub failure: Option<String>,
    pub created_at: Timestamp,
}
