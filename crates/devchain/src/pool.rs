//! Transactions that wait for a block.
//!
//! Per sender they are ordered by nonce, gaps allowed; only the gapless run from the account's
//! nonce can be mined. Across senders the better tip goes first, then the earlier arrival.

use crate::error::RpcError;
use alloy::{
    consensus::{Transaction, TxEnvelope, transaction::Recovered},
    primitives::{
        Address, B256, U256,
        map::{AddressMap, B256HashMap},
    },
};
use std::{
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

/// Most transactions that wait at once.
const CAPACITY: usize = 32_768;

/// A waiting transaction replaces another of the same sender and nonce only if both its fee cap
/// and its tip are higher by this many percent (geth's `PriceBump`).
const PRICE_BUMP_PERCENT: u128 = 10;

/// A transaction as it waits, shared with the block it ends up in.
pub(crate) type Pooled = Arc<Recovered<TxEnvelope>>;

#[derive(Clone, Debug)]
struct Waiting {
    tx: Pooled,
    /// Order of arrival.
    arrival: u64,
}

/// The mempool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    senders: AddressMap<BTreeMap<u64, Waiting>>,
    by_hash: B256HashMap<Pooled>,
    arrivals: u64,
}

impl Pool {
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    pub fn get(&self, hash: &B256) -> Option<&Pooled> {
        self.by_hash.get(hash)
    }

    /// All waiting transactions of all senders, by sender and nonce.
    pub fn iter(&self) -> impl Iterator<Item = (&Address, u64, &Pooled)> {
        self.senders
            .iter()
            .flat_map(|(sender, queue)| queue.iter().map(move |(nonce, w)| (sender, *nonce, &w.tx)))
    }

    /// What `sender`'s waiting transactions may cost together, without the one at `nonce`.
    pub fn committed(&self, sender: &Address, nonce: u64) -> U256 {
        let queue = self.senders.get(sender).into_iter().flatten();
        queue
            .filter(|(n, _)| **n != nonce)
            .map(|(_, w)| most_it_costs(&w.tx))
            .fold(U256::ZERO, U256::saturating_add)
    }

    /// The nonce `sender` should use next, given the account's.
    pub fn next_nonce(&self, sender: &Address, account_nonce: u64) -> u64 {
        let Some(queue) = self.senders.get(sender) else {
            return account_nonce;
        };
        let mut next = account_nonce;
        while queue.contains_key(&next) {
            next += 1;
        }
        next
    }

    /// Adds an admissible transaction, replacing an underpriced one with its nonce.
    ///
    /// # Errors
    /// "already known", "replacement transaction underpriced", "txpool is full".
    pub fn insert(&mut self, tx: Pooled) -> Result<(), RpcError> {
        if self.by_hash.contains_key(tx.tx_hash()) {
            return Err(RpcError::refused("already known"));
        }
        let queue = self.senders.entry(tx.signer()).or_default();
        let replaced = queue.get(&tx.nonce());
        match replaced {
            Some(old) if !outbids(&tx, &old.tx) => {
                return Err(RpcError::refused("replacement transaction underpriced"));
            }
            None if self.by_hash.len() >= CAPACITY => return Err(RpcError::refused("txpool is full")),
            _ => {}
        }
        self.arrivals += 1;
        self.by_hash.insert(*tx.tx_hash(), Arc::clone(&tx));
        if let Some(old) = queue.insert(
            tx.nonce(),
            Waiting {
                tx,
                arrival: self.arrivals,
            },
        ) {
            self.by_hash.remove(old.tx.tx_hash());
        }
        Ok(())
    }

    /// Takes one transaction out.
    pub fn remove(&mut self, hash: &B256) -> Option<Pooled> {
        let tx = self.by_hash.remove(hash)?;
        if let Some(queue) = self.senders.get_mut(&tx.signer()) {
            queue.remove(&tx.nonce());
            if queue.is_empty() {
                self.senders.remove(&tx.signer());
            }
        }
        Some(tx)
    }

    /// Forgets everything and says how much that was.
    pub fn clear(&mut self) -> usize {
        let count = self.by_hash.len();
        self.senders.clear();
        self.by_hash.clear();
        count
    }

    /// Drops what can no longer be mined because its account's nonce moved on.
    pub fn forget_used(&mut self, account_nonce: impl Fn(&Address) -> u64) {
        let by_hash = &mut self.by_hash;
        self.senders.retain(|sender, queue| {
            let kept = queue.split_off(&account_nonce(sender));
            for waiting in std::mem::replace(queue, kept).into_values() {
                by_hash.remove(waiting.tx.tx_hash());
            }
            !queue.is_empty()
        });
    }

    /// The order in which a block would take transactions if all of them could run: senders
    /// compete with the tip of their next transaction above `base_fee`.
    pub fn ready(&self, base_fee: u64, account_nonce: impl Fn(&Address) -> u64) -> Vec<Pooled> {
        let mut heads: BinaryHeap<Head<'_>> = self
            .senders
            .iter()
            .filter_map(|(sender, queue)| Head::new(queue, account_nonce(sender), base_fee))
            .collect();
        let mut order = Vec::new();
        while let Some(head) = heads.pop() {
            order.push(Arc::clone(&head.waiting.tx));
            heads.extend(Head::new(
                head.queue,
                head.waiting.tx.nonce().saturating_add(1),
                base_fee,
            ));
        }
        order
    }
}

/// A sender's next transaction, ordered by what it pays.
struct Head<'a> {
    tip: u128,
    waiting: &'a Waiting,
    queue: &'a BTreeMap<u64, Waiting>,
}

impl<'a> Head<'a> {
    fn new(queue: &'a BTreeMap<u64, Waiting>, nonce: u64, base_fee: u64) -> Option<Self> {
        let waiting = queue.get(&nonce)?;
        let tip = waiting.tx.effective_tip_per_gas(base_fee)?;
        Some(Self { tip, waiting, queue })
    }

    fn rank(&self) -> (u128, std::cmp::Reverse<u64>) {
        (self.tip, std::cmp::Reverse(self.waiting.arrival))
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Head<'_> {}

/// Wei a transaction takes from its sender at worst: gas limit at the fee cap, and the value.
pub(crate) fn most_it_costs(tx: &Recovered<TxEnvelope>) -> U256 {
    (U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas())).saturating_add(tx.value())
}

fn outbids(new: &TxEnvelope, old: &TxEnvelope) -> bool {
    let tip = |tx: &TxEnvelope| tx.max_priority_fee_per_gas().unwrap_or(tx.max_fee_per_gas());
    beats(new.max_fee_per_gas(), old.max_fee_per_gas()) && beats(tip(new), tip(old))
}

fn beats(new: u128, old: u128) -> bool {
    let threshold = U256::from(old) * U256::from(100 + PRICE_BUMP_PERCENT) / U256::from(100);
    new > old && U256::from(new) >= threshold
}
