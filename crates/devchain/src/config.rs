//! What a chain is made of: identity, rules, genesis and pace.

use crate::accounts::{self, DEMO_BALANCE};
use alloy::primitives::{Address, U256};
use revm::primitives::hardfork::SpecId;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// Chain id of a chain that was not told otherwise; no public network uses it.
pub const DEFAULT_CHAIN_ID: u64 = 133_717;

/// One gwei in wei.
pub const GWEI: u64 = 1_000_000_000;

/// Everything that can be chosen when a chain starts.
///
/// `DevChainConfig { mining: Mining::Manual, ..Default::default() }` is the usual way to make one.
#[derive(Clone, Debug)]
pub struct DevChainConfig {
    /// EIP-155 chain id. Default [`DEFAULT_CHAIN_ID`].
    pub chain_id: u64,
    /// The rules transactions run by. Default [`Hardfork::Osaka`].
    pub hardfork: Hardfork,
    /// When blocks are made. Default [`Mining::Instant`].
    pub mining: Mining,
    /// Accounts that exist at genesis, with their balance in wei. Default: the demo accounts.
    pub funded: Vec<(Address, U256)>,
    /// File that keeps the chain across restarts; `None` forgets everything.
    ///
    /// An existing journal brings its own genesis: `funded`, `hardfork`, `block_gas_limit`,
    /// `base_fee`, `min_base_fee` and `genesis_time` are then taken from it.
    pub journal: Option<PathBuf>,
    /// `None`: the chain's clock is the machine's. `Some(t)`: a clock of its own begins at `t`
    /// (seconds since 1970) and moves only with blocks and time travel, so that two runs of the
    /// same test make the same block hashes.
    pub genesis_time: Option<u64>,
    /// Gas all transactions of one block may use together. Default 30 million.
    pub block_gas_limit: u64,
    /// Base fee of the first block in wei per gas. Default 1 gwei.
    pub base_fee: u64,
    /// Floor under the base fee, which otherwise melts away (EIP-1559) while a chain idles.
    /// Default 1 gwei; 0 is mainnet's rule.
    pub min_base_fee: u64,
    /// How far behind the head the `safe` block is. Default 32.
    pub safe_depth: u64,
    /// How far behind the head the `finalized` block is. Default 64.
    pub finalized_depth: u64,
    /// What `eth_getLogs` refuses to answer. Default: nothing.
    pub log_limits: LogLimits,
}

impl Default for DevChainConfig {
    fn default() -> Self {
        Self {
            chain_id: DEFAULT_CHAIN_ID,
            hardfork: Hardfork::Osaka,
            mining: Mining::Instant,
            funded: accounts::demo_accounts()
                .iter()
                .map(|a| (a.address, DEMO_BALANCE))
                .collect(),
            journal: None,
            genesis_time: None,
            block_gas_limit: 30_000_000,
            base_fee: GWEI,
            min_base_fee: GWEI,
            safe_depth: 32,
            finalized_depth: 64,
            log_limits: LogLimits::default(),
        }
    }
}

/// When the chain makes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mining {
    /// A block as soon as a transaction can run; the sender's answer comes after it.
    Instant,
    /// A block per interval, empty or not. After 64 empty blocks in a row only every twelfth
    /// tick makes one until a transaction arrives, so that an idle chain costs next to nothing.
    Interval(Duration),
    /// Only when asked: `mine`, `evm_mine`.
    Manual,
}

/// Ethereum's rules by the name of the upgrade that introduced them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hardfork {
    /// March 2024.
    Cancun,
    /// May 2025: EIP-7702 delegation, EIP-7623 calldata floor.
    Prague,
    /// December 2025: EIP-7825 caps one transaction at 2^24 gas.
    Osaka,
}

impl Hardfork {
    pub(crate) fn spec(self) -> SpecId {
        match self {
            Self::Cancun => SpecId::CANCUN,
            Self::Prague => SpecId::PRAGUE,
            Self::Osaka => SpecId::OSAKA,
        }
    }
}

/// Bounds on `eth_getLogs`, as hosted nodes have them; refusals carry code -32005.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogLimits {
    /// Most blocks one query may span.
    pub max_blocks: Option<u64>,
    /// Most logs one answer may hold.
    pub max_results: Option<usize>,
}

/// The part of the configuration that block hashes depend on; stored in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Genesis {
    pub chain_id: u64,
    pub hardfork: Hardfork,
    pub time: u64,
    /// The chain has a clock of its own instead of the machine's.
    pub own_clock: bool,
    pub block_gas_limit: u64,
    pub base_fee: u64,
    pub min_base_fee: u64,
    pub funded: Vec<(Address, U256)>,
}
