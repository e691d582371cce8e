//! Billing's ledger behind its lock, beside what only this process has: callers that wait for a capture, and
//! whether the database can be written. Nothing here waits: no input, no output.

use haithe_billing::{
    capture::{Capture, Captured},
    hold::{HoldError, HoldRequest},
    ledger::{CaptureDecision, DecidedCapture, HoldDecision, LedgerState, Unheld},
};
use haithe_kernel::{CallId, Clock, StoreError, Usdt};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::oneshot;

pub(crate) type CaptureAnswer = Result<Captured, StoreError>;

/// Callers that asked again for a call whose capture is on its way to disk.
pub(crate) type Waiters = Vec<oneshot::Sender<CaptureAnswer>>;

/// What the lock guards.
pub(crate) struct Memory {
    pub(crate) ledger: LedgerState,
    /// By the calls that [`ledger`](Self::ledger) has in flight.
    waiters: HashMap<CallId, Waiters>,
    /// Nothing can be written for the moment: what is served now could not be charged.
    pub(crate) failing: bool,
    /// The writer has ended: nothing can be promised any more.
    pub(crate) stopped: bool,
}

impl Memory {
    /// Removes and returns the callers that wait for a capture.
    pub(super) fn take_waiters(&mut self, call: CallId) -> Waiters {
        self.waiters.remove(&call).unwrap_or_default()
    }

    fn admit(&self) -> Result<(), StoreError> {
        if self.failing {
            return Err(StoreError::new("the database cannot be written for the moment"));
        }
        Ok(())
    }
}

/// A capture, decided.
pub(super) enum Decision {
    /// Taken from the balances in memory; must be stored or taken back.
    Decided(DecidedCapture),
    /// The same call is on its way to disk; its answer will come here.
    InFlight(oneshot::Receiver<CaptureAnswer>),
    /// The call holds nothing: it may have been captured before.
    NotHeld,
}

/// The memory behind its lock, and the clock that tells the day.
pub(crate) struct Money {
    memory: Mutex<Memory>,
    clock: Arc<dyn Clock>,
    /// How many transactions gave calls a batch or took it away.
    placements: AtomicU64,
}

impl Money {
    pub(crate) fn new(ledger: LedgerState, clock: Arc<dyn Clock>) -> Self {
        Self {
            memory: Mutex::new(Memory {
                ledger,
                waiters: HashMap::new(),
                failing: false,
                stopped: false,
            }),
            clock,
            placements: AtomicU64::new(0),
        }
    }

    /// How many committed transactions gave calls that existed before a batch, or took it away. It is raised after
    /// the commit.
    pub(crate) fn placements(&self) -> u64 {
        self.placements.load(Ordering::Acquire)
    }

    /// One more such transaction is committed.
    pub(crate) fn placed(&self) {
        self.placements.fetch_add(1, Ordering::AcqRel);
    }

    /// The memory, while the writer lives.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, Memory>, StoreError> {
        // A panic under the lock may have left half a decision: as bad as a dead writer.
        match self.memory.lock() {
            Ok(memory) if !memory.stopped => Ok(memory),
            _ => Err(stopped()),
        }
    }

    /// The memory whatever happened, for giving back and for ending.
    pub(crate) fn lock_anyway(&self) -> MutexGuard<'_, Memory> {
        self.memory
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// [`LedgerState::hold`] while the database can be written.
    pub(super) fn hold(&self, request: &HoldRequest) -> Result<HoldDecision<Usdt>, HoldError> {
        let now = self.clock.now();
        let mut memory = self.lock()?;
        memory.admit()?;
        Ok(match memory.ledger.hold(request, now)? {
            HoldDecision::Granted(held) => HoldDecision::Granted(held.hold.amount),
            HoldDecision::Unread(unread) => HoldDecision::Unread(unread),
        })
    }

    /// [`LedgerState::available`] while the database can be written.
    pub(super) fn available(&self, request: &HoldRequest) -> Result<HoldDecision<Usdt>, HoldError> {
        let now = self.clock.now();
        let mut memory = self.lock()?;
        memory.admit()?;
        memory.ledger.available(request, now)
    }

    /// [`LedgerState::capture`]; a caller that repeats a call in flight waits for the first answer.
    pub(super) fn capture(&self, capture: &Capture, unheld: Unheld) -> Result<Decision, StoreError> {
        let mut memory = self.lock()?;
        let decision = memory.ledger.capture(capture, unheld).map_err(StoreError::new)?;
        Ok(match decision {
            CaptureDecision::Decided(decided) => Decision::Decided(decided),
            CaptureDecision::NotHeld => Decision::NotHeld,
            CaptureDecision::InFlight => {
                let (sender, receiver) = oneshot::channel();
                memory.waiters.entry(capture.call).or_default().push(sender);
                Decision::InFlight(receiver)
            }
        })
    }
}

/// The answer after the writer's end.
pub(crate) fn stopped() -> StoreError {
    StoreError::new("the database writer has stopped; restart the server")
}
