//! The node: state, blocks, pool and clock, and the rules that tie them together.
//!
//! A `Node` is plain data behind one lock. Everything that changes the chain goes through the
//! methods here and in [`crate::mine`], so that the journal hears of it.

use crate::{
    LogLimits, Mining, RpcError, admission,
    blocks::{Blocks, Slot},
    clock::Clock,
    config::Genesis,
    execute::View,
    filters::Filters,
    journal::{Entry, Journal},
    pool::{Pool, Pooled},
    state::{Mark, Overlay, State},
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag, RpcBlockHash},
    primitives::{Address, B256, U256},
};
use revm::{bytecode::Bytecode, state::AccountInfo};
use std::collections::BTreeMap;

/// How many blocks behind the head can be undone and asked for their state.
pub(crate) const HISTORY: u64 = 256;

/// Where to come back to.
#[derive(Debug)]
struct Snapshot {
    mark: Mark,
    pool: Pool,
    clock: Clock,
    next_base_fee: Option<u64>,
    next_timestamp: Option<u64>,
}

/// One chain.
#[derive(Debug)]
pub(crate) struct Node {
    pub state: State,
    pub blocks: Blocks,
    pub pool: Pool,
    pub clock: Clock,
    pub mining: Mining,
    /// Blocks leave the pool alone.
    pub holding: bool,
    pub next_base_fee: Option<u64>,
    pub next_timestamp: Option<u64>,
    pub log_limits: LogLimits,
    pub filters: Filters,
    /// Empty blocks since the last one with a transaction.
    pub idle: u64,
    safe_depth: u64,
    finalized_depth: u64,
    snapshots: BTreeMap<u64, Snapshot>,
    last_snapshot: u64,
    pub journal: Option<Journal>,
    /// While a journal is replayed nothing is written and nothing forgotten.
    pub replaying: bool,
    /// Why the journal cannot be written any more.
    broken: Option<String>,
}

/// Which state a question is about.
pub(crate) enum At {
    /// The head, or an older block of this number.
    Block(u64),
    /// The block that would be made now.
    Pending,
}

impl Node {
    pub fn new(config: &crate::DevChainConfig, genesis: Genesis) -> Self {
        let state = State::genesis(&genesis.funded);
        let clock = if genesis.own_clock {
            Clock::Own { now: genesis.time }
        } else {
            Clock::Machine { ahead: 0 }
        };
        Self {
            blocks: Blocks::new(genesis, state.commitment()),
            state,
            pool: Pool::default(),
            clock,
            mining: config.mining,
            holding: false,
            next_base_fee: None,
            next_timestamp: None,
            log_limits: config.log_limits,
            filters: Filters::default(),
            idle: 0,
            safe_depth: config.safe_depth,
            finalized_depth: config.finalized_depth,
            snapshots: BTreeMap::new(),
            last_snapshot: 0,
            journal: None,
            replaying: false,
            broken: None,
        }
    }

    // --- reading -------------------------------------------------------------------------------

    pub fn head(&self) -> u64 {
        self.blocks.head()
    }

