//! Capturing: decided in memory, sealed in the caller's task, stored by the writer.

use super::{
    SqliteLedger,
    memory::{CaptureAnswer, Hold, InFlight, Money, OrgAccounts, stopped},
    scale::capped,
};
use crate::{columns, columns::Columns, db::Statement, writer::Work};
use haithe_billing::{
    capture::{Capture, Captured, Payee, PriceLine, allocate},
    chain::Hash32,
    hold::BudgetSubject,
    receipt::{ReceiptContext, SealedReceipt},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, OrgId, ProjectId, StoreError, Timestamp};
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;
use tokio::sync::oneshot;

impl SqliteLedger {
    pub(super) async fn take(&self, capture: Capture) -> CaptureAnswer {
        if capture.lines.iter().any(|line| line.amount.is_negative()) {
            return Err(StoreError::new("a charge has a line below zero"));
        }
        // The place in the queue comes first: from the decision to the queue nothing may wait, or a
        // caller that goes away would leave a decision behind that nobody stores.
        let place = self.db.queue().reserve().await.map_err(|_| stopped())?;
        let decision = match Money::decide(self.money(), &capture, false)? {
            Decision::Unheld => match self.db.optional(stored(capture.call)).await? {
                Some(row) => return first_answer(&row),
                None => Money::decide(self.money(), &capture, true)?,
            },
            decided => decided,
        };
        match decision {
            Decision::Taken(pending, context) => {
                let lines = allocate(&capture.lines, pending.captured.charged);
                let receipt = SealedReceipt::seal(&context, &capture, &pending.captured, &lines);
                let (answer, wait) = oneshot::channel();
                place.send(Work::Capture(Box::new(SealedCapture {
                    pending,
                    capture,
                    lines,
                    receipt_hash: receipt.hash,
                    receipt_json: receipt.json.into(),
                    answer,
                })));
                wait.await.map_err(|_| stopped())?
            }
            Decision::InFlight(wait) => {
                drop(place);
                wait.await.map_err(|_| stopped())?
            }
            Decision::Unheld => Err(StoreError::new("the ledger could not decide a capture")),
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
    let mut columns = Columns::of(row);
    Ok(Captured {
        charged: columns.read("usage_records.charged")?,
        lost: columns.read("usage_records.lost")?,
        spent_before: columns.read("usage_records.spent_before")?,
    })
}

/// What became of a capture at first.
enum Decision {
    /// Taken from the balances in memory; must be stored.
    Taken(PendingCapture, Arc<ReceiptContext>),
    /// The same call is on its way to disk; its answer will come here.
    InFlight(oneshot::Receiver<CaptureAnswer>),
    /// The call holds nothing: it may have been captured before.
    Unheld,
}

/// A capture on its way to disk.
pub(crate) struct SealedCapture {
    pub(crate) pending: PendingCapture,
    pub(crate) capture: Capture,
    /// As charged.
    pub(crate) lines: Vec<PriceLine>,
    pub(crate) receipt_hash: Hash32,
    pub(crate) receipt_json: Arc<str>,
    answer: oneshot::Sender<CaptureAnswer>,
}

impl SealedCapture {
    /// It is on disk as record `id`.
    pub(crate) fn stored(self, id: i64) {
        let captured = self.pending.captured;
        let waiters = self.pending.stored(id);
        let _ = self.answer.send(Ok(captured));
        for waiter in waiters {
            let _ = waiter.send(Ok(captured));
        }
    }

    /// It was on disk already, with this answer.
    pub(crate) fn duplicate(self, first: Captured) {
        let waiters = self.pending.undo(false);
        let _ = self.answer.send(Ok(first));
        for waiter in waiters {
            let _ = waiter.send(Ok(first));
        }
    }

    /// It could not be stored: balances and hold are as they were before.
    pub(crate) fn failed(self, error: impl Fn() -> StoreError) {
        let waiters = self.pending.undo(true);
        let _ = self.answer.send(Err(error()));
        for waiter in waiters {
            let _ = waiter.send(Err(error()));
        }
    }
}

/// A decision in memory that is not on disk. Dropped without an end, it undoes itself.
pub(crate) struct PendingCapture {
    money: Option<Arc<Money>>,
    call: CallId,
    hold: Option<Hold>,
    subjects: Vec<BudgetSubject>,
    org: OrgId,
    project: ProjectId,
    api_key: Option<ApiKeyId>,
    at: Timestamp,
    pub(crate) accounts: OrgAccounts,
    pub(crate) captured: Captured,
}

impl PendingCapture {
    /// Nothing can be written: until that has changed, nothing may be promised.
    pub(crate) fn refuse_new_holds(&self) {
        if let Some(money) = &self.money {
            money.lock_anyway().failing = true;
        }
    }

    fn stored(mut self, id: i64) -> Vec<oneshot::Sender<CaptureAnswer>> {
        let Some(money) = self.money.take() else {
            return Vec::new();
        };
        let mut state = money.lock_anyway();
        state.newest_usage = state.newest_usage.max(id);
        state
            .captures
            .remove(&self.call)
            .map(|capture| capture.waiters)
            .unwrap_or_default()
    }

    fn undo(mut self, hold_again: bool) -> Vec<oneshot::Sender<CaptureAnswer>> {
        self.take_back(hold_again)
    }

    fn take_back(&mut self, hold_again: bool) -> Vec<oneshot::Sender<CaptureAnswer>> {
        let Some(money) = self.money.take() else {
            return Vec::new();
        };
        let charged = i128::from(self.captured.charged.nano());
        let mut state = money.lock_anyway();
        if let Some(money) = state.orgs.get_mut(&self.org) {
            money.available += charged;
            money.unsettled -= charged;
            money.spent -= charged;
        }
        state
            .spending
            .charge(self.org, self.project, self.api_key, -charged);
        for subject in &self.subjects {
            state.budgets.charge(*subject, self.at, -charged);
        }
        let flight = state.captures.remove(&self.call);
        let released = flight.as_ref().is_some_and(|flight| flight.released);
        if let Some(hold) = self.hold.take()
            && hold_again
            && !released
        {
            state.put_hold(self.call, hold);
        }
        flight.map(|flight| flight.waiters).unwrap_or_default()
    }
}

impl Drop for PendingCapture {
    fn drop(&mut self) {
        // The waiters' ends are dropped with the answer, which they take for the writer's end.
        drop(self.take_back(true));
    }
}

impl Money {
    /// Takes min(cost, hold + spendable) from the balances in memory, once per call.
    fn decide(this: &Arc<Self>, capture: &Capture, unheld: bool) -> Result<Decision, StoreError> {
        let mut state = this.lock()?;
        if let Some(flight) = state.captures.get_mut(&capture.call) {
            let (sender, receiver) = oneshot::channel();
            flight.waiters.push(sender);
            return Ok(Decision::InFlight(receiver));
        }
        let held = match state.holds.get(&capture.call) {
            Some(hold) if hold.org != capture.org => {
                return Err(StoreError::new(
                    "a capture names another organization than its hold",
                ));
            }
            Some(hold) => hold.amount,
            None if unheld => 0,
            None => return Ok(Decision::Unheld),
        };
        for line in &capture.lines {
            // Either would keep its batch from being built, and with it all others.
            if let Payee::Organization(payee) = line.payee
                && (payee == capture.org || !state.orgs.contains_key(&payee))
            {
                return Err(StoreError::new(
                    "a charge pays its own payer, or an organization that does not exist",
                ));
            }
        }
        let cost = i128::from(capture.cost().nano());
        let Some(money) = state.orgs.get_mut(&capture.org) else {
            return Err(StoreError::new(
                "a charge is for an organization that does not exist",
            ));
        };
        let charged = cost.min(held + money.spendable(0));
        let spent_by_org = money.spent;
        money.available -= charged;
        money.unsettled += charged;
        money.spent += charged;
        let (context, accounts) = (Arc::clone(&money.receipt), money.accounts);

        let hold = state.take_hold(capture.call);
        let usage = &capture.usage;
        let before = state
            .spending
            .before(capture.expenditure, capture.org, usage, spent_by_org);
        let captured = Captured {
            charged: capped(charged),
            lost: capped(cost - charged),
            spent_before: capped(before),
        };
        state
            .spending
            .charge(capture.org, usage.project, usage.api_key, charged);
        let mut subjects = vec![BudgetSubject::Project(usage.project)];
        subjects.extend(usage.api_key.map(BudgetSubject::ApiKey));
        for subject in &subjects {
            state.budgets.charge(*subject, usage.finished_at, charged);
        }
        let flight = InFlight {
            charged,
            api_key: usage.api_key,
            project: usage.project,
            at: usage.finished_at,
            waiters: Vec::new(),
            released: false,
        };
        state.captures.insert(capture.call, flight);
        let pending = PendingCapture {
            money: Some(Arc::clone(this)),
            call: capture.call,
            hold,
            subjects,
            org: capture.org,
            project: usage.project,
            api_key: usage.api_key,
            at: usage.finished_at,
            accounts,
            captured,
        };
        Ok(Decision::Taken(pending, context))
    }
}
