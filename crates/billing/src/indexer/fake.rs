//! A scripted chain and an index in memory, with just enough behaviour to be wrong in the ways that
//! matter: reorganizations between any two questions, nodes that refuse, lag and forget.

use crate::{
    chain::{BlockRef, ChainError, ChainEvent, EventBody, Hash32, IndexStep, StepEffects},
    ports::{ChainIndex, ChainReader},
};
use async_trait::async_trait;
use haithe_kernel::{StoreError, Timestamp, TokenUnits, WalletAddress};
use sha3::{Digest, Keccak256};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

pub(super) const ORG: WalletAddress = WalletAddress::new([1; 20]);

/// Something that happens to the chain.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// New blocks, each with so many events.
    Mine(Vec<usize>),
    /// The last `depth` blocks are replaced by `blocks` others. With `again`, the transactions of
    /// the old ones are mined again in the first of the new ones.
    Reorg {
        depth: usize,
        blocks: usize,
        again: bool,
    },
}

#[derive(Debug, Clone)]
struct Block {
    at: BlockRef,
    events: Vec<ChainEvent>,
}

struct Chain {
    blocks: Vec<Block>,
    ever: HashMap<Hash32, Block>,
    made: u64,
    scripted: Vec<(usize, Change)>,
    asked: usize,
    visible: Option<u64>,
    allowed: u64,
}

pub(super) struct FakeChain(Mutex<Chain>);

fn hash(of: &str, number: u64) -> Hash32 {
    Keccak256::new()
        .chain_update(of)
        .chain_update(number.to_be_bytes())
        .finalize()
        .into()
}

fn in_order(mut events: Vec<ChainEvent>) -> Vec<ChainEvent> {
    events.sort_by_key(|event| (event.block, event.tx));
    events
}

impl Chain {
    fn change(&mut self, change: Change) {
        match change {
            Change::Mine(blocks) => {
                for events in blocks {
                    let txs = (0..events).map(|_| self.fresh("tx")).collect();
                    self.push(txs);
                }
            }
            Change::Reorg { depth, blocks, again } => {
                let keep = self.blocks.len().saturating_sub(depth).max(1);
                let gone = self.blocks.split_off(keep);
                let mut txs: Vec<Hash32> = gone
                    .iter()
                    .flat_map(|block| block.events.iter().map(|event| event.tx))
                    .filter(|_| again)
                    .collect();
                for _ in 0..blocks {
                    self.push(std::mem::take(&mut txs));
                }
            }
        }
    }

    fn fresh(&mut self, of: &str) -> Hash32 {
        self.made += 1;
        hash(of, self.made)
    }

    fn push(&mut self, txs: Vec<Hash32>) {
        let number = self.blocks.len() as u64;
        let hash = self.fresh("block");
        let parent = self.blocks.last().map_or([0; 32], |block| block.at.hash);
        let time = Timestamp::from_seconds(1_700_000_000 + 12 * number as i64);
        let at = BlockRef {
            number,
            hash,
            parent,
            time,
        };
        let events = txs
            .into_iter()
            .map(|tx| ChainEvent {
                block: number,
                block_hash: hash,
                block_time: time,
                tx,
                log_index: 0,
                body: EventBody::Transfer {
                    from: WalletAddress::new([9; 20]),
                    to: ORG,
                    amount: Some(1),
                },
            })
            .collect();
        let block = Block { at, events };
        self.ever.insert(hash, block.clone());
        self.blocks.push(block);
    }

    fn head(&self) -> u64 {
        let newest = self.blocks.len() as u64 - 1;
        self.visible.map_or(newest, |visible| visible.min(newest))
    }
}

impl FakeChain {
    /// A chain with a genesis and these many blocks of one event each.
    pub(super) fn with(blocks: usize) -> Self {
        let mut chain = Chain {
            blocks: Vec::new(),
            ever: HashMap::new(),
            made: 0,
            scripted: Vec::new(),
            asked: 0,
            visible: None,
            allowed: u64::MAX,
        };
        chain.push(Vec::new());
        chain.change(Change::Mine(vec![1; blocks]));
        Self(Mutex::new(chain))
    }

    pub(super) fn change(&self, change: Change) {
        self.lock().change(change);
    }

    /// The change happens just before the node answers its next question but `after`.
    pub(super) fn change_later(&self, after: usize, change: Change) {
        let mut chain = self.lock();
        let at = chain.asked + after;
        chain.scripted.push((at, change));
    }

    /// The node refuses ranges of more than `blocks`.
    pub(super) fn allow(&self, blocks: u64) {
        self.lock().allowed = blocks;
    }

    /// The node knows blocks up to this one only.
    pub(super) fn show(&self, head: Option<u64>) {
        self.lock().visible = head;
    }

    pub(super) fn at(&self, number: u64) -> BlockRef {
        self.lock().blocks[number as usize].at
    }

    pub(super) fn tip(&self) -> BlockRef {
        self.lock().blocks.last().unwrap().at
    }

