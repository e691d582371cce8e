//! Settlement: sees one batch at a time onto the chain.
//!
//! Every step may be the first after a crash, so it decides from what is stored and what the
//! contract says, never from what it did before. The contract's `nextBatch` tells whether the open
//! batch is still to be sent; its `batchHash` tells whether what is there is really ours. A batch
//! leaves this module's sight when the index has seen its event become final.

use crate::{
    batch::{Batch, BatchState, SealPolicy, Unsealed},
    chain::ChainError,
    gate::SettlementGate,
    ports::{SettlementStore, Settler},
};
use haithe_kernel::{Clock, Failure, Kind, StoreError, Timestamp};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
};

/// Calls whose line was skipped make a batch of their own no more often than every so many times
/// the policy's `max_age`; with others they go along at once.
pub const SKIPPED_PATIENCE: u32 = 10;

/// Makes batches and hands them to the chain.
pub struct Settlement {
    store: Arc<dyn SettlementStore>,
    settler: Arc<dyn Settler>,
    clock: Arc<dyn Clock>,
    gate: Arc<SettlementGate>,
    policy: SealPolicy,
    hurry: AtomicBool,
    last_sealed: AtomicI64,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettlementProgress {
    /// Nothing waits, or not yet enough.
    Idle,
    /// This batch is on its way to the chain.
    Submitted {
        /// Its number.
        seq: u64,
        /// Its calls.
        calls: usize,
        /// Its organizations.
        lines: usize,
    },
    /// This batch is on chain; the index has not seen it become final.
    Confirming {
        /// Its number.
        seq: u64,
    },
}

/// Why a step failed. Repeating it is safe.
#[derive(Debug, thiserror::Error)]
pub enum SettlementError {
    /// The chain gave no answer, or refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The contract expects an earlier batch than the ledger's: settled batches are gone.
    #[error(
        "the contract expects batch {next}, but the ledger has settled all before {seq}: the node lags far behind, was reorganized beyond what counts as final, or serves another deployment; nothing is sent until they agree"
    )]
    Behind {
        /// The ledger's open batch.
        seq: u64,
        /// The contract's next.
        next: u64,
    },
    /// The contract holds another batch under this number.
    #[error(
        "the contract holds another batch under number {seq}: somebody else settles with this server's key; stop them, and pause the contract if that is not you"
    )]
    Foreign {
        /// The number.
        seq: u64,
    },
}

impl Failure for SettlementError {
    fn kind(&self) -> Kind {
        match self {
            Self::Chain(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Behind { .. } | Self::Foreign { .. } => Kind::Internal,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Chain(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Behind { .. } => "settlement_behind",
            Self::Foreign { .. } => "settlement_foreign_batch",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Chain(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            Self::Behind { .. } | Self::Foreign { .. } => None,
        }
    }
}

impl Settlement {
    /// Settlement that reports to `gate` how old the oldest unsettled charge is.
    pub fn new(
        store: Arc<dyn SettlementStore>,
        settler: Arc<dyn Settler>,
        clock: Arc<dyn Clock>,
        gate: Arc<SettlementGate>,
        policy: SealPolicy,
    ) -> Self {
        let last_sealed = AtomicI64::new(clock.now().micros());
        Self {
            store,
            settler,
            clock,
            gate,
            policy,
            hurry: AtomicBool::new(false),
            last_sealed,
        }
    }

    /// Seal with the next step, however little waits: somebody withdraws, or the server stops.
    pub fn hurry(&self) {
        self.hurry.store(true, Relaxed);
    }

    /// Sends the open batch if the chain has not got it; without one, seals the next when it is due.
    ///
    /// # Errors
    /// [`SettlementError`].
    pub async fn step(&self) -> Result<SettlementProgress, SettlementError> {
        match self.store.open_batch().await? {
            Some((batch, BatchState::Sealed)) => {
                self.gate.unsettled_since(batch.sealed_at);
                self.send(batch).await
            }
            Some((batch, BatchState::Seen | BatchState::Final)) => {
                self.gate.unsettled_since(batch.sealed_at);
                Ok(SettlementProgress::Confirming { seq: batch.seq })
            }
            None => self.next().await,
        }
    }

    async fn next(&self) -> Result<SettlementProgress, SettlementError> {
        let now = self.clock.now();
        let waiting = self.store.unsealed().await?;
        // While a batch is open this mark stays: it is the age of what the batch took along.
        self.gate.settled_through(waiting.oldest.unwrap_or(now));
        let anything = waiting.items > 0 || waiting.skipped > 0;
        let hurried = self.hurry.swap(false, Relaxed) && anything;
        if !hurried && !self.is_due(waiting, now) {
            return Ok(SettlementProgress::Idle);
        }
        let sealed = self.store.seal(self.policy, now).await;
        if hurried && sealed.is_err() {
            self.hurry();
        }
        let sealed = sealed?;
        self.last_sealed.store(now.micros(), Relaxed);
        let Some(batch) = sealed else {
            return Ok(SettlementProgress::Idle);
        };
        self.send(batch).await
    }

    fn is_due(&self, waiting: Unsealed, now: Timestamp) -> bool {
        let policy = &self.policy;
        let old = waiting
            .oldest
            .is_some_and(|oldest| now.since(oldest) >= policy.max_age);
        let many = waiting.items >= u64::from(policy.max_items) || waiting.amount >= policy.max_amount;
        let last_sealed = Timestamp::from_micros(self.last_sealed.load(Relaxed));
        let patience = policy.max_age.saturating_mul(SKIPPED_PATIENCE);
        let again = waiting.skipped > 0 && now.since(last_sealed) >= patience;
        (waiting.items > 0 && (old || many)) || again
    }

    async fn send(&self, batch: Batch) -> Result<SettlementProgress, SettlementError> {
        let seq = batch.seq;
        let next = self.settler.next_sequence().await?;
        if next < seq {
            return Err(SettlementError::Behind { seq, next });
        }
        if next > seq {
            return self.confirm(batch).await;
        }
        let (calls, lines) = (batch.items.len(), batch.lines.len());
        self.settler.submit(batch).await?;
        Ok(SettlementProgress::Submitted { seq, calls, lines })
    }

    /// The contract is past the batch: is it ours that it has?
    async fn confirm(&self, batch: Batch) -> Result<SettlementProgress, SettlementError> {
        let seq = batch.seq;
        let stored = self.settler.settled_hash(seq).await?;
        let expected = self.settler.expected_hash(batch).await?;
        match stored {
            Some(stored) if stored != expected => {
                let error = SettlementError::Foreign { seq };
                tracing::error!(seq, "{error}");
                Err(error)
            }
            // `None`: a reorganization took it back between the two questions. The next step sees.
            Some(_) | None => Ok(SettlementProgress::Confirming { seq }),
        }
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement")
            .field("policy", &self.policy)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
