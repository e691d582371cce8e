//! The handle to a chain, and everything a test can do to it.

use crate::{
    DevChainConfig, LogLimits, Mining, ReorgTxs, RpcError, StartError,
    clock::{self, Clock},
    config::Genesis,
    faults::Faults,
    journal::Journal,
    node::Node,
    rpc,
    ticker::Ticker,
};
use alloy::{
    eips::BlockNumHash,
    primitives::{Address, B256, Bytes, U256},
    rpc::client::RpcClient,
};
use revm::bytecode::Bytecode;
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often alloy polls a chain in its own process.
const POLL: Duration = Duration::from_millis(5);

/// What all handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    chain_id: u64,
    node: Mutex<Node>,
    faults: Mutex<Faults>,
    ticker: Arc<Ticker>,
    ticks: AtomicU64,
}

/// A running chain. Clones are handles to the same chain, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct DevChain {
    owner: Arc<Owner>,
}

/// What the handles own together. The mining thread only borrows the chain: when the last handle
/// goes, the thread is waited for, and the journal's file is free as soon as the drop returns.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

impl DevChain {
    /// Starts a chain: a new one, or the one its journal holds.
    ///
    /// # Errors
    /// The configuration or the journal cannot be used; see [`StartError`].
    pub fn start(config: DevChainConfig) -> Result<Self, StartError> {
        validate(&config)?;
        let genesis = Genesis {
            chain_id: config.chain_id,
            hardfork: config.hardfork,
            time: config.genesis_time.unwrap_or_else(clock::machine),
            own_clock: config.genesis_time.is_some(),
            block_gas_limit: config.block_gas_limit,
            base_fee: config.base_fee,
            min_base_fee: config.min_base_fee,
            funded: config.funded.clone(),
        };
        let node = match &config.journal {
            None => Node::new(&config, genesis),
            Some(path) => {
                let (journal, genesis, entries) = Journal::open(path, genesis)?;
                Node::from_journal(&config, &genesis, journal, &entries)?
            }
        };
        let shared = Arc::new(Shared {
            chain_id: config.chain_id,
            node: Mutex::new(node),
            faults: Mutex::default(),
            ticker: Arc::default(),
            ticks: AtomicU64::default(),
        });
        shared
            .ticker
            .follow(config.mining, Arc::downgrade(&shared))
            .map_err(StartError::Thread)?;
        Ok(Self {
            owner: Arc::new(Owner { shared }),
        })
    }

    /// The chain's EIP-155 id.
    pub fn chain_id(&self) -> u64 {
        self.owner.shared.chain_id
    }

    /// An alloy client on this chain, for `ProviderBuilder::connect_client`. It polls every 5 ms.
    pub fn rpc_client(&self) -> RpcClient {
        RpcClient::new(self.clone(), true).with_poll_interval(POLL)
    }

    /// Answers one JSON-RPC call at once: without the delay of [`Self::set_rpc_delay`] and the
    /// losses of [`Self::lose_answer_next`], which happen on the way.
    ///
    /// # Errors
    /// The error object a client would get.
    pub fn handle(&self, method: &str, params: &Value) -> Result<Value, RpcError> {
        if let Some(error) = self.faults().failure(method) {
            return Err(error);
        }
        rpc::handle(self, method, params)
    }

    // --- blocks and time -----------------------------------------------------------------------

    /// Number and hash of the newest block.
    pub fn head(&self) -> BlockNumHash {
        let node = self.node();
        let number = node.head();
        BlockNumHash {
            number,
            hash: node.blocks.hash(number).unwrap_or_default(),
        }
    }

    /// The chain's clock, in seconds since 1970. The newest block may be older, or in instant
    /// mining a little younger: every block is at least one second after its parent.
    pub fn now(&self) -> u64 {
        self.node().clock.now()
    }

    /// Timestamp of the newest block, in seconds since 1970.
    pub fn head_time(&self) -> u64 {
        let node = self.node();
        node.blocks.timestamp(node.head()).unwrap_or_default()
    }

    /// Makes this many blocks now; the first takes what it can from the pool.
    pub fn mine(&self, blocks: u64) {
        let mut node = self.node();
        for _ in 0..blocks {
            node.mine();
        }
    }

    /// Moves the clock forward and makes a block, which is at least so many seconds later than
    /// the newest one, so that contracts see the new time at once.
    pub fn advance_time(&self, seconds: u64) {
        let mut node = self.node();
        node.advance(seconds);
        node.mine();
    }

    /// Gives the next block exactly this timestamp; the clock goes on from there.
    ///
    /// # Errors
    /// It is not after the newest block.
    pub fn set_next_timestamp(&self, timestamp: u64) -> Result<(), RpcError> {
        let mut node = self.node();
        let head = node.blocks.timestamp(node.head()).unwrap_or_default();
        if timestamp <= head {
            return Err(RpcError::params(format!(
                "timestamp {timestamp} is not after the newest block's, {head}"
            )));
        }
        node.next_timestamp = Some(timestamp);
        node.edit_clock(|clock| clock.set(timestamp));
        Ok(())
    }

    /// Changes when blocks are made. Instant mining begins with what is waiting.
    pub fn set_mining(&self, mining: Mining) {
        let mut node = self.node();
        node.mining = mining;
        node.mine_instantly();
        drop(node);
        if let Err(error) = self
            .owner
            .shared
            .ticker
            .follow(mining, Arc::downgrade(&self.owner.shared))
        {
            tracing::error!(%error, "the mining thread cannot be started; no blocks will be made");
        }
    }