    /// Every event from `start` on.
    pub(super) fn truth(&self, start: u64) -> Vec<ChainEvent> {
        self.truth_at(self.tip(), start)
    }

    /// Every event from `start` to a block that is, or once was, on the chain.
    pub(super) fn truth_at(&self, tip: BlockRef, start: u64) -> Vec<ChainEvent> {
        let chain = self.lock();
        let mut events = Vec::new();
        let mut at = chain.ever.get(&tip.hash);
        while let Some(block) = at.filter(|block| block.at.number >= start) {
            events.extend(block.events.clone());
            at = chain.ever.get(&block.at.parent);
        }
        in_order(events)
    }

    fn lock(&self) -> MutexGuard<'_, Chain> {
        self.0.lock().unwrap()
    }

    fn asked(&self) -> MutexGuard<'_, Chain> {
        let mut chain = self.lock();
        let now = chain.asked;
        chain.asked += 1;
        let (due, later) = std::mem::take(&mut chain.scripted)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        chain.scripted = later;
        let due: Vec<(usize, Change)> = due;
        for (_, change) in due {
            chain.change(change);
        }
        chain
    }
}

#[async_trait]
impl ChainReader for FakeChain {
    async fn head(&self) -> Result<BlockRef, ChainError> {
        let chain = self.asked();
        Ok(chain.blocks[chain.head() as usize].at)
    }

    async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        let chain = self.asked();
        let known = number <= chain.head();
        Ok(chain
            .blocks
            .get(number as usize)
            .filter(|_| known)
            .map(|block| block.at))
    }

    async fn events(&self, from: u64, to: u64, _: Vec<WalletAddress>) -> Result<Vec<ChainEvent>, ChainError> {
        let chain = self.asked();
        if to - from >= chain.allowed {
            return Err(ChainError::RangeTooLarge);
        }
        let blocks = chain
            .blocks
            .iter()
            .filter(|block| (from..=to).contains(&block.at.number));
        Ok(blocks.flat_map(|block| block.events.clone()).collect())
    }

    async fn token_balances(
        &self,
        _: Vec<WalletAddress>,
        _: Option<u64>,
    ) -> Result<Vec<TokenUnits>, ChainError> {
        Err(ChainError::unavailable("the indexer reads no balances"))
    }
}

#[derive(Default)]
struct Index {
    checkpoint: Option<BlockRef>,
    blocks: BTreeMap<u64, BlockRef>,
    events: BTreeMap<(Hash32, u64), ChainEvent>,
    steps: Vec<(u64, u64, u64)>,
    rewinds: usize,
}

#[derive(Default)]
pub(super) struct FakeIndex(Mutex<Index>);

impl FakeIndex {
    /// Everything indexed.
    pub(super) fn events(&self) -> Vec<ChainEvent> {
        in_order(self.lock().events.values().cloned().collect())
    }

    pub(super) fn checkpoint(&self) -> Option<BlockRef> {
        self.lock().checkpoint
    }

    /// (to, confirmed, final) of every step.
    pub(super) fn steps(&self) -> Vec<(u64, u64, u64)> {
        self.lock().steps.clone()
    }

    pub(super) fn rewinds(&self) -> usize {
        self.lock().rewinds
    }

    pub(super) fn remembered(&self) -> Vec<u64> {
        self.lock().blocks.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl ChainIndex for FakeIndex {
    async fn bind(&self, _: u64, _: WalletAddress, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn withdrawal_delay(&self) -> Result<Option<Duration>, StoreError> {
        Ok(None)
    }

    async fn record_withdrawal_delay(&self, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<BlockRef>, StoreError> {
        Ok(self.lock().checkpoint)
    }

    async fn recent(&self, limit: u32) -> Result<Vec<BlockRef>, StoreError> {
        Ok(self
            .lock()
            .blocks
            .values()
            .rev()
            .take(limit as usize)
            .copied()
            .collect())
    }

    async fn organizations(&self) -> Result<Vec<WalletAddress>, StoreError> {
        Ok(vec![ORG])
    }

    async fn apply(&self, step: IndexStep) -> Result<StepEffects, StoreError> {
        let mut index = self.lock();
        assert!(step.blocks.is_sorted_by_key(|block| block.number));
        assert_eq!(step.blocks.last(), Some(&step.to));
        let mut effects = StepEffects::default();
        for event in step.events {
            let known = index.events.insert((event.tx, event.log_index), event);
            effects.new_events += u64::from(known.is_none());
        }
        index
            .blocks
            .extend(step.blocks.into_iter().map(|block| (block.number, block)));
        index.checkpoint = Some(step.to);
        index
            .steps
            .push((step.to.number, step.confirmed, step.last_final));
        Ok(effects)
    }

    async fn rewind(&self, to: BlockRef) -> Result<(), StoreError> {
        let mut index = self.lock();
        index.events.retain(|_, event| event.block <= to.number);
        index.blocks.retain(|number, _| *number <= to.number);
        index.checkpoint = Some(to);
        index.rewinds += 1;
        Ok(())
    }
}
