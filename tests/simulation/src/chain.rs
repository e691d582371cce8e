//! A model chain: blocks, a pool of transactions, and reorganizations that drop blocks and mine their transactions
//! again in another order, in other blocks, or not at all.

use crate::contract::{Act, Contract, Surroundings};
use haithe_billing::chain::{BlockRef, ChainEvent, Hash32};
use haithe_kernel::Timestamp;
use rand::{Rng, rngs::StdRng, seq::SliceRandom};

/// A transaction.
#[derive(Debug, Clone)]
pub struct Tx {
    /// Its hash.
    pub hash: Hash32,
    /// What it does.
    pub act: Act,
    /// Its nonce, for transactions of the server's key; other wallets' nonces do not matter here.
    pub nonce: Option<u64>,
}

/// A block, and the contracts' state after it.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its name.
    pub reference: BlockRef,
    txs: Vec<(Tx, bool)>,
    events: Vec<ChainEvent>,
    after: Contract,
}

/// A chain and its node.
#[derive(Debug)]
pub struct Chain {
    blocks: Vec<Block>,
    /// Blocks that no reorganization drops.
    kept: usize,
    /// The number of the highest head that there ever was: what was final then stays.
    highest: u64,
    pool: Vec<Tx>,
    hashes: u64,
    /// Faults of the surroundings at the moment.
    pub around: Surroundings,
    /// Transactions of the server's key are not mined.
    pub is_stuck: bool,
    /// The node does not respond.
    pub is_away: bool,
    /// The node returns every event twice.
    pub repeats: bool,
}

impl Chain {
    /// A chain of one empty block.
    pub fn new(now: Timestamp) -> Self {
        let mut chain = Self {
            blocks: Vec::new(),
            kept: 1,
            highest: 0,
            pool: Vec::new(),
            hashes: 0,
            around: Surroundings::default(),
            is_stuck: false,
            is_away: false,
            repeats: false,
        };
        chain.append(Vec::new(), Contract::default(), now);
        chain
    }

    /// No reorganization drops a block that there is now.
    pub fn keep(&mut self) {
        self.kept = self.blocks.len();
    }