    /// The state the next block builds on.
    pub fn latest(&self) -> View<'_> {
        View {
            state: &self.state,
            overlay: None,
            blocks: &self.blocks,
        }
    }

    /// An account at the head; an untouched one is all zeros.
    pub fn account(&self, address: &Address) -> AccountInfo {
        self.state.account(address).cloned().unwrap_or_default()
    }

    /// What the next block would be if it were made now.
    pub fn next_slot(&self) -> Slot {
        let head = self.head();
        let earliest = self.blocks.timestamp(head).unwrap_or_default().saturating_add(1);
        Slot {
            number: head + 1,
            timestamp: self
                .next_timestamp
                .unwrap_or_else(|| self.clock.now())
                .max(earliest),
            base_fee: self
                .next_base_fee
                .unwrap_or_else(|| self.blocks.base_fee_after(head)),
        }
    }

    /// The block a number or tag means; `None` when there is no such block (yet).
    pub fn number_of(&self, tag: BlockNumberOrTag) -> Option<u64> {
        let head = self.head();
        match tag {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => Some(head),
            BlockNumberOrTag::Safe => Some(head.saturating_sub(self.safe_depth)),
            BlockNumberOrTag::Finalized => Some(head.saturating_sub(self.finalized_depth)),
            BlockNumberOrTag::Earliest => Some(0),
            BlockNumberOrTag::Number(number) => (number <= head).then_some(number),
        }
    }

    /// The state a block id means.
    ///
    /// # Errors
    /// There is no such block.
    pub fn at(&self, id: BlockId) -> Result<At, RpcError> {
        match id {
            BlockId::Number(BlockNumberOrTag::Pending) => Ok(At::Pending),
            BlockId::Number(tag) => self
                .number_of(tag)
                .map(At::Block)
                .ok_or_else(|| RpcError::refused("header not found")),
            BlockId::Hash(RpcBlockHash { block_hash, .. }) => self
                .blocks
                .number_of(&block_hash)
                .map(At::Block)
                .ok_or_else(|| RpcError::refused("header for hash not found")),
        }
    }

    /// What must be undone in thought to see the state after block `number`.
    ///
    /// # Errors
    /// The block is too old for this node.
    pub fn overlay(&self, number: u64) -> Result<Option<Overlay>, RpcError> {
        if number == self.head() {
            return Ok(None);
        }
        self.state.at(number).map(Some).ok_or_else(|| {
            RpcError::refused(format!(
                "missing trie node: the state of block {number} is not kept, only that of the newest {HISTORY} blocks"
            ))
        })
    }

    // --- changing ------------------------------------------------------------------------------

    /// Takes a raw transaction into the pool.
    ///
    /// # Errors
    /// The rule it breaks, in geth's words.
    pub fn submit(&mut self, raw: &[u8]) -> Result<B256, RpcError> {
        self.writable()?;
        let tx = admission::decode(raw)?;
        let hash = *tx.tx_hash();
        if self.pool.get(&hash).is_some() {
            return Err(RpcError::refused("already known"));
        }
        admission::check(&tx, &self.state, &self.blocks, &self.pool)?;
        self.pool.insert(tx)?;
        self.filters.saw_pending(hash);
        Ok(hash)
    }

    /// Replaces an account's balance, nonce or code outside any transaction.
    pub fn edit_account(
        &mut self,
        address: Address,
        edit: impl FnOnce(&mut AccountInfo),
    ) -> Result<(), RpcError> {
        self.writable()?;
        let mut info = self.account(&address);
        edit(&mut info);
        self.write(&Entry::Account {
            address,
            balance: info.balance,
            nonce: info.nonce,
            code: info
                .code
                .as_ref()
                .map(Bytecode::original_bytes)
                .unwrap_or_default(),
        });
        self.state.set_account(address, info);
        Ok(())
    }

    /// Replaces a storage slot outside any transaction.
    pub fn edit_slot(&mut self, address: Address, slot: U256, value: U256) -> Result<(), RpcError> {
        self.writable()?;
        self.write(&Entry::Slot { address, slot, value });
        self.state.set_slot(address, slot, value);
        Ok(())
    }

    /// Moves the clock to so many seconds after now, or after the newest block if that is later:
    /// in instant mining a busy chain runs ahead of its clock.
    pub fn advance(&mut self, seconds: u64) {
        let head = self.blocks.timestamp(self.head()).unwrap_or_default();
        self.edit_clock(|clock| clock.set(clock.now().max(head).saturating_add(seconds)));
    }

    /// Moves the clock and remembers that it was moved.
    pub fn edit_clock(&mut self, edit: impl FnOnce(&mut Clock)) {
        edit(&mut self.clock);
        self.write(&Entry::Clock(self.clock));
    }

    // --- going back ----------------------------------------------------------------------------

    /// Remembers this moment and returns its id.
    pub fn snapshot(&mut self) -> u64 {
        self.last_snapshot += 1;
        let snapshot = Snapshot {
            mark: self.state.mark(),
            pool: self.pool.clone(),
            clock: self.clock,
            next_base_fee: self.next_base_fee,
            next_timestamp: self.next_timestamp,
        };
        self.snapshots.insert(self.last_snapshot, snapshot);
        self.last_snapshot
    }

    /// Goes back to a snapshot, which is used up by that, like every later one. `false` when
    /// there is no such snapshot, a reorg went behind it, or the journal is broken.
    pub fn revert(&mut self, id: u64) -> bool {
        if self.writable().is_err() {
            return false;
        }
        let Some(snapshot) = self.snapshots.remove(&id) else {
            return false;
        };
        self.snapshots.split_off(&id);
        if self.rewind(snapshot.mark).is_none() {
            return false;
        }
        self.pool = snapshot.pool;
        self.edit_clock(|clock| *clock = snapshot.clock);
        self.next_base_fee = snapshot.next_base_fee;
        self.next_timestamp = snapshot.next_timestamp;
        true
    }

    /// Undoes everything after `mark`; returns what was in the undone blocks, the oldest first.
    pub fn rewind(&mut self, mark: Mark) -> Option<Vec<(u64, Vec<Pooled>)>> {
        if !self.state.reaches(mark) {
            return None;
        }
        self.filters.rewound(mark.block, &self.blocks);
        self.state.rewind(mark);
        let gone = self.blocks.truncate(mark.block);
        self.snapshots
            .retain(|_, snapshot| snapshot.mark.block <= mark.block);
        self.write(&Entry::Rewind {
            block: mark.block,
            writes: mark.writes,
        });
        Some(gone)
    }

    /// A block was made: what lies too far behind it is forgotten.
    pub fn forget_history(&mut self) {
        if self.replaying {
            return;
        }
        let oldest_snapshot = self.snapshots.values().map(|snapshot| snapshot.mark.block).min();
        let keep = self
            .head()
            .saturating_sub(HISTORY)
            .min(oldest_snapshot.unwrap_or(u64::MAX));
        self.state.forget_before(keep);
    }

    // --- the journal ---------------------------------------------------------------------------

    /// Tells the journal. A journal that cannot be written stops the chain from changing.
    pub fn write(&mut self, entry: &Entry) {
        if self.replaying || self.broken.is_some() {
            return;
        }
        if let Some(Err(error)) = self.journal.as_mut().map(|journal| journal.append(entry)) {
            tracing::error!(%error, "the chain journal cannot be written; the chain stops here");
            self.broken = Some(error.to_string());
        }
    }

    /// # Errors
    /// The journal could not be written.
    pub fn writable(&self) -> Result<(), RpcError> {
        match &self.broken {
            None => Ok(()),
            Some(error) => Err(RpcError::internal(format!(
                "the chain journal cannot be written: {error}"
            ))),
        }
    }
}
