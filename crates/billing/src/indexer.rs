//! The indexer: keeps the local copy of the chain complete, and honest when the chain changes its mind.
//!
//! Each [`Indexer::step`] extends the copy by one range of blocks, or takes it back to where it and
//! the chain agree. Everything a step finds is written with its checkpoint in one transaction, so a
//! crash repeats a step and never skips one.
//!
//! The chain may change while it is read. A step therefore checks, after reading the events, that
//! the blocks it read them from are still there and form one chain with the checkpoint; if not, it
//! writes nothing and starts over.

use crate::{
    chain::{BlockRef, ChainError, ChainEvent, Depths, IndexStep, StepEffects},
    gate::SettlementGate,
    ports::{ChainIndex, ChainReader},
    range::RangeSize,
};
use haithe_kernel::{Clock, Failure, Kind, StoreError, WalletAddress};
use std::{fmt, sync::Arc};

/// How the chain is read.
#[derive(Debug, Clone, Copy)]
pub struct IndexerConfig {
    /// The first block that can hold one of our events.
    pub start: u64,
    /// How deep a block must be before its facts count.
    pub depths: Depths,
    /// The most blocks to ask for at once. At least 1.
    pub range: u64,
    /// How many of the newest blocks to remember: the deepest reorganization that can be undone.
    /// At least `depths.finality`.
    pub remembered: u32,
}

/// Copies the chain, step by step.
pub struct Indexer {
    reader: Arc<dyn ChainReader>,
    index: Arc<dyn ChainIndex>,
    clock: Arc<dyn Clock>,
    gate: Arc<SettlementGate>,
    config: IndexerConfig,
    range: RangeSize,
}

/// Where the index stands after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexProgress {
    /// The chain's newest block, as the node said when the step began.
    pub head: BlockRef,
    /// The last indexed block.
    pub checkpoint: Option<BlockRef>,
    /// What the step changed.
    pub effects: StepEffects,
    /// How many blocks a reorganization took back; their successors come with the next steps.
    pub rewound: Option<u64>,
}

impl IndexProgress {
    /// How many blocks are still to be indexed. None of a chain that has not reached the start.
    pub fn lag(&self) -> u64 {
        let indexed = self.checkpoint.map_or(self.head.number, |block| block.number);
        self.head.number.saturating_sub(indexed)
    }

    /// Whether there is nothing to do until the chain grows; if not, step again at once.
    pub fn is_caught_up(&self) -> bool {
        self.rewound.is_none() && self.lag() == 0
    }
}

/// Why a step failed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The chain gave no answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The index could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain changed each time it was read.
    #[error("the chain keeps changing while it is read; it will be read again")]
    Moving,
    /// None of the remembered blocks is on the chain any more.
    #[error(
        "the chain no longer has any of the {remembered} last indexed blocks up to {checkpoint}: either the node serves another chain, or it was reorganized deeper than can be undone; check the node, then restore the index from a backup that the chain still agrees with"
    )]
    TooDeep {
        /// The last indexed block.
        checkpoint: u64,
        /// How many blocks were compared.
        remembered: usize,
    },
}

