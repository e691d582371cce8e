//! Taking what a call did cost: decided once per call, then stored or taken back.

use super::{
    Account, Entry, HoldRecord, LedgerState, StoreMark, Transfer, call_key, capped, state::InFlight,
};
use crate::{
    capture::{Capture, Captured, Payee, PriceLine, allocate},
    hold::BudgetSubject,
    receipt::{ReceiptContext, SealedReceipt},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, OrgId, ProjectId, Timestamp};
use std::sync::Arc;

/// How a capture of a call without a hold is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheld {
    /// Report it: it may have been captured before, which only the store can find out.
    Report,
    /// Charge it: the store has no earlier capture of it.
    Charge,
}

/// A decision over a capture that was not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum CaptureDecision {
    /// Taken from the balances; to be stored or taken back.
    Decided(DecidedCapture),
    /// The same call is on its way to the store; its answer is the answer to this one, too.
    InFlight,
    /// The call holds nothing, and [`Unheld::Report`] was given.
    NotHeld,
}

/// A charge that cannot be taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureRefused {
    /// A line has a price below zero.
    #[error("a charge has a line below zero")]
    NegativeLine,
    /// The call's hold belongs to another organization.
    #[error("a capture names another organization than its hold")]
    ForeignHold,
    /// A payee is the payer itself, or an unknown organization: no batch could contain the charge.
    #[error("a charge pays its own payer, or an organization that does not exist")]
    Payee,
    /// The payer is an unknown organization.
    #[error("a charge is for an organization that does not exist")]
    Payer,
}

/// A charge that was taken from the balances and is not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct DecidedCapture {
    /// The call.
    pub call: CallId,
    /// The payer.
    pub org: OrgId,
    /// What was taken.
    pub captured: Captured,
    /// The hold that the capture ended; the store removes it with the charge.
    pub hold: Option<HoldRecord>,
    context: Arc<ReceiptContext>,
    project: ProjectId,
    api_key: Option<ApiKeyId>,
    at: Timestamp,
}

/// What a store writes for a capture, in one transaction with the usage record and the balances that
/// [`post`](super::post) computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureEffects {
    /// The ledger entry: the charge from available to unsettled, then the loss, which the platform bears.
    pub entry: Entry,
    /// The lines as charged.
    pub lines: Vec<PriceLine>,
    /// The receipt.
    pub receipt: SealedReceipt,
}

impl DecidedCapture {
    /// The effects of a decision over `capture`. It hashes, so that a store does it outside its lock.
    pub fn effects(&self, capture: &Capture) -> CaptureEffects {
        let Captured { charged, lost, .. } = self.captured;
        let lines = allocate(&capture.lines, charged);
        let receipt = SealedReceipt::seal(&self.context, capture, &self.captured, &lines);
        let (available, unsettled) = (Account::Available(self.org), Account::Unsettled(self.org));
        CaptureEffects {
            entry: Entry {
                key: call_key(self.call),
                at: self.at,
                block: None,
                transfers: vec![
                    Transfer::new(available, unsettled, charged),
                    Transfer::new(Account::PlatformLoss, Account::Platform, lost),
                ],
            },
            lines,
            receipt,
        }
    }

    fn subjects(&self) -> impl Iterator<Item = BudgetSubject> {
        let project = BudgetSubject::Project(self.project);
        [project]
            .into_iter()
            .chain(self.api_key.map(BudgetSubject::ApiKey))
    }
}

impl LedgerState {
    /// Takes min(cost, hold + spendable), once per call, and gives the rest of the hold back.
    ///
    /// # Errors
    /// [`CaptureRefused`]; balances and holds are as before.
    pub fn capture(&mut self, capture: &Capture, unheld: Unheld) -> Result<CaptureDecision, CaptureRefused> {
        if capture.lines.iter().any(|line| line.amount.is_negative()) {
            return Err(CaptureRefused::NegativeLine);
        }
        if self.captures.contains_key(&capture.call) {
            return Ok(CaptureDecision::InFlight);
        }
        let held = match self.holds.get(&capture.call) {
            Some(hold) if hold.org != capture.org => return Err(CaptureRefused::ForeignHold),
            Some(hold) => i128::from(hold.amount.nano()),
            None if unheld == Unheld::Charge => 0,
            None => return Ok(CaptureDecision::NotHeld),
        };
        for line in &capture.lines {
            if let Payee::Organization(payee) = line.payee
                && (payee == capture.org || !self.is_known(payee))
            {
                return Err(CaptureRefused::Payee);
            }
        }
        let money = self.orgs.get(&capture.org).ok_or(CaptureRefused::Payer)?;
        let cost = i128::from(capture.cost().nano());
        let charged = cost.min(held + money.spendable(0));
        let usage = &capture.usage;
        let before = self
            .spending
            .before(capture.expenditure, capture.org, usage, money.spent);
        let decided = DecidedCapture {
            call: capture.call,
            org: capture.org,
            captured: Captured {
                charged: capped(charged),
                lost: capped(cost - charged),
                spent_before: capped(before),
            },
            context: money.receipt(),
            project: usage.project,
            api_key: usage.api_key,
            at: usage.finished_at,
            hold: self.take_hold(capture.call),
        };
        self.count_charge(&decided, charged);
        let flight = InFlight {
            charged,
            api_key: decided.api_key,
            project: decided.project,
            at: decided.at,
            released: false,
        };
        self.captures.insert(capture.call, flight);
        Ok(CaptureDecision::Decided(decided))
    }

    fn is_known(&self, org: OrgId) -> bool {
        self.orgs.contains_key(&org) || self.payees.contains(&org)
    }

    /// A decided capture is stored, and is the newest one up to `mark`.
    pub fn stored(&mut self, call: CallId, mark: StoreMark) {
        self.stored = self.stored.max(mark);
        self.captures.remove(&call);
    }

    /// Takes a decision back that was not stored. Balances, budgets and spending are as if it had never been. Its
    /// hold is restored, as far as other calls did not take what the capture had freed; not if it was released or
    /// replaced meanwhile, or if the store found that the call was captured before.
    pub fn undo(&mut self, decided: &DecidedCapture, captured_before: bool) {
        let Some(flight) = self.captures.remove(&decided.call) else {
            return;
        };
        self.count_charge(decided, -flight.charged);
        if let Some(hold) = &decided.hold
            && !captured_before
            && !flight.released
            && !self.holds.contains_key(&hold.call)
        {
            let amount = capped(self.restorable(hold, flight.charged));
            self.add_hold(HoldRecord {
                amount,
                ..hold.clone()
            });
        }
    }

    /// How much of a hold can be set aside again, once what was charged is back in the balance: what the capture
    /// had freed beyond its charge may be held or spent by other calls now.
    fn restorable(&self, hold: &HoldRecord, charged: i128) -> i128 {
        let held = i128::from(hold.amount.nano());
        let own = held.min(charged);
        let free = self
            .orgs
            .get(&hold.org)
            .map_or(held, |money| money.available - money.held);
        own + (held - own).min((free - own).max(0))
    }

    fn count_charge(&mut self, decided: &DecidedCapture, charged: i128) {
        if let Some(money) = self.orgs.get_mut(&decided.org) {
            money.available -= charged;
            money.unsettled += charged;
            money.spent += charged;
        }
        self.spending
            .charge(decided.org, decided.project, decided.api_key, charged);
        for subject in decided.subjects() {
            self.budgets.charge(subject, decided.at, charged);
        }
    }
}
