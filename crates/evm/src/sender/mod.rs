//! The one writer of a signing key: takes intents from the outbox to final blocks.
//!
//! The way of an intent, each step safe to repeat after a crash at any point:
//!
//! 1. **queued**: the call is simulated; a refusal ends a one-shot intent before it costs a nonce
//!    (`start`);
//! 2. **numbered**: the database gives it the lane's next nonce, for good;
//! 3. **attempted**: the signed bytes are stored, then sent. They are sent again until they are
//!    mined; when that takes long, an attempt with higher fees joins them (`attempt`, `fees`);
//! 4. **mined**, and perhaps not after all, when a reorganization takes the block away (`follow`);
//! 5. **closed**, once the block is final.
//!
//! One nonce has one intent, so at most one of its attempts is ever mined. A lost answer is never
//! taken for a failure: the receipt decides. What needs a person is an [`Alarm`].

mod answer;
mod attempt;
mod fees;
mod follow;
mod handle;
mod health;
mod start;

pub use handle::SenderHandle;
pub use health::{Alarm, SenderHealth};

use crate::{
    config::{SendPolicy, ServerKey},
    convert,
    failure::NodeError,
    node::Node,
};
use alloy::{eips::BlockNumberOrTag, primitives::Address, providers::Provider};
use answer::Answer;
use haithe_billing::{
    outbox::{TxIntent, TxIntentId, TxState},
    ports::TxOutbox,
};
use haithe_kernel::{Clock, StoreError, Timestamp, WalletAddress};
use handle::Signals;
use std::{collections::HashMap, future::Future, pin::pin, sync::Arc, time::Duration};

/// Longest pause after failures in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a sender sends with.
#[derive(Debug, Clone)]
pub struct Lane {
    /// The node.
    pub node: Node,
    /// The chain the transactions are for.
    pub chain_id: u64,
    /// The signing key. Nothing else may use it.
    pub key: ServerKey,
    /// Blocks on top of a transaction's (its own included) before it is final. At least 1.
    pub finality: u64,
    /// What it may cost, and how long it may take.
    pub policy: SendPolicy,
}

/// The writer of one key's transactions. One per key and database.
pub struct Sender {
    lane: Lane,
    outbox: Arc<dyn TxOutbox>,
    clock: Arc<dyn Clock>,
    signals: Signals,
    /// The newest attempt of each numbered intent, as far as this process sent it.
    watches: HashMap<TxIntentId, Watch>,
    /// Intents the contract refuses now and must take some day.
    refused: HashMap<TxIntentId, Refusal>,
    halted: Option<Alarm>,
}

/// What happened to the newest attempt in this process.
#[derive(Debug, Clone)]
struct Watch {
    hash: [u8; 32],
    /// Since when it has been out there.
    since: Timestamp,
    /// When it was last sent.
    sent: Timestamp,
    answer: Answer,
}

#[derive(Debug, Clone)]
struct Refusal {
    reason: String,
    retry_at: Timestamp,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// Something moved; another step may move more at once.
    pub progressed: bool,
    /// Something is under way.
    pub busy: bool,
}