    /// A hash that nothing else has.
    pub fn new_hash(&mut self) -> Hash32 {
        self.hashes += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.hashes.to_be_bytes());
        hash
    }

    /// Sends a transaction of a wallet outside.
    pub fn send(&mut self, act: Act) {
        let hash = self.new_hash();
        self.pool.push(Tx {
            hash,
            act,
            nonce: None,
        });
    }

    /// Sends a signed transaction of the server's key; one that is known already changes nothing.
    pub fn broadcast(&mut self, tx: Tx) {
        let is_mined = self.mined(tx.hash).is_some();
        if !is_mined && !self.pool.iter().any(|known| known.hash == tx.hash) {
            self.pool.push(tx);
        }
    }

    /// The newest block.
    pub fn head(&self) -> &Block {
        self.blocks.last().expect("there is always one block")
    }

    /// A block by number.
    pub fn block(&self, number: u64) -> Option<BlockRef> {
        let block = self.blocks.get(usize::try_from(number).ok()?)?;
        Some(block.reference)
    }

    /// The contracts' state after the newest block.
    pub fn state(&self) -> &Contract {
        &self.head().after
    }

    /// The block that contains a transaction, and whether it was successful.
    pub fn mined(&self, hash: Hash32) -> Option<(u64, bool)> {
        self.blocks.iter().rev().find_map(|block| {
            let (_, success) = block.txs.iter().find(|(tx, _)| tx.hash == hash)?;
            Some((block.reference.number, *success))
        })
    }

    /// Events of blocks from `from` to `to`, in the order of the chain.
    pub fn events(&self, from: u64, to: u64) -> Vec<ChainEvent> {
        let range = self
            .blocks
            .iter()
            .filter(|block| (from..=to).contains(&block.reference.number));
        let mut events: Vec<ChainEvent> = range.flat_map(|block| &block.events).cloned().collect();
        if self.repeats {
            events = events
                .iter()
                .flat_map(|event| [event.clone(), event.clone()])
                .collect();
        }
        events
    }

    /// Mines a block of transactions from the pool, in an order that `rng` decides.
    pub fn mine(&mut self, rng: &mut StdRng, now: Timestamp, all: bool) {
        let mut pool = std::mem::take(&mut self.pool);
        pool.shuffle(rng);
        // Transactions of one key are mined in the order of their nonces; of one nonce, any of them.
        let nonce = |tx: &Tx| tx.nonce.unwrap_or(0);
        let (mut server, mut chosen): (Vec<Tx>, Vec<Tx>) =
            pool.into_iter().partition(|tx| tx.nonce.is_some());
        server.sort_by_key(nonce);
        let mut later: Vec<Tx> = Vec::new();
        if !all {
            let (now, after) = chosen.into_iter().partition(|_| rng.random_bool(0.85));
            (chosen, later) = (now, after);
        }
        let mut next = self.state().nonce;
        for tx in server {
            if nonce(&tx) == next && !self.is_stuck && (all || rng.random_bool(0.8)) {
                next += 1;
                let at = rng.random_range(0..=chosen.len());
                let after = chosen
                    .iter()
                    .rposition(|tx| tx.nonce.is_some())
                    .map_or(0, |last| last + 1);
                chosen.insert(at.max(after), tx);
            } else if nonce(&tx) >= next {
                later.push(tx);
            }
        }
        self.pool = later;
        let state = self.state().clone();
        self.append(chosen, state, now);
    }

    fn append(&mut self, txs: Vec<Tx>, mut state: Contract, now: Timestamp) {
        let parent = self.blocks.last().map(|block| block.reference);
        let reference = BlockRef {
            number: u64::try_from(self.blocks.len()).expect("few blocks"),
            hash: self.new_hash(),
            parent: parent.map_or([0; 32], |parent| parent.hash),
            time: parent.map_or(now, |parent| parent.time.max(now)),
        };
        self.highest = self.highest.max(reference.number);
        let (mut events, mut done) = (Vec::new(), Vec::new());
        for tx in txs {
            let bodies = state.run(&tx.act, reference.time, &self.around);
            if tx.nonce.is_some() {
                state.nonce += 1;
            }
            done.push((tx.clone(), bodies.is_some()));
            for body in bodies.into_iter().flatten() {
                events.push(ChainEvent {
                    block: reference.number,
                    block_hash: reference.hash,
                    block_time: reference.time,
                    tx: tx.hash,
                    log_index: u64::try_from(events.len()).expect("few events"),
                    body,
                });
            }
        }
        self.blocks.push(Block {
            reference,
            txs: done,
            events,
            after: state,
        });
    }

    /// Drops the newest blocks, but none that is kept or was ever `finality` blocks deep. Their transactions may be
    /// mined again; with `loses`, some of them never are. Returns how many blocks were dropped.
    pub fn reorganize(&mut self, rng: &mut StdRng, depth: u64, finality: u64, loses: bool) -> u64 {
        let last_final = (self.highest + 1).saturating_sub(finality);
        let depth = depth.min(self.head().reference.number.saturating_sub(last_final));
        let mut dropped = 0;
        while dropped < depth && self.blocks.len() > self.kept {
            let block = self.blocks.pop().expect("more than are kept");
            for (tx, _) in block.txs {
                if !(loses && rng.random_bool(0.4)) {
                    self.pool.push(tx);
                }
            }
            dropped += 1;
        }
        dropped
    }

    /// What a batch would do on the newest block.
    pub fn would_refuse(&self, batch: &haithe_billing::batch::Batch, now: Timestamp) -> bool {
        let is_refused = self
            .around
            .most_calls
            .is_some_and(|most| batch.items.len() > most);
        is_refused && !self.state().is_paused(now)
    }
}
