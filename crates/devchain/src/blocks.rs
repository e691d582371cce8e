//! The chain of sealed blocks.
//!
//! A development chain that makes a block per second makes mostly empty ones. Of those only the
//! link is kept (about fifty bytes); the header is rebuilt when somebody asks for it.

use crate::config::Genesis;
use alloy::{
    consensus::{
        Header, ReceiptEnvelope, TxEnvelope, constants::EMPTY_WITHDRAWALS, proofs, transaction::Recovered,
    },
    eips::{eip1559::BaseFeeParams, eip7685::EMPTY_REQUESTS_HASH},
    primitives::{Address, B256, Bloom, Bytes, keccak256, map::B256HashMap},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What every block has.
#[derive(Clone, Debug)]
struct Link {
    hash: B256,
    timestamp: u64,
    base_fee: u64,
    /// How often the chain had been rewound when this block was made.
    fork: u32,
}

/// What only some blocks have: transactions, or a state edited between blocks.
#[derive(Debug)]
pub(crate) struct Body {
    pub state_root: B256,
    pub transactions_root: B256,
    pub receipts_root: B256,
    pub bloom: Bloom,
    pub gas_used: u64,
    pub transactions: Vec<Mined>,
}

/// A transaction with its outcome.
#[derive(Debug)]
pub(crate) struct Mined {
    pub tx: Arc<Recovered<TxEnvelope>>,
    pub receipt: ReceiptEnvelope,
    pub gas_used: u64,
    /// Wei per gas that was paid.
    pub gas_price: u128,
    pub created: Option<Address>,
    /// Position of its first log in the block.
    pub first_log: u64,
}

/// What the next block is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Slot {
    pub number: u64,
    pub timestamp: u64,
    pub base_fee: u64,
}

/// All blocks of the canonical chain.
#[derive(Debug)]
pub(crate) struct Blocks {
    genesis: Genesis,
    links: Vec<Link>,
    bodies: BTreeMap<u64, Body>,
    by_hash: B256HashMap<u64>,
    by_tx: B256HashMap<(u64, usize)>,
    fork: u32,
}

impl Blocks {
    pub fn new(genesis: Genesis, state_root: B256) -> Self {
        let slot = Slot {
            number: 0,
            timestamp: genesis.time,
            base_fee: genesis.base_fee,
        };
        let mut blocks = Self {
            genesis,
            links: Vec::new(),
            bodies: BTreeMap::new(),
            by_hash: B256HashMap::default(),
            by_tx: B256HashMap::default(),
            fork: 0,
        };
        blocks.push(slot, state_root, Vec::new());
        blocks
    }

    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Number of the newest block.
    pub fn head(&self) -> u64 {
        (self.links.len() as u64).saturating_sub(1)
    }

    pub fn timestamp(&self, number: u64) -> Option<u64> {
        self.link(number).map(|link| link.timestamp)
    }

    pub fn slot(&self, number: u64) -> Option<Slot> {
        self.link(number).map(|link| Slot {
            number,
            timestamp: link.timestamp,
            base_fee: link.base_fee,
        })
    }

    pub fn hash(&self, number: u64) -> Option<B256> {
        self.link(number).map(|link| link.hash)
    }

    pub fn number_of(&self, hash: &B256) -> Option<u64> {
        self.by_hash.get(hash).copied()
    }

    pub fn body(&self, number: u64) -> Option<&Body> {
        self.bodies.get(&number)
    }

