//! Making blocks: choosing transactions, running them, sealing the result; and unmaking them.

use crate::{
    Mining, RpcError, admission,
    blocks::{Mined, Slot},
    execute,
    journal::{EmptyRun, Entry},
    node::Node,
    pool::Pooled,
    state::Mark,
};
use alloy::{
    consensus::{Eip658Value, Receipt, ReceiptEnvelope, Transaction},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, map::AddressSet},
};
use revm::{context::result::ExecutionResult, database_interface::WrapDatabaseRef};
use std::sync::Arc;

/// Empty blocks in a row after which an idle chain slows down.
const IDLE_AFTER: u64 = 64;

/// An idle chain makes a block on every so many ticks.
const IDLE_STRIDE: u64 = 12;

/// What becomes of the transactions of blocks that a reorg throws away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReorgTxs {
    /// They vanish, as if no miner had ever heard of them.
    Drop,
    /// They wait in the pool again for the next block; the replacement blocks are empty.
    Requeue,
    /// They are mined again in the same order, all in the first replacement block.
    Replay,
    /// They are mined again with the senders' order reversed (a sender's own nonces stay in
    /// order), all in the last replacement block.
    Reorder,
    /// Like [`Self::Replay`], but these vanish, and so does what depended on them.
    Without(Vec<B256>),
    /// The replacement blocks hold these raw transactions, block by block, and no others.
    Exactly(Vec<Vec<Bytes>>),
}

/// A block as it was sealed.
pub(crate) struct Sealed {
    pub hash: B256,
    /// Hashes of what it contains.
    pub mined: Vec<B256>,
}

impl Node {
    /// Makes one block now, with whatever can be mined; none once the journal is broken.
    pub fn mine(&mut self) {
        if self.writable().is_err() {
            return;
        }
        let slot = self.next_slot();
        let txs = if self.holding {
            Vec::new()
        } else {
            self.ready(&slot)
        };
        self.make(slot, txs);
    }

    /// Instant mining: blocks for as long as the pool has something to mine.
    pub fn mine_instantly(&mut self) {
        while self.mining == Mining::Instant && !self.holding && self.writable().is_ok() {
            let slot = self.next_slot();
            let txs = self.ready(&slot);
            if txs.is_empty() {
                return;
            }
            self.make(slot, txs);
        }
    }

    /// Interval mining: the clock ticked for the `tick`th time.
    pub fn tick(&mut self, tick: u64) {
        let idle = self.idle >= IDLE_AFTER && (self.holding || self.pool.is_empty());
        if self.writable().is_err() || (idle && !tick.is_multiple_of(IDLE_STRIDE)) {
            return;
        }
        self.mine();
    }

    /// What the pool offers a block, best first.
    pub fn ready(&self, slot: &Slot) -> Vec<Pooled> {
        self.pool
            .ready(slot.base_fee, |sender| self.account(sender).nonce)
    }

    /// Takes `depth` blocks away; returns their timestamps and transactions, the oldest first.
    ///
    /// # Errors
    /// The chain cannot go back that far; nothing changed.
    pub fn rollback(&mut self, depth: u64) -> Result<Vec<(u64, Vec<Pooled>)>, RpcError> {
        self.writable()?;
        let head = self.head();
        let target = head.checked_sub(depth);
        target
            .and_then(|block| {
                self.rewind(Mark {
                    block,
                    writes: usize::MAX,
                })
            })
            .ok_or_else(|| {
                RpcError::params(format!("a chain with head {head} cannot go back {depth} blocks"))
            })
    }

    /// Throws away `depth` blocks and makes as many new ones, which keep the old ones' times.
    ///
    /// # Errors
    /// The chain cannot go back that far, or `keep` holds no transactions; nothing changed.
    pub fn reorg(&mut self, depth: u64, keep: ReorgTxs) -> Result<(), RpcError> {
        let chosen = match &keep {
            ReorgTxs::Exactly(blocks) => decode_all(blocks)?,
            _ => Vec::new(),
        };
        if depth == 0 {
            return Ok(());
        }
        let gone = self.rollback(depth)?;
        let times: Vec<u64> = gone.iter().map(|(time, _)| *time).collect();
        let txs: Vec<Pooled> = gone.into_iter().flat_map(|(_, txs)| txs).collect();
        let mut blocks: Vec<Vec<Pooled>> = vec![Vec::new(); times.len()];
        match keep {
            ReorgTxs::Drop => {}
            ReorgTxs::Requeue => self.requeue(txs),
            ReorgTxs::Replay => fill(blocks.first_mut(), txs),
            ReorgTxs::Reorder => fill(blocks.last_mut(), reversed_by_sender(txs)),
            ReorgTxs::Without(hashes) => {
                fill(
                    blocks.first_mut(),
                    txs.into_iter()
                        .filter(|tx| !hashes.contains(tx.tx_hash()))
                        .collect(),
                );
            }
            ReorgTxs::Exactly(_) => blocks
                .iter_mut()
                .zip(chosen)
                .for_each(|(block, txs)| *block = txs),
        }
        for (time, txs) in times.into_iter().zip(blocks) {
            let slot = Slot {
                timestamp: time,
                ..self.next_slot()
            };
            self.make(slot, txs);
        }
        Ok(())
    }