    /// Sets the next block's base fee in wei per gas. Later blocks move from there by EIP-1559.
    pub fn set_base_fee(&self, wei: u64) {
        let mut node = self.node();
        node.next_base_fee = Some(wei);
        node.mine_instantly();
    }

    // --- going back ----------------------------------------------------------------------------

    /// Remembers the whole chain, pool and clock included, under an id.
    pub fn snapshot(&self) -> u64 {
        self.node().snapshot()
    }

    /// Goes back to a snapshot, which is used up by that together with all later ones. `false`
    /// when there is no such snapshot (any more).
    pub fn revert(&self, id: u64) -> bool {
        self.node().revert(id)
    }

    /// Replaces the newest `depth` blocks by as many others at the same times, with different
    /// hashes. At most 256 blocks, or as many as lie after the oldest snapshot.
    ///
    /// # Errors
    /// The chain cannot go back that far; nothing changed.
    pub fn reorg(&self, depth: u64, keep: ReorgTxs) -> Result<(), RpcError> {
        self.node().reorg(depth, keep)
    }

    /// Takes the newest `depth` blocks away and puts nothing in their place: the head goes back.
    ///
    /// # Errors
    /// The chain cannot go back that far; nothing changed.
    pub fn rollback(&self, depth: u64) -> Result<(), RpcError> {
        self.node().rollback(depth).map(|_| ())
    }

    // --- the pool ------------------------------------------------------------------------------

    /// How many transactions wait for a block.
    pub fn pending(&self) -> usize {
        self.node().pool.len()
    }

    /// Forgets every waiting transaction, as nodes do under pressure; returns how many.
    pub fn drop_pending(&self) -> usize {
        self.node().pool.clear()
    }

    /// Forgets one waiting transaction; `false` when it is not waiting.
    pub fn drop_transaction(&self, hash: B256) -> bool {
        self.node().pool.remove(&hash).is_some()
    }

    /// From now on transactions are accepted and wait: blocks leave the pool alone.
    pub fn hold_pending(&self) {
        self.node().holding = true;
    }

    /// Ends [`Self::hold_pending`]; instant mining takes up what waited.
    pub fn release_pending(&self) {
        let mut node = self.node();
        node.holding = false;
        node.mine_instantly();
    }

    // --- accounts ------------------------------------------------------------------------------

    /// Sets a balance in wei.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn set_balance(&self, address: Address, wei: U256) -> Result<(), RpcError> {
        self.node().edit_account(address, |account| account.balance = wei)
    }

    /// Sets an account's nonce.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn set_nonce(&self, address: Address, nonce: u64) -> Result<(), RpcError> {
        self.node().edit_account(address, |account| account.nonce = nonce)
    }

    /// Puts code at an address.
    ///
    /// # Errors
    /// It is not valid bytecode, or the journal cannot be written.
    pub fn set_code(&self, address: Address, code: Bytes) -> Result<(), RpcError> {
        let code = Bytecode::new_raw_checked(code)
            .map_err(|_| RpcError::params("the code is not valid bytecode"))?;
        self.node().edit_account(address, |account| {
            account.code_hash = code.hash_slow();
            account.code = Some(code);
        })
    }

    /// Sets a storage slot.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn set_storage(&self, address: Address, slot: U256, value: U256) -> Result<(), RpcError> {
        self.node().edit_slot(address, slot, value)
    }

    // --- trouble -------------------------------------------------------------------------------

    /// Every answer over a transport (alloy or HTTP) takes this much longer.
    pub fn set_rpc_delay(&self, delay: Duration) {
        self.faults().set_delay(delay);
    }

    /// The next `times` calls of `method` end with `error` and have no effect.
    pub fn fail_next(&self, method: &str, times: u32, error: RpcError) {
        self.faults().fail_next(method, times, error);
    }

    /// The next `times` calls of `method` over a transport take effect, but their answer gets
    /// lost: the connection breaks.
    pub fn lose_answer_next(&self, method: &str, times: u32) {
        self.faults().lose_answer_next(method, times);
    }

    /// Ends all delays, failures and losses.
    pub fn clear_faults(&self) {
        self.faults().clear();
    }

    /// Changes what `eth_getLogs` refuses.
    pub fn set_log_limits(&self, limits: LogLimits) {
        self.node().log_limits = limits;
    }

    // --- inside --------------------------------------------------------------------------------

    /// The node, for the length of one call.
    pub(crate) fn node(&self) -> MutexGuard<'_, Node> {
        self.owner.shared.node()
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.owner
            .shared
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn node(&self) -> MutexGuard<'_, Node> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mining thread's interval passed.
    pub fn tick(&self, interval: Duration) {
        let mut node = self.node();
        if !matches!(node.mining, Mining::Interval(_)) {
            return;
        }
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        if let Clock::Own { now } = &mut node.clock {
            *now += interval.as_secs().max(1);
        }
        node.tick(tick);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.ticker.stop();
    }
}

fn validate(config: &DevChainConfig) -> Result<(), StartError> {
    let wrong = |what: &str| Err(StartError::Config(what.to_owned()));
    if config.chain_id == 0 {
        return wrong("chain id 0 is not valid");
    }
    if config.block_gas_limit < 21_000 {
        return wrong("a block gas limit under 21000 leaves no room for any transaction");
    }
    if config.base_fee < config.min_base_fee {
        return wrong("base_fee must not be under min_base_fee");
    }
    Ok(())
}
