//! Capturing: decided in memory, sealed in the caller's task, stored by the writer.

use super::{
    SqliteLedger,
    memory::{CaptureAnswer, Decision, Money, Waiters, stopped},
};
use crate::{columns, columns::Columns, db::Statement, writer::Work};
use haithe_billing::{
    capture::{Capture, Captured, PriceLine},
    chain::Hash32,
    ledger::{CaptureEffects, DecidedCapture, Entry, StoreMark, Unheld},
};
use haithe_kernel::{CallId, StoreError};
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;
use tokio::sync::oneshot;

impl SqliteLedger {
    pub(super) async fn take(&self, capture: Capture) -> CaptureAnswer {
        // The place in the queue comes first: from the decision to the queue nothing may wait, or a
        // caller that goes away would leave a decision behind that nobody stores.
        let place = self.db.queue().reserve().await.map_err(|_| stopped())?;
        let decision = match self.money().capture(&capture, Unheld::Report)? {
            Decision::NotHeld => match self.db.optional(stored(capture.call)).await? {
                Some(row) => return first_answer(&row),
                None => self.money().capture(&capture, Unheld::Charge)?,
            },
            decided => decided,
        };
        match decision {
            Decision::Decided(decided) => {
                let pending = PendingCapture::new(self.money(), decided);
                let (answer, wait) = oneshot::channel();
                let sealed = SealedCapture::seal(pending, capture, answer);
                place.send(Work::Capture(Box::new(sealed)));
                wait.await.map_err(|_| stopped())?
            }
            Decision::InFlight(wait) => {
                drop(place);
                wait.await.map_err(|_| stopped())?
            }
            Decision::NotHeld => Err(StoreError::new("the ledger could not decide a capture")),
        }
    }
}

/// Asks for the first answer to a capture.
pub(crate) fn stored(call: CallId) -> Statement {
    sqlx::query("SELECT charged, lost, spent_before FROM usage_records WHERE call = ?")
        .bind(columns::uuid(call.0))
}

/// Reads it.
pub(crate) fn first_answer(row: &SqliteRow) -> CaptureAnswer {
    let columns = Columns::of(row);
    Ok(Captured {
        charged: columns.get("usage_records.charged")?,
        lost: columns.get("usage_records.lost")?,
        spent_before: columns.get("usage_records.spent_before")?,
    })
}

/// A capture on its way to disk.
pub(crate) struct SealedCapture {
    pub(crate) pending: PendingCapture,
    pub(crate) capture: Capture,
    pub(crate) entry: Entry,
    /// As charged.
    pub(crate) lines: Vec<PriceLine>,
    pub(crate) receipt_hash: Hash32,
    pub(crate) receipt_json: Arc<str>,
    answer: oneshot::Sender<CaptureAnswer>,
}

impl SealedCapture {
    fn seal(pending: PendingCapture, capture: Capture, answer: oneshot::Sender<CaptureAnswer>) -> Self {
        let CaptureEffects {
            entry,
            lines,
            receipt,
        } = pending.decided.effects(&capture);
        Self {
            pending,
            capture,
            entry,
            lines,
            receipt_hash: receipt.hash,
            receipt_json: receipt.json.into(),
            answer,
        }
    }

    /// It is on disk as record `id`.
    pub(crate) fn stored(self, id: i64) {
        let captured = self.pending.captured();
        let waiters = self.pending.stored(id);
        answer(self.answer, waiters, || Ok(captured));
    }

    /// It was on disk already, with this answer.
    pub(crate) fn duplicate(self, first: Captured) {
        let waiters = self.pending.undo(true);
        answer(self.answer, waiters, || Ok(first));
    }

    /// It could not be stored: balances and hold are as they were before.
    pub(crate) fn failed(self, error: impl Fn() -> StoreError) {
        let waiters = self.pending.undo(false);
        answer(self.answer, waiters, || Err(error()));
    }
}

fn answer(first: oneshot::Sender<CaptureAnswer>, waiters: Waiters, with: impl Fn() -> CaptureAnswer) {
    for caller in [first].into_iter().chain(waiters) {
        // A caller that went away needs no answer.
        let _ = caller.send(with());
    }
}

/// A decision in memory that is not on disk. Dropped without an end, it is taken back.
pub(crate) struct PendingCapture {
    money: Option<Arc<Money>>,
    decided: DecidedCapture,
}

impl PendingCapture {
    fn new(money: &Arc<Money>, decided: DecidedCapture) -> Self {
        Self {
            money: Some(Arc::clone(money)),
            decided,
        }
    }

    /// What is taken.
    pub(crate) fn captured(&self) -> Captured {
        self.decided.captured
    }

    /// Nothing can be written: until that has changed, nothing may be promised.
    pub(crate) fn refuse_new_holds(&self) {
        if let Some(money) = &self.money {
            money.lock_anyway().failing = true;
        }
    }

    fn stored(mut self, id: i64) -> Waiters {
        let Some(money) = self.money.take() else {
            return Waiters::new();
        };
        let mut memory = money.lock_anyway();
        memory.ledger.stored(self.decided.call, StoreMark(id));
        memory.take_waiters(self.decided.call)
    }

    fn undo(mut self, captured_before: bool) -> Waiters {
        self.take_back(captured_before)
    }

    fn take_back(&mut self, captured_before: bool) -> Waiters {
        let Some(money) = self.money.take() else {
            return Waiters::new();
        };
        let mut memory = money.lock_anyway();
        memory.ledger.undo(&self.decided, captured_before);
        memory.take_waiters(self.decided.call)
    }
}

impl Drop for PendingCapture {
    fn drop(&mut self) {
        // The waiters' ends are dropped with the answer, which they take for the writer's end.
        drop(self.take_back(false));
    }
}