    /// Puts mined transactions back into the pool, as far as they are still admissible.
    fn requeue(&mut self, txs: Vec<Pooled>) {
        for tx in txs {
            if let Err(error) = self.pool.insert(Arc::clone(&tx)) {
                tracing::debug!(%error, hash = %tx.tx_hash(), "an orphaned transaction is not taken back");
            }
        }
    }

    /// Seals a block of its own making and tells the journal.
    fn make(&mut self, slot: Slot, txs: Vec<Pooled>) {
        let usual = slot.base_fee == self.blocks.base_fee_after(self.head());
        let sealed = self.seal(slot, txs);
        if sealed.mined.is_empty() && usual {
            self.write(&Entry::Empty(EmptyRun::one(
                slot.number,
                slot.timestamp,
                sealed.hash,
            )));
        } else {
            let raw = |mined: &Mined| Bytes::from(mined.tx.encoded_2718());
            let transactions = self.blocks.transactions(slot.number).iter().map(raw).collect();
            self.write(&Entry::Block {
                slot,
                hash: sealed.hash,
                transactions,
            });
        }
    }

    /// Runs transactions in the given order and seals a block of those that are valid in it.
    /// Invalid ones are dropped from the pool; those that do not fit stay there.
    pub(crate) fn seal(&mut self, slot: Slot, txs: Vec<Pooled>) -> Sealed {
        let genesis = self.blocks.genesis();
        let gas_limit = genesis.block_gas_limit;
        let parent = self.blocks.hash(self.head()).unwrap_or_default();
        let cfg = execute::rules(genesis);
        let env = execute::block_env(genesis, &slot, &parent);
        self.state.begin_block();
        let mut block = Assembly::default();
        for tx in txs {
            if block.waiting.contains(&tx.signer()) {
                continue;
            }
            if block.gas_used.saturating_add(tx.gas_limit()) > gas_limit {
                block.waiting.insert(tx.signer());
                continue;
            }
            match execute::transact(WrapDatabaseRef(self.latest()), &cfg, &env, execute::tx_env(&tx)) {
                Ok(done) => {
                    self.state.commit(done.state);
                    block.add(tx, &done.result, slot.base_fee);
                }
                Err(error) => {
                    tracing::debug!(%error, hash = %tx.tx_hash(), "a transaction cannot be mined and is dropped");
                    self.pool.remove(tx.tx_hash());
                    block.waiting.insert(tx.signer());
                }
            }
        }
        let mined: Vec<B256> = block.mined.iter().map(|m| *m.tx.tx_hash()).collect();
        let hash = self.blocks.push(slot, self.state.commitment(), block.mined);
        // Not only the senders': a delegation (EIP-7702) uses up a nonce of its authority.
        let state = &self.state;
        self.pool
            .forget_used(|sender| state.account(sender).map_or(0, |account| account.nonce));
        self.idle = if mined.is_empty() { self.idle + 1 } else { 0 };
        self.clock.not_before(slot.timestamp);
        self.next_base_fee = None;
        self.next_timestamp = None;
        self.forget_history();
        Sealed { hash, mined }
    }
}

/// A block while it fills.
#[derive(Default)]
struct Assembly {
    mined: Vec<Mined>,
    gas_used: u64,
    logs: u64,
    /// Senders whose later transactions must wait because an earlier one does.
    waiting: AddressSet,
}

impl Assembly {
    fn add(&mut self, tx: Pooled, result: &ExecutionResult, base_fee: u64) {
        let gas_used = result.tx_gas_used();
        self.gas_used += gas_used;
        let logs = if result.is_success() {
            result.logs().to_vec()
        } else {
            Vec::new()
        };
        let first_log = self.logs;
        self.logs += logs.len() as u64;
        let receipt = Receipt {
            status: Eip658Value::Eip658(result.is_success()),
            cumulative_gas_used: self.gas_used,
            logs,
        };
        let created = tx.kind().is_create().then(|| tx.signer().create(tx.nonce()));
        self.mined.push(Mined {
            receipt: ReceiptEnvelope::from_typed(tx.tx_type(), receipt.with_bloom()),
            gas_used,
            gas_price: tx.effective_gas_price(Some(base_fee)),
            created,
            first_log,
            tx,
        });
    }
}

fn decode_all(blocks: &[Vec<Bytes>]) -> Result<Vec<Vec<Pooled>>, RpcError> {
    blocks
        .iter()
        .map(|txs| txs.iter().map(|raw| admission::decode(raw)).collect())
        .collect()
}

fn fill(block: Option<&mut Vec<Pooled>>, txs: Vec<Pooled>) {
    if let Some(block) = block {
        *block = txs;
    }
}

/// The same transactions with the last sender first; one sender's stay in order.
fn reversed_by_sender(txs: Vec<Pooled>) -> Vec<Pooled> {
    let mut senders: Vec<Address> = Vec::new();
    for tx in &txs {
        if !senders.contains(&tx.signer()) {
            senders.push(tx.signer());
        }
    }
    let of = |sender: &Address| {
        txs.iter()
            .filter(|tx| tx.signer() == *sender)
            .cloned()
            .collect::<Vec<_>>()
    };
    senders.iter().rev().flat_map(of).collect()
}
