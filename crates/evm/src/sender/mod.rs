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
mod writer;

pub use handle::SenderHandle;
pub use health::{Alarm, SenderHealth};
pub(crate) use start::{Simulated, understood};

use crate::{
    config::{SendPolicy, ServerKey},
    failure::NodeError,
    node::Node,
};
use haithe_billing::ports::TxOutbox;
use haithe_kernel::{Clock, StoreError, WalletAddress};
use handle::Signals;
use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::sync::Mutex;
use writer::Writer;

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
    address: WalletAddress,
    policy: SendPolicy,
    signals: Arc<Signals>,
    /// Steps are made one at a time, whoever asks for them.
    writer: Mutex<Writer>,
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

impl Sender {
    /// A sender that has not looked yet.
    pub fn new(lane: Lane, outbox: Arc<dyn TxOutbox>, clock: Arc<dyn Clock>) -> Self {
        let signals = Arc::new(Signals::new());
        Self {
            address: lane.key.address(),
            policy: lane.policy,
            signals: signals.clone(),
            writer: Mutex::new(Writer::new(lane, outbox, clock, signals)),
        }
    }

    /// For those who write to the outbox, wait for it, or watch over it.
    pub fn handle(&self) -> SenderHandle {
        self.signals.handle()
    }

    /// The signing account.
    pub fn address(&self) -> WalletAddress {
        self.address
    }

    /// Works until `shutdown`; a step that has begun is finished. May be called again afterwards.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
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
                    self.policy.poll.saturating_mul(factor).min(LONGEST_PAUSE)
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
            Step { busy: true, .. } => self.policy.poll,
            Step { .. } => self.policy.idle_poll,
        }
    }

    /// Looks once at every open intent and moves each as far as it goes without waiting.
    ///
    /// # Errors
    /// The outbox or the node failed. Nothing is lost by that.
    pub async fn step(&self) -> Result<Step, SendError> {
        self.writer.lock().await.step().await
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
