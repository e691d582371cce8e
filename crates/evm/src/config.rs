//! What has to be known about a chain before the first question is asked.

use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use haithe_billing::{chain::Depths, outbox::TxPurpose};
use haithe_kernel::{Decimals, WalletAddress};
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, time::Duration};

/// One gwei in wei.
pub const GWEI: u128 = 1_000_000_000;

/// The chain, the contracts on it and how careful to be.
#[derive(Debug, Clone)]
pub struct EvmConfig {
    /// The node's HTTP address. A secret: hosted nodes put the access key into it.
    pub rpc_url: SecretString,
    /// EIP-155 chain id the node must answer with.
    pub chain_id: u64,
    /// The orchestrator's contract.
    pub orchestrator: WalletAddress,
    /// Decimals the payment token must have.
    pub decimals: Decimals,
    /// Depths of confirmed and of final blocks.
    pub depths: Depths,
    /// Bounds on every question.
    pub limits: RpcLimits,
}

/// Bounds on what is asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcLimits {
    /// Longest wait for one answer, waiting for a free place included. Default 10 s.
    pub timeout: Duration,
    /// Longest wait for one answer on a request's path. Default 3 s.
    pub request_timeout: Duration,
    /// Questions under way at once. Default 16.
    pub concurrency: usize,
    /// Questions under way at once that run a stranger's code. Default 8.
    pub stranger_concurrency: usize,
    /// Gas a stranger's code may use in a question. Default 5 million.
    pub stranger_gas: u64,
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(3),
            concurrency: 16,
            stranger_concurrency: 8,
            stranger_gas: 5_000_000,
        }
    }
}

/// What transactions may cost and how long they are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendPolicy {
    /// Most wei per gas ever offered. Default 500 gwei.
    pub max_fee_ceiling: u128,
    /// Most gas of one transaction. Default 12 million, below EIP-7825's 2²⁴.
    pub gas_cap: u64,
    /// Gas limit of a batch that cannot be simulated because others are on their way before it: the
    /// bound of every batch. Default 8 million.
    pub batch_gas: u64,
    /// How long an attempt may wait for a block before the fees are raised. Default 60 s.
    pub bump_after: Duration,
    /// How often an attempt that waits is sent again. Default 15 s.
    pub resend_every: Duration,
    /// How long a batch that the contract refuses waits for the next try. Default 15 s.
    pub retry_refused: Duration,
    /// Transactions that may wait for a block at once. Default 8.
    pub max_in_flight: usize,
    /// How often the chain is looked at while something is under way. Default 1 s.
    pub poll: Duration,
    /// How often the outbox is looked at while nothing is. Default 5 s.
    pub idle_poll: Duration,
}

impl Default for SendPolicy {
    fn default() -> Self {
        Self {
            max_fee_ceiling: 500 * GWEI,
            gas_cap: 12_000_000,
            batch_gas: 8_000_000,
            bump_after: Duration::from_secs(60),
            resend_every: Duration::from_secs(15),
            retry_refused: Duration::from_secs(15),
            max_in_flight: 8,
            poll: Duration::from_secs(1),
            idle_poll: Duration::from_secs(5),
        }
    }
}

impl SendPolicy {
    /// Transactions that may be in flight when one of this purpose starts. Half of the places are
    /// settlement's alone.
    pub(crate) const fn places_for(&self, purpose: TxPurpose) -> usize {
        if purpose.is_settlement() {
            self.max_in_flight
        } else {
            self.max_in_flight.div_ceil(2)
        }
    }
}

/// What the server pays for other wallets within 24 hours, and when it pays nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SponsorBudget {
    /// Whether the server pays at all. Default true.
    pub enabled: bool,
    /// Transactions for one wallet. Default 3.
    pub per_wallet: u64,
    /// Transactions requested from one client network. Default 60.
    pub per_network: u64,
    /// Transactions in all. Default 200.
    pub global: u64,
    /// Wei that settlement needs: the server pays nothing for others while its balance is at or below
    /// this. Default 0.
    pub reserve: u128,
}

impl Default for SponsorBudget {
    fn default() -> Self {
        Self {
            enabled: true,
            per_wallet: 3,
            per_network: 60,
            global: 200,
            reserve: 0,
        }
    }
}

/// How many roles the server mirrors at its own expense within 24 hours. What is beyond waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleBudget {
    /// Decided by one wallet. Default 50.
    pub per_wallet: u64,
    /// In all. Default 2000.
    pub global: u64,
}

impl Default for RoleBudget {
    fn default() -> Self {
        Self {
            per_wallet: 50,
            global: 2_000,
        }
    }
}

/// A private key that signs transactions. Prints its address and never the key.
#[derive(Clone)]
pub struct ServerKey(pub(crate) PrivateKeySigner);

/// A text is no private key. Says nothing about the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a private key is 64 hexadecimal digits, with or without 0x, below the order of secp256k1")]
pub struct KeyError;

impl ServerKey {
    /// Reads 64 hexadecimal digits, with or without `0x`.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn parse(secret: &SecretString) -> Result<Self, KeyError> {
        let key: B256 = secret.expose_secret().trim().parse().map_err(|_| KeyError)?;
        let signer = PrivateKeySigner::from_bytes(&key).map_err(|_| KeyError)?;
        Ok(Self(signer))
    }

    /// The account the key controls.
    pub fn address(&self) -> WalletAddress {
        WalletAddress::new(self.0.address().into_array())
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKey({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_with_and_without_0x_and_never_printed() {
        let digits = "11".repeat(32);
        let plain = ServerKey::parse(&SecretString::from(digits.clone())).unwrap();
        let prefixed = ServerKey::parse(&SecretString::from(format!("0x{digits}\n"))).unwrap();
        assert_eq!(plain.address(), prefixed.address());
        assert!(!format!("{plain:?}").contains(&digits));
    }

    #[test]
    fn texts_that_are_no_key_are_refused() {
        for text in [
            "",
            "0x",
            "11",
            &"00".repeat(32),
            &"ff".repeat(32),
            &"zz".repeat(32),
        ] {
            assert!(
                ServerKey::parse(&SecretString::from(text.to_owned())).is_err(),
                "{text}"
            );
        }
    }
}