    /// Blocks with a body in a range of numbers, the oldest first.
    pub fn bodies(&self, range: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = (u64, &Body)> {
        let range = if range.is_empty() { 0..=0 } else { range };
        self.bodies.range(range).map(|(number, body)| (*number, body))
    }

    /// Transactions of a block, in order.
    pub fn transactions(&self, number: u64) -> &[Mined] {
        self.body(number).map_or(&[], |body| &body.transactions)
    }

    /// A mined transaction with its block's number and its place in it.
    pub fn transaction(&self, hash: &B256) -> Option<(u64, usize, &Mined)> {
        let (number, index) = self.by_tx.get(hash).copied()?;
        Some((number, index, self.transactions(number).get(index)?))
    }

    /// EIP-1559: what the block after `number` costs per gas, but never less than the floor.
    pub fn base_fee_after(&self, number: u64) -> u64 {
        let Some(link) = self.link(number) else {
            return self.genesis.base_fee;
        };
        let gas_used = self.body(number).map_or(0, |body| body.gas_used);
        BaseFeeParams::ethereum()
            .next_block_base_fee(gas_used, self.genesis.block_gas_limit, link.base_fee)
            .max(self.genesis.min_base_fee)
    }

    /// Beacon-chain randomness has no source here: it is derived from the parent.
    pub fn randomness(parent: &B256) -> B256 {
        keccak256(parent)
    }

    /// Seals a block on top of the head.
    pub fn push(&mut self, slot: Slot, state_root: B256, transactions: Vec<Mined>) -> B256 {
        if !transactions.is_empty() || state_root != self.state_root(slot.number) {
            self.bodies
                .insert(slot.number, Body::new(state_root, transactions));
        }
        for (index, mined) in self
            .transactions(slot.number)
            .iter()
            .map(|m| *m.tx.tx_hash())
            .enumerate()
            .collect::<Vec<_>>()
        {
            self.by_tx.insert(mined, (slot.number, index));
        }
        self.links.push(Link {
            hash: B256::ZERO,
            timestamp: slot.timestamp,
            base_fee: slot.base_fee,
            fork: self.fork,
        });
        let hash = self
            .header(slot.number)
            .map(|header| header.hash_slow())
            .unwrap_or_default();
        if let Some(link) = self.links.last_mut() {
            link.hash = hash;
        }
        self.by_hash.insert(hash, slot.number);
        hash
    }

    /// Takes away every block after `number` and returns their transactions, block by block.
    /// Blocks made from here on differ from all that came before, even with equal contents.
    pub fn truncate(&mut self, number: u64) -> Vec<(u64, Vec<Arc<Recovered<TxEnvelope>>>)> {
        let mut gone = Vec::new();
        for number in number + 1..=self.head() {
            let body = self.bodies.remove(&number);
            let txs: Vec<_> = body
                .map(|body| body.transactions.into_iter().map(|m| m.tx).collect())
                .unwrap_or_default();
            for tx in &txs {
                self.by_tx.remove(tx.tx_hash());
            }
            if let Some(link) = self.link(number) {
                let (hash, timestamp) = (link.hash, link.timestamp);
                self.by_hash.remove(&hash);
                gone.push((timestamp, txs));
            }
        }
        self.links
            .truncate(usize::try_from(number + 1).unwrap_or(usize::MAX));
        self.fork += 1;
        gone
    }

    /// The whole header of a block.
    pub fn header(&self, number: u64) -> Option<Header> {
        let link = self.link(number)?;
        let parent_hash = number
            .checked_sub(1)
            .and_then(|parent| self.hash(parent))
            .unwrap_or_default();
        let prague = self.genesis.hardfork != crate::Hardfork::Cancun;
        let mut header = Header {
            parent_hash,
            number,
            gas_limit: self.genesis.block_gas_limit,
            timestamp: link.timestamp,
            extra_data: extra_data(link.fork),
            mix_hash: Self::randomness(&parent_hash),
            base_fee_per_gas: Some(link.base_fee),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: prague.then_some(EMPTY_REQUESTS_HASH),
            state_root: self.state_root(number),
            ..Default::default()
        };
        if let Some(body) = self.body(number) {
            header.transactions_root = body.transactions_root;
            header.receipts_root = body.receipts_root;
            header.logs_bloom = body.bloom;
            header.gas_used = body.gas_used;
        }
        Some(header)
    }

    fn state_root(&self, number: u64) -> B256 {
        self.bodies
            .range(..=number)
            .next_back()
            .map(|(_, body)| body.state_root)
            .unwrap_or_default()
    }

    fn link(&self, number: u64) -> Option<&Link> {
        self.links.get(usize::try_from(number).ok()?)
    }
}

impl Body {
    fn new(state_root: B256, transactions: Vec<Mined>) -> Self {
        let txs: Vec<&TxEnvelope> = transactions.iter().map(|m| m.tx.inner()).collect();
        let receipts: Vec<&ReceiptEnvelope> = transactions.iter().map(|m| &m.receipt).collect();
        let mut bloom = Bloom::ZERO;
        for receipt in &receipts {
            bloom.accrue_bloom(receipt.logs_bloom());
        }
        Self {
            state_root,
            transactions_root: proofs::calculate_transaction_root(&txs),
            receipts_root: proofs::calculate_receipt_root(&receipts),
            bloom,
            gas_used: transactions.iter().map(|m| m.gas_used).sum(),
            transactions,
        }
    }
}

/// `haithe devchain`, and the fork number once the chain was rewound.
fn extra_data(fork: u32) -> Bytes {
    match fork {
        0 => Bytes::from_static(b"haithe devchain"),
        fork => format!("haithe devchain fork {fork}").into_bytes().into(),
    }
}
