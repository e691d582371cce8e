//! One step of the index, and what it changed.

use super::{BlockRef, ChainEvent};
use haithe_kernel::{TokenUnits, WalletAddress};

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
