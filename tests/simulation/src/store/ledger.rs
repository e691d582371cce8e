//! Holds and captures in the store: loading a part of the ledger, and writing decisions.

use super::{Store, Usage};
use crate::defect::Defect;
use haithe_billing::{
    capture::{Capture, Captured},
    hold::{BudgetSubject, HoldError, HoldRequest},
    ledger::{
        CaptureDecision, CaptureEffects, DecidedCapture, HoldDecision, LedgerState, StoreMark, Unheld,
        UnreadBudget,
    },
};
use haithe_kernel::{CallId, OrgId, StoreError, Timestamp, Usdt};

impl Store {
    /// The mark of the newest capture.
    pub fn mark(&self) -> StoreMark {
        StoreMark(i64::try_from(self.usage.len()).expect("few captures"))
    }

    /// The whole ledger, as one process loads it at its start.
    pub fn load(&self) -> LedgerState {
        let mut state = LedgerState::new(self.mark());
        if let Some(time) = self.chain_time() {
            state.set_chain_time(time);
        }
        for org in self.org_ids() {
            state.add_organization(org, self.money(org));
        }
        for usage in &self.usage {
            let nano = i128::from(usage.captured.charged.nano());
            state.add_spending(usage.org, usage.project, usage.api_key, nano);
        }
        state
    }

    /// The ledger with the stored holds, for decisions about one organization.
    fn load_for(&self, call: CallId) -> LedgerState {
        let mut state = self.load();
        let is_seen = |other: CallId| other == call || !self.has(Defect::HoldsUnseen);
        for (record, _) in self.holds.values().filter(|(record, _)| is_seen(record.call)) {
            state.add_hold(record.clone());
        }
        state
    }

    /// The sum of captures that a budget asks for.
    pub fn read_budget(&self, unread: UnreadBudget) -> i128 {
        let stored = usize::try_from(unread.stored.0).expect("a mark of this store");
        let is_of = |usage: &&Usage| {
            usage.at >= unread.since
                && match unread.subject {
                    BudgetSubject::ApiKey(key) => usage.api_key == Some(key),
                    BudgetSubject::Project(project) => usage.project == project,
                }
        };
        let counted = self.usage.iter().take(stored).filter(is_of);
        counted
            .map(|usage| i128::from(usage.captured.charged.nano()))
            .sum()
    }

    /// Decides over a hold and stores it, in one transaction.
    ///
    /// # Errors
    /// The refusal.
    pub fn hold(
        &mut self,
        request: &HoldRequest,
        now: Timestamp,
        instance: usize,
    ) -> Result<Usdt, HoldError> {
        let mut state = self.load_for(request.call);
        loop {
            match state.hold(request, now)? {
                HoldDecision::Unread(unread) => state.budget_read(unread, self.read_budget(unread)),
                HoldDecision::Granted(held) => {
                    let amount = held.hold.amount;
                    self.holds.insert(request.call, (held.hold, instance));
                    return Ok(amount);
                }
            }
        }
    }

    /// Decides over a capture and stores it, in one transaction; the first answer for a call that is stored already.
    /// Also says whether it was decided now.
    ///
    /// # Errors
    /// The refusal.
    pub fn capture(&mut self, capture: &Capture) -> Result<(Captured, bool), StoreError> {
        if let Some(usage) = self.usage_of(capture.call)
            && !self.has(Defect::CaptureRepeated)
        {
            return Ok((usage.captured, false));
        }
        let mut state = self.load_for(capture.call);
        let mut decision = state.capture(capture, Unheld::Report).map_err(StoreError::new)?;
        if decision == CaptureDecision::NotHeld {
            decision = state.capture(capture, Unheld::Charge).map_err(StoreError::new)?;
        }
        let CaptureDecision::Decided(decided) = decision else {
            return Err(StoreError::new("the ledger could not decide a capture"));
        };
        self.holds.remove(&capture.call);
        self.commit(capture, &decided)?;
        Ok((decided.captured, true))
    }

    /// Stores a decided capture, unless the call is stored already.
    ///
    /// # Errors
    /// The call is stored already, or a balance is out of range.
    pub fn commit(&mut self, capture: &Capture, decided: &DecidedCapture) -> Result<(), StoreError> {
        let CaptureEffects {
            mut entry,
            lines,
            receipt,
        } = decided.effects(capture);
        if let Some(place) = self.by_call.get(&capture.call) {
            if !self.has(Defect::CaptureRepeated) {
                return Err(StoreError::new("the call is stored already"));
            }
            // The defect: no unique key.
            entry.key.push_str(&format!("/{}", self.usage.len() - place));
        }
        self.books.book(entry).map_err(StoreError::new)?;
        let lines: Vec<_> = lines.iter().map(|line| (line.payee, line.amount)).collect();
        let sum: i64 = lines.iter().map(|(_, amount)| amount.nano()).sum();
        if sum != decided.captured.charged.nano() {
            let detail = format!("the lines of call {} sum to {sum}", capture.call);
            self.break_invariant("lines sum to the charge", detail);
        }
        self.by_call.insert(capture.call, self.usage.len());
        self.usage.push(Usage {
            call: capture.call,
            org: capture.org,
            lines,
            captured: decided.captured,
            at: capture.usage.finished_at,
            project: capture.usage.project,
            api_key: capture.usage.api_key,
            receipt_hash: receipt.hash,
            batch: None,
            was_skipped: false,
        });
        Ok(())
    }

    /// How many records there are of a call's charge.
    pub fn records_of(&self, call: CallId) -> usize {
        self.usage.iter().filter(|usage| usage.call == call).count()
    }

    /// Raises the epoch of an instance and releases its holds, in one transaction; returns the new epoch and the
    /// calls that held.
    pub fn end_epoch(&mut self, instance: usize, now: Timestamp) -> (u64, Vec<CallId>) {
        let (epoch, renewed) = &mut self.epochs[instance];
        (*epoch, *renewed) = (*epoch + 1, now);
        let epoch = *epoch;
        if self.has(Defect::HoldsOfEndedInstance) {
            return (epoch, Vec::new());
        }
        let of_instance = self.holds.iter().filter(|(_, (_, holder))| *holder == instance);
        let calls: Vec<CallId> = of_instance.map(|(call, _)| *call).collect();
        for call in &calls {
            self.holds.remove(call);
        }
        (epoch, calls)
    }

    /// What is held for an organization in the store, in nano-USDT.
    pub fn held(&self, org: OrgId) -> i64 {
        let holds = self.holds.values().filter(|(record, _)| record.org == org);
        holds.map(|(record, _)| record.amount.nano()).sum()
    }
}
