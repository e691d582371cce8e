//! A group of commands that a store decides together, in their order, in one transaction.
//!
//! The store locks the organizations involved, loads what the commands are about, lets the group decide each command
//! and writes the effects. When the transaction has to be run again, everything is loaded and decided again.

use super::{
    CaptureDecision, CaptureEffects, HoldDecision, HoldRecord, LedgerState, SpendingSubject, SpendingSum,
    SpendingSums, Unheld,
};
use crate::{
    capture::{Capture, Captured},
    hold::{BudgetSubject, HoldError, HoldRequest},
};
use haithe_kernel::{CallId, OrgId, StoreError, Timestamp, Usdt};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Times a budget's window may be evicted while one command is decided, before that is an error.
const EVICTIONS: usize = 8;

/// What a store loads for a group of commands.
#[derive(Debug, Default)]
pub struct GroupInput {
    /// The organizations that pay, with all their holds, and the holds that count in the budgets of the commands.
    /// Project and key spending is added from [`sums`](Self::sums).
    pub state: LedgerState,
    /// The stored sums of the keys and projects that are captured for, and of the keys with budgets.
    pub sums: SpendingSums,
    /// What was captured in the window of every budget of the commands, in nano-USDT.
    pub windows: HashMap<(BudgetSubject, Timestamp), i128>,
    /// The first answers of those calls among the captures that were captured before.
    pub captured: HashMap<CallId, Captured>,
}

/// A capture that the group decided.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupCapture {
    /// What was asked for.
    pub capture: Capture,
    /// What was taken.
    pub captured: Captured,
    /// What is written for it.
    pub effects: CaptureEffects,
    /// Whether the call held money. If not, its hold was released, and the loss was not foreseen.
    pub was_held: bool,
}

/// What a store writes for a group, in the transaction in which it loaded the [`GroupInput`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupEffects {
    /// The holds that changed, by call; `None` for one that is removed, if it is there.
    pub holds: BTreeMap<CallId, Option<HoldRecord>>,
    /// The captures, in order.
    pub captures: Vec<GroupCapture>,
    /// What was captured of all time from each organization that was charged, in nano-USDT.
    pub spent: BTreeMap<OrgId, i128>,
    /// The sums that changed.
    pub sums: Vec<SpendingSum>,
}

/// Commands that are decided one after the other, each after the effects of those before it.
#[derive(Debug)]
pub struct LedgerGroup {
    input: GroupInput,
    holds: BTreeMap<CallId, Option<HoldRecord>>,
    captures: Vec<GroupCapture>,
    charged: BTreeSet<OrgId>,
}

impl LedgerGroup {
    /// No command is decided yet.
    pub fn new(mut input: GroupInput) -> Self {
        let all_time: Vec<SpendingSum> = input.sums.all_time().collect();
        for sum in all_time {
            input.state.add_sum(sum);
        }
        Self {
            input,
            holds: BTreeMap::new(),
            captures: Vec::new(),
            charged: BTreeSet::new(),
        }
    }

    /// [`LedgerState::hold`]; returns how much is held. `now` is the database's time.
    ///
    /// # Errors
    /// As [`LedgerState::hold`], and [`HoldError::Store`] for a budget whose window was not loaded.
    pub fn hold(&mut self, request: &HoldRequest, now: Timestamp) -> Result<Usdt, HoldError> {
        let held = self.decided(request, |state| state.hold(request, now))?;
        let amount = held.hold.amount;
        self.holds.insert(held.hold.call, Some(held.hold));
        Ok(amount)
    }

    /// [`LedgerState::available`]; nothing changes.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub fn available(&mut self, request: &HoldRequest, now: Timestamp) -> Result<Usdt, HoldError> {
        self.decided(request, |state| state.available(request, now))
    }

    /// Gives a hold back, whether or not it is loaded.
    pub fn release(&mut self, call: CallId) {
        self.input.state.release(call);
        self.holds.insert(call, None);
    }

    /// Takes what a call did cost, once per call: the first answer is the answer to every later capture of it. A call
    /// whose hold was released meanwhile pays what is spendable.
    ///
    /// # Errors
    /// A [`CaptureRefused`](super::CaptureRefused) as a [`StoreError`]; nothing changes then.
    pub fn capture(&mut self, capture: &Capture) -> Result<Captured, StoreError> {
        if let Some(first) = self.input.captured.get(&capture.call).copied() {
            let hold = self.input.state.hold_of(capture.call);
            if hold.is_some_and(|hold| hold.org == capture.org) {
                self.release(capture.call);
            }
            return Ok(first);
        }
        let decided = match self.input.state.capture(capture, Unheld::Charge) {
            Ok(CaptureDecision::Decided(decided)) => decided,
            Ok(CaptureDecision::InFlight | CaptureDecision::NotHeld) => {
                return Err(StoreError::new("the ledger could not decide a capture"));
            }
            Err(refused) => return Err(StoreError::new(refused)),
        };
        let captured = decided.captured;
        if decided.hold.is_some() {
            self.holds.insert(capture.call, None);
        }
        self.count(capture, captured.charged);
        self.input.captured.insert(capture.call, captured);
        self.captures.push(GroupCapture {
            effects: decided.effects(capture),
            was_held: decided.hold.is_some(),
            capture: capture.clone(),
            captured,
        });
        Ok(captured)
    }

    /// What is to be written.
    pub fn into_effects(self) -> GroupEffects {
        let spent = |org: &OrgId| Some((*org, self.input.state.spent(*org)?));
        GroupEffects {
            spent: self.charged.iter().filter_map(spent).collect(),
            sums: self.input.sums.changed().collect(),
            holds: self.holds,
            captures: self.captures,
        }
    }

    fn count(&mut self, capture: &Capture, charged: Usdt) {
        let (usage, nano) = (&capture.usage, i128::from(charged.nano()));
        let project = SpendingSubject::Project(capture.org, usage.project);
        let key = usage.api_key.map(SpendingSubject::ApiKey);
        for subject in [project].into_iter().chain(key) {
            self.input.sums.charge(subject, usage.finished_at, nano);
        }
        self.charged.insert(capture.org);
    }

    fn decided<T>(
        &mut self,
        request: &HoldRequest,
        mut decide: impl FnMut(&mut LedgerState) -> Result<HoldDecision<T>, HoldError>,
    ) -> Result<T, HoldError> {
        for _ in 0..=request.budgets.len() + EVICTIONS {
            match decide(&mut self.input.state)? {
                HoldDecision::Granted(granted) => return Ok(granted),
                HoldDecision::Unread(unread) => {
                    let nano = self.input.windows.get(&(unread.subject, unread.since));
                    let missing = || StoreError::new("the window of a budget was not loaded");
                    self.input.state.budget_read(unread, *nano.ok_or_else(missing)?);
                }
            }
        }
        Err(StoreError::new("the budgets change faster than they can be read").into())
    }
}