/// A step could not be made. The next one starts where this one stopped.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The outbox.
    #[error("the outbox cannot be read or written")]
    Store(#[from] StoreError),
    /// The chain.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// The chain at the beginning of a step.
struct View {
    head: u64,
    /// Nonces below are used in blocks.
    next_nonce: u64,
}

/// What a step gathers.
#[derive(Default)]
struct Pass {
    progressed: bool,
    alarms: Vec<Alarm>,
    /// Nothing new may start in this step.
    blocked: bool,
    in_flight: usize,
    mined: usize,
    queued: usize,
    oldest: Option<Timestamp>,
}

impl Sender {
    /// A sender that has not looked yet.
    pub fn new(lane: Lane, outbox: Arc<dyn TxOutbox>, clock: Arc<dyn Clock>) -> Self {
        Self {
            lane,
            outbox,
            clock,
            signals: Signals::new(),
            watches: HashMap::new(),
            refused: HashMap::new(),
            halted: None,
        }
    }

    /// For those who write to the outbox, wait for it, or watch over it.
    pub fn handle(&self) -> SenderHandle {
        self.signals.handle()
    }

    /// The signing account.
    pub fn address(&self) -> WalletAddress {
        self.lane.key.address()
    }

    /// Works until `shutdown`; a step that has begun is finished.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut failures = 0u32;
        loop {
            let pause = match self.step().await {
                Ok(step) => {
                    failures = 0;
                    self.pause_after(step)
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        failures,
                        "the sender could not make its step"
                    );
                    let factor = 2u32.saturating_pow(failures.min(10));
                    self.lane.policy.poll.saturating_mul(factor).min(LONGEST_PAUSE)
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.signals.woken() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn pause_after(&self, step: Step) -> Duration {
        match step {
            Step { progressed: true, .. } => Duration::ZERO,
            Step { busy: true, .. } => self.lane.policy.poll,
            Step { .. } => self.lane.policy.idle_poll,
        }
    }

    /// Looks once at every open intent and moves each as far as it goes without waiting.
    ///
    /// # Errors
    /// The outbox or the node failed. Nothing is lost by that.
    pub async fn step(&mut self) -> Result<Step, SendError> {
        let mut pass = Pass::default();
        let outcome = self.advance(&mut pass).await;
        let step = Step {
            progressed: pass.progressed,
            busy: pass.in_flight + pass.mined + pass.queued > 0,
        };
        self.publish(pass, outcome.as_ref().err());
        if step.progressed {
            self.signals.progressed();
        }
        outcome.map(|()| step)
    }

    async fn advance(&mut self, pass: &mut Pass) -> Result<(), SendError> {
        let open = self.outbox.open(self.address()).await?;
        self.forget_closed(&open);
        pass.oldest = open.iter().map(|intent| intent.created_at).min();
        let (mut numbered, mut queued): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|intent| intent.nonce.is_some());
        numbered.sort_by_key(|intent| intent.nonce);
        queued.sort_by_key(|intent| intent.id);
        pass.queued = queued.len();
        pass.mined = numbered
            .iter()
            .filter(|intent| intent.state == TxState::Mined)
            .count();
        pass.in_flight = numbered.len() - pass.mined;
        if numbered.is_empty() && queued.is_empty() {
            return Ok(());
        }
        // The nonce first: a receipt read later is never older than it.
        let next_nonce = self.nonce_at(BlockNumberOrTag::Latest).await?;
        let head = self
            .node()
            .ask("eth_blockNumber", self.node().provider().get_block_number())
            .await?;
        let view = View { head, next_nonce };
        self.look_for_gap(&numbered, &view, pass);
        let mut first_waits = true;
        for intent in &numbered {
            let Some(nonce) = intent.nonce else { continue };
            let is_mined = self.follow(intent, nonce, first_waits, &view, pass).await?;
            first_waits &= is_mined;
        }
        self.start(&queued, &view, pass).await
    }

    /// Final nonces the chain has never heard of.
    fn look_for_gap(&self, numbered: &[TxIntent], view: &View, pass: &mut Pass) {
        let lowest = numbered.first().and_then(|intent| intent.nonce);
        if let Some(lowest) = lowest.filter(|lowest| *lowest > view.next_nonce) {
            pass.blocked = true;
            pass.alarms.push(Alarm::NonceGap {
                chain: view.next_nonce,
                lowest,
            });
        }
    }

    fn forget_closed(&mut self, open: &[TxIntent]) {
        let is_open = |id: &TxIntentId| open.iter().any(|intent| intent.id == *id);
        self.watches.retain(|id, _| is_open(id));
        self.refused.retain(|id, _| is_open(id));
    }

    fn publish(&mut self, mut pass: Pass, failure: Option<&SendError>) {
        let before = self.signals.health().clone();
        if failure.is_some() {
            // A step that was cut short has not seen everything: what was alarming still is.
            let unseen = before.alarms.iter().filter(|alarm| !pass.alarms.contains(alarm));
            let unseen: Vec<_> = unseen.cloned().collect();
            pass.alarms.extend(unseen);
        }
        for alarm in pass.alarms.iter().filter(|alarm| !before.alarms.contains(alarm)) {
            tracing::error!(account = %self.address(), "{alarm}");
        }
        self.signals.publish(SenderHealth {
            alarms: pass.alarms,
            halted: self.halted.is_some(),
            in_flight: pass.in_flight,
            mined: pass.mined,
            queued: pass.queued,
            oldest: pass.oldest,
            failures: failure.map_or(0, |_| before.failures.saturating_add(1)),
            failure: failure.map(ToString::to_string),
            last_good: failure.map_or_else(|| Some(self.clock.now()), |_| before.last_good),
        });
    }

    fn node(&self) -> &Node {
        &self.lane.node
    }

    fn account(&self) -> Address {
        convert::address(self.address())
    }

    async fn nonce_at(&self, block: BlockNumberOrTag) -> Result<u64, NodeError> {
        let question = self.node().provider().get_transaction_count(self.account());
        self.node()
            .ask("eth_getTransactionCount", question.block_id(block.into()))
            .await
    }
}
