//! Settlement: sends batches to the chain, several at a time.
//!
//! Every step may be the first after a crash, so it decides from what is stored and what the
//! contract returns, never from what it did before. The contract's `nextBatch` shows which open
//! batches are still to be sent; its `batchHash` shows whether what is there is ours. A batch is no
//! longer open when the index has seen its event become final.
//!
//! A batch that the contract refuses, although it accepts batches, is dissolved, and its calls are
//! sealed again in smaller batches. A single call that is refused alone is set aside with an alarm.
//! So no batch can stop settlement.

use crate::{
    batch::{Batch, BatchState, SealPolicy, Unsealed},
    chain::ChainError,
    gate::{OldestCharges, SettlementGate},
    ports::{SettlementStore, Settler, Submission},
};
use haithe_kernel::{Clock, Failure, Kind, MonotonicTime, StoreError, Timestamp};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
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
    /// When the last batch was sealed; at first, when this process began.
    last_sealed: Mutex<MonotonicTime>,
    /// How many times the bounds of the next batch are halved, because batches were refused.
    shrunk: AtomicU32,
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
    /// The open batches are on chain; the index has not seen this one become final.
    Confirming {
        /// The number of the first of them.
        seq: u64,
    },
    /// This batch and those after it were refused and dissolved; their calls wait again.
    Dissolved {
        /// The number of the first of them.
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
        let last_sealed = Mutex::new(clock.monotonic());
        Self {
            store,
            settler,
            clock,
            gate,
            policy,
            hurry: AtomicBool::new(false),
            last_sealed,
            shrunk: AtomicU32::new(0),
        }
    }

    /// Seal with the next step, however little waits: somebody withdraws, or the server stops.
    pub fn hurry(&self) {
        self.hurry.store(true, Relaxed);
    }

    /// Reports the ages of the unsettled charges that are stored to the gate, so that a process goes on
    /// where the last one ended. Once, before the first call is admitted.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    pub async fn resume(&self) -> Result<(), StoreError> {
        self.look(self.clock.now()).await.map(drop)
    }

    /// Reads the open batches and what waits for one, and reports their ages to the gate.
    async fn look(&self, now: Timestamp) -> Result<(Vec<(Batch, BatchState)>, Unsealed), StoreError> {
        let open = self.store.open_batches().await?;
        let waiting = self.store.unsealed(self.policy, now).await?;
        let waiting = waiting.without_deferred(&self.policy, now);
        self.gate.unsettled(now, oldest(&open, &waiting));
        Ok((open, waiting))
    }

    /// Sends the open batches that the chain does not have; seals the next one when it is due and not
    /// too many are open.
    ///
    /// # Errors
    /// [`SettlementError`].
    pub async fn step(&self) -> Result<SettlementProgress, SettlementError> {
        let now = self.clock.now();
        let (open, waiting) = self.look(now).await?;
        let count = open.len();
        let first = open.first().map(|(batch, _)| batch.seq);
        let progress = match first {
            Some(first) => self.send(first, open).await?,
            None => SettlementProgress::Idle,
        };
        if matches!(progress, SettlementProgress::Dissolved { .. })
            || count >= usize::try_from(self.policy.max_open).unwrap_or(usize::MAX)
        {
            return Ok(progress);
        }
        match self.seal(&waiting, now).await? {
            Some(batch) => {
                let first = first.unwrap_or(batch.seq);
                self.send(first, vec![(batch, BatchState::Sealed)]).await
            }
            None => Ok(progress),
        }
    }

    /// The next batch, if it is due.
    async fn seal(&self, waiting: &Unsealed, now: Timestamp) -> Result<Option<Batch>, SettlementError> {
        let anything = waiting.items() > 0 || waiting.skipped() > 0 || waiting.overdue > 0;
        let hurried = self.hurry.swap(false, Relaxed) && anything;
        if !hurried && !self.is_due(waiting, now) {
            return Ok(None);
        }
        let policy = self.policy.shrunk(self.shrunk.load(Relaxed));
        let sealed = self.store.seal(policy, now).await;
        if hurried && sealed.is_err() {
            self.hurry();
        }
        let sealed = sealed?;
        *self.last_sealed() = self.clock.monotonic();
        Ok(sealed)
    }

    fn last_sealed(&self) -> MutexGuard<'_, MonotonicTime> {
        self.last_sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, waiting: &Unsealed, now: Timestamp) -> bool {
        let policy = &self.policy;
        let old = waiting
            .oldest()
            .is_some_and(|oldest| now.since(oldest) >= policy.max_age);
        let items = waiting.items();
        let many = items >= u64::from(policy.max_items) || waiting.amount() >= policy.max_amount;
        let since_sealed = self.clock.monotonic().since(*self.last_sealed());
        let patience = policy.max_age.saturating_mul(SKIPPED_PATIENCE);
        let again = (waiting.skipped() > 0 || waiting.overdue > 0) && since_sealed >= patience;
        (items > 0 && (old || many)) || again
    }

    /// Sends what the chain does not have, in order of the numbers; `first` is that of the first batch
    /// that is not final.
    async fn send(
        &self,
        first: u64,
        open: Vec<(Batch, BatchState)>,
    ) -> Result<SettlementProgress, SettlementError> {
        let mut progress = SettlementProgress::Confirming { seq: first };
        if open.iter().all(|(_, state)| *state != BatchState::Sealed) {
            return Ok(progress);
        }
        let next = self.settler.next_sequence().await?;
        if next < first {
            return Err(SettlementError::Behind { seq: first, next });
        }
        for (batch, state) in open {
            if state != BatchState::Sealed {
                continue;
            }
            if next > batch.seq {
                self.confirm(batch).await?;
                continue;
            }
            let (seq, calls, lines) = (batch.seq, batch.items.len(), batch.lines.len());
            match self.settler.submit(batch.clone()).await? {
                Submission::Queued => progress = SettlementProgress::Submitted { seq, calls, lines },
                Submission::Refused { reason } => {
                    if self.dissolve(&batch, &reason).await? {
                        return Ok(SettlementProgress::Dissolved { seq });
                    }
                    break;
                }
            }
        }
        if matches!(progress, SettlementProgress::Submitted { .. }) {
            let halved = self.shrunk.load(Relaxed);
            self.shrunk.store(halved.saturating_sub(1), Relaxed);
        }
        Ok(progress)
    }

    /// Dissolves a refused batch. The next one is smaller; a call that is refused alone is set aside.
    async fn dissolve(&self, batch: &Batch, reason: &str) -> Result<bool, SettlementError> {
        let seq = batch.seq;
        if !self.store.dissolve(seq).await? {
            return Ok(false);
        }
        tracing::warn!(
            seq,
            calls = batch.items.len(),
            reason,
            "batch refused and dissolved"
        );
        self.shrunk.fetch_add(1, Relaxed);
        if let [only] = &*batch.items {
            let reason = format!("the contract refuses its batch: {reason}");
            self.store.set_aside(vec![only.call], reason).await?;
        }
        self.hurry();
        Ok(true)
    }

    /// The contract is past the batch: is it ours that it has?
    async fn confirm(&self, batch: Batch) -> Result<(), SettlementError> {
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
            Some(_) | None => Ok(()),
        }
    }
}

/// When the oldest unsettled charge of each organization was made, in open batches or waiting.
fn oldest(open: &[(Batch, BatchState)], waiting: &Unsealed) -> OldestCharges {
    let mut all = OldestCharges::new();
    let mut add = |org, since: Timestamp| {
        all.entry(org)
            .and_modify(|oldest: &mut Timestamp| *oldest = since.min(*oldest))
            .or_insert(since);
    };
    for line in open.iter().flat_map(|(batch, _)| &batch.lines) {
        add(line.org, line.since);
    }
    for waiting in &waiting.orgs {
        if let Some(since) = waiting.oldest {
            add(waiting.org, since);
        }
    }
    all
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