impl Failure for IndexError {
    fn kind(&self) -> Kind {
        match self {
            Self::Chain(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Moving => Kind::Unavailable,
            Self::TooDeep { .. } => Kind::Internal,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Chain(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Moving => "chain_moving",
            Self::TooDeep { .. } => "reorganization_too_deep",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Chain(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            Self::Moving => Some(1),
            Self::TooDeep { .. } => None,
        }
    }
}

/// How the checkpoint relates to the chain.
enum Relation {
    /// The chain continues it.
    Extended,
    /// The node has not come as far as the index, and agrees as far as it goes.
    Ahead,
    /// The chain left at this block.
    Forked(BlockRef),
}

/// How often a step starts over because the chain changed while it was read.
const ATTEMPTS: usize = 3;

impl Indexer {
    /// An indexer that reports to `gate` how complete the index is.
    pub fn new(
        reader: Arc<dyn ChainReader>,
        index: Arc<dyn ChainIndex>,
        clock: Arc<dyn Clock>,
        gate: Arc<SettlementGate>,
        config: IndexerConfig,
    ) -> Self {
        Self {
            reader,
            index,
            clock,
            gate,
            config,
            range: RangeSize::new(config.range),
        }
    }

    /// Binds the index to this chain and orchestrator for ever. Once, at start.
    ///
    /// # Errors
    /// [`StoreError`] when the index holds another chain or orchestrator.
    pub async fn bind(&self, chain_id: u64, orchestrator: WalletAddress) -> Result<(), StoreError> {
        self.index.bind(chain_id, orchestrator, self.config.start).await
    }

    /// Indexes the next range of blocks, or undoes what a reorganization took back.
    ///
    /// # Errors
    /// [`IndexError`]; all but [`IndexError::TooDeep`] may pass when the step is repeated.
    pub async fn step(&self) -> Result<IndexProgress, IndexError> {
        for _ in 1..ATTEMPTS {
            match self.attempt().await {
                Err(IndexError::Moving) => {}
                done => return done,
            }
        }
        self.attempt().await
    }

    /// One step; [`IndexError::Moving`] when the chain changed meanwhile.
    async fn attempt(&self) -> Result<IndexProgress, IndexError> {
        let asked_at = self.clock.now();
        let head = self.reader.head().await?;
        let mut progress = IndexProgress {
            head,
            checkpoint: self.index.checkpoint().await?,
            effects: StepEffects::default(),
            rewound: None,
        };
        let mut next = self.config.start;
        if let Some(checkpoint) = progress.checkpoint {
            match self.relation(checkpoint, head).await? {
                Relation::Extended => next = checkpoint.number.saturating_add(1),
                Relation::Ahead => return Ok(progress),
                Relation::Forked(ancestor) => {
                    self.rewind(checkpoint, ancestor).await?;
                    progress.checkpoint = Some(ancestor);
                    progress.rewound = Some(checkpoint.number.saturating_sub(ancestor.number));
                    return Ok(progress);
                }
            }
        }
        if next <= head.number {
            let step = self.read(next, head, progress.checkpoint).await?;
            progress.checkpoint = Some(step.to);
            progress.effects = self.index.apply(step).await?;
        }
        let complete_until = match progress.checkpoint {
            Some(checkpoint) if progress.lag() > 0 => checkpoint.time,
            _ => asked_at,
        };
        self.gate.indexed_through(complete_until);
        Ok(progress)
    }

    async fn relation(&self, checkpoint: BlockRef, head: BlockRef) -> Result<Relation, IndexError> {
        if head.number >= checkpoint.number
            && self.block(checkpoint.number, head).await?.hash == checkpoint.hash
        {
            return Ok(Relation::Extended);
        }
        let remembered = self.index.recent(self.remembered()).await?;
        let comparable = remembered.iter().filter(|block| block.number <= head.number);
        for (depth, block) in comparable.enumerate() {
            if self.block(block.number, head).await?.hash == block.hash {
                let lagging = depth == 0 && head.number < checkpoint.number;
                return Ok(if lagging {
                    Relation::Ahead
                } else {
                    Relation::Forked(*block)
                });
            }
        }
        self.before_everything(checkpoint, head, &remembered).await
    }

    /// No remembered block is on the chain. That can be undone only when all there ever was is
    /// remembered, and can be told only from a node that has come far enough.
    async fn before_everything(
        &self,
        checkpoint: BlockRef,
        head: BlockRef,
        remembered: &[BlockRef],
    ) -> Result<Relation, IndexError> {
        let oldest = remembered.last().map_or(checkpoint.number, |block| block.number);
        if head.number < oldest {
            return Ok(Relation::Ahead);
        }
        if oldest <= self.config.start
            && let Some(before) = self.config.start.checked_sub(1)
            && let Some(block) = self.reader.block(before).await?
        {
            return Ok(Relation::Forked(block));
        }
        let error = IndexError::TooDeep {
            checkpoint: checkpoint.number,
            remembered: remembered.len(),
        };
        tracing::error!(checkpoint = checkpoint.number, head = head.number, "{error}");
        Err(error)
    }

    async fn rewind(&self, checkpoint: BlockRef, ancestor: BlockRef) -> Result<(), IndexError> {
        let blocks = checkpoint.number.saturating_sub(ancestor.number);
        if blocks >= self.config.depths.finality {
            tracing::error!(
                checkpoint = checkpoint.number,
                ancestor = ancestor.number,
                "the chain took back {blocks} blocks, some of which counted as final; raise `finality`"
            );
        } else {
            tracing::warn!(
                checkpoint = checkpoint.number,
                ancestor = ancestor.number,
                "the chain took back {blocks} blocks; the index follows"
            );
        }
        self.index.rewind(ancestor).await?;
        Ok(())
    }

    /// Reads from `from` as far as the node allows at once.
    async fn read(
        &self,
        from: u64,
        head: BlockRef,
        checkpoint: Option<BlockRef>,
    ) -> Result<IndexStep, IndexError> {
        let orgs = self.index.organizations().await?;
        loop {
            let to = self.range.end(from, head.number);
            match self.read_range(from, to, head, checkpoint, orgs.clone()).await {
                Err(IndexError::Chain(ChainError::RangeTooLarge)) if self.range.shrink(from, to) => {}
                Ok(step) => {
                    self.range.grow();
                    return Ok(step);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_range(
        &self,
        from: u64,
        to: u64,
        head: BlockRef,
        checkpoint: Option<BlockRef>,
        orgs: Vec<WalletAddress>,
    ) -> Result<IndexStep, IndexError> {
        let blocks = self.blocks(from, to, head).await?;
        let events = self.reader.events(from, to, orgs).await?;
        if events.iter().any(|event| event.block < from || event.block > to) {
            return Err(
                ChainError::unavailable("the node sent events of blocks that were not asked for").into(),
            );
        }
        let last = blocks.last().copied().ok_or(IndexError::Moving)?;
        let now = self.reader.block(to).await?;
        if now != Some(last) || !is_one_chain(checkpoint, &blocks) || !are_in(&events, &blocks) {
            return Err(IndexError::Moving);
        }
        let depths = self.config.depths;
        Ok(IndexStep {
            events,
            blocks,
            to: last,
            confirmed: deep(head, depths.confirmations).min(to),
            last_final: deep(head, depths.finality.max(depths.confirmations)).min(to),
        })
    }

    /// The blocks of [`from`, `to`] to remember: the last one, and those that may yet be reorganized.
    async fn blocks(&self, from: u64, to: u64, head: BlockRef) -> Result<Vec<BlockRef>, IndexError> {
        let depth = u64::from(self.remembered()).saturating_sub(1);
        let shallow = head.number.saturating_sub(depth);
        let mut blocks = Vec::new();
        for number in from.max(shallow).min(to)..=to {
            blocks.push(self.block(number, head).await?);
        }
        Ok(blocks)
    }

    /// A block at or below `head`; without it the chain has changed since `head` was asked for.
    async fn block(&self, number: u64, head: BlockRef) -> Result<BlockRef, IndexError> {
        if number == head.number {
            return Ok(head);
        }
        self.reader.block(number).await?.ok_or(IndexError::Moving)
    }

    fn remembered(&self) -> u32 {
        let finality = u32::try_from(self.config.depths.finality).unwrap_or(u32::MAX);
        self.config.remembered.max(finality).max(1)
    }
}

/// The newest block with `depth` blocks on top, its own included.
fn deep(head: BlockRef, depth: u64) -> u64 {
    head.number.saturating_add(1).saturating_sub(depth.max(1))
}

/// Whether neighbours among the blocks, and the checkpoint before them, are parent and child.
fn is_one_chain(checkpoint: Option<BlockRef>, blocks: &[BlockRef]) -> bool {
    let children = blocks.iter();
    let parents = checkpoint.iter().chain(blocks.iter());
    let skip = usize::from(checkpoint.is_none());
    parents
        .zip(children.skip(skip))
        .all(|(parent, child)| child.number != parent.number.saturating_add(1) || child.parent == parent.hash)
}

/// Whether events of known blocks come from those blocks and not from others of the same number.
fn are_in(events: &[ChainEvent], blocks: &[BlockRef]) -> bool {
    events.iter().all(|event| {
        let known = blocks.binary_search_by_key(&event.block, |block| block.number);
        known
            .ok()
            .and_then(|at| blocks.get(at))
            .is_none_or(|block| block.hash == event.block_hash)
    })
}

impl fmt::Debug for Indexer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
