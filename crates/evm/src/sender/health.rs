//! What a lane's state looks like from outside.

use haithe_billing::outbox::TxPurpose;
use haithe_kernel::{Timestamp, WalletAddress};
use std::fmt;

/// Something a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// The key's account cannot pay for gas. Nothing new is sent until it can.
    InsufficientFunds {
        /// The account to fill.
        account: WalletAddress,
        /// The node's words.
        reason: String,
    },
    /// A transaction that is not ours used one of our nonces: the key is used elsewhere. The lane is halted.
    ForeignNonce {
        /// The intent that lost its nonce.
        key: String,
        /// The nonce.
        nonce: u64,
    },
    /// The chain does not know nonces that were final: it is another chain, was reset, or the node
    /// is far behind. Nothing new is sent meanwhile.
    NonceGap {
        /// The next nonce by the chain.
        chain: u64,
        /// The lowest open nonce here.
        lowest: u64,
    },
    /// Offering more would break the limits. The transaction keeps its nonce and waits.
    FeesAtCap {
        /// The intent.
        key: String,
        /// What is offered, in wei per gas.
        max_fee_per_gas: u128,
    },
    /// The node will not take the signed transaction. It keeps its nonce; cancelling frees it.
    Rejected {
        /// The intent.
        key: String,
        /// The node's words.
        reason: String,
    },
    /// The contract, or the node on its behalf, refuses a transaction that must go through some
    /// day. It has no nonce yet and is tried again from time to time.
    Refused {
        /// The intent.
        key: String,
        /// What it is for.
        purpose: TxPurpose,
        /// Their words.
        reason: String,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsufficientFunds { account, reason } => {
                write!(
                    f,
                    "the account {account} cannot pay for gas, send it some: {reason}"
                )
            }
            Self::ForeignNonce { key, nonce } => write!(
                f,
                "nonce {nonce} of {key} was used by a transaction that is not ours: the server's key is used \
                 elsewhere; stop the other use, then cancel {key}"
            ),
            Self::NonceGap { chain, lowest } => write!(
                f,
                "the chain's next nonce is {chain} and ours {lowest}: the chain was reset, is another one, or the \
                 node is far behind"
            ),
            Self::FeesAtCap { key, max_fee_per_gas } => write!(
                f,
                "{key} waits at {max_fee_per_gas} wei per gas, the most that is allowed: raise the ceiling or wait"
            ),
            Self::Rejected { key, reason } => write!(f, "the node does not take {key}: {reason}"),
            Self::Refused { key, reason, .. } => write!(f, "{key} is refused for now: {reason}"),
        }
    }
}

/// The lane of one signing key, as of its last step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SenderHealth {
    /// What needs a person.
    pub alarms: Vec<Alarm>,
    /// Nothing is sent any more until the process starts again or the intent is cancelled.
    pub halted: bool,
    /// Transactions with a nonce that are not mined.
    pub in_flight: usize,
    /// Mined and not final.
    pub mined: usize,
    /// Without a nonce.
    pub queued: usize,
    /// When the oldest of them all was asked for.
    pub oldest: Option<Timestamp>,
    /// Steps in a row that failed for want of the node or the database.
    pub failures: u32,
    /// Why the last one did.
    pub failure: Option<String>,
    /// When the last good step was.
    pub last_good: Option<Timestamp>,
}
