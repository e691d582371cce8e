//! What must always hold, kept apart from the rules: its own record of holds, acknowledged charges and costs.

use crate::world::World;
use haithe_billing::{
    capture::{Capture, Captured},
    ledger::{Account, Balances},
};
use haithe_kernel::{CallId, OrgId, Usdt};
use std::collections::BTreeMap;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
}

/// What the oracle remembers.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// Granted and neither captured nor given back: payer and nano-USDT.
    pub holds: BTreeMap<CallId, (OrgId, i64)>,
    /// Decided in memory and not stored: payer and charge.
    pub pending: BTreeMap<CallId, (OrgId, i64)>,
    /// Charges that a caller was told of.
    acknowledged: BTreeMap<CallId, Captured>,
    /// Whether blocks were dropped.
    pub had_reorganization: bool,
    /// Holds that were granted.
    pub granted: u64,
}

impl Oracle {
    pub(crate) fn violate(&mut self, invariant: &'static str, detail: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, detail });
        }
    }
}

impl World {
    /// What the payer can spend beside all holds and pending charges, in nano-USDT.
    pub fn spendable(&self, org: OrgId) -> i64 {
        let sum = |open: &BTreeMap<CallId, (OrgId, i64)>| -> i64 {
            open.values()
                .filter(|(payer, _)| *payer == org)
                .map(|(_, nano)| nano)
                .sum()
        };
        let available = self.store.books.balance_of(Account::Available(org)).nano();
        available - sum(&self.oracle.holds) - sum(&self.oracle.pending)
    }

    /// A hold was granted, in the place of an earlier one of the call.
    pub fn note_hold(&mut self, call: CallId, org: OrgId, amount: Usdt) {
        self.oracle.granted += 1;
        self.oracle.holds.insert(call, (org, amount.nano()));
        let left = self.spendable(org);
        if amount.is_positive() && left < 0 {
            self.violate(
                "never overspent",
                format!("a hold of {amount} USDT leaves organization {org} at {left} nano-USDT"),
            );
        }
    }

    /// A hold ended without a charge.
    pub fn note_release(&mut self, call: CallId) {
        self.oracle.holds.remove(&call);
    }

    /// A capture was decided, when the payer could spend so many nano-USDT beside all holds.
    pub fn note_decision(&mut self, capture: &Capture, captured: &Captured, spendable: i64) {
        let call = capture.call;
        let held = self.oracle.holds.remove(&call).map_or(0, |(_, nano)| nano);
        let charged = captured.charged.nano();
        if charged > held && charged - held > spendable.max(0) {
            self.violate(
                "never overspent",
                format!(
                    "call {call} is charged {charged}, with {held} held and {spendable} spendable nano-USDT"
                ),
            );
        }
        if captured.charged.saturating_add(captured.lost) != capture.cost() || captured.lost.is_negative() {
            self.violate(
                "a charge is at most the cost",
                format!("call {call} costs {} and is charged {captured:?}", capture.cost()),
            );
        }
    }

    /// A caller was told of its charge.
    pub fn acknowledge(&mut self, call: CallId, captured: Captured) {
        match self.oracle.acknowledged.insert(call, captured) {
            Some(first) if first != captured => self.violate(
                "a call is charged once",
                format!("call {call} was answered with {first:?} and then with {captured:?}"),
            ),
            _ => {}
        }
    }

    /// What must hold after every step of the executor.
    pub fn check_step(&mut self) {
        let sum: i128 = self
            .store
            .books
            .balances()
            .map(|(_, balance)| i128::from(balance.nano()))
            .sum();
        if sum != 0 {
            self.violate(
                "postings sum to zero",
                format!("all balances together are {sum} nano-USDT"),
            );
        }
        if let Some((invariant, detail)) = self.store.broken.take() {
            self.violate(invariant, detail);
        }
    }

    /// What must hold when the store was written for longer, and after each crash.
    pub fn check_store(&mut self) {
        let mut lost = Vec::new();
        for (call, told) in &self.oracle.acknowledged {
            let stored = self.store.usage_of(*call).map(|usage| usage.captured);
            if stored != Some(*told) {
                lost.push(format!(
                    "call {call} was answered with {told:?}; stored is {stored:?}"
                ));
            }
        }
        if let Some(detail) = lost.into_iter().next() {
            self.violate("no acknowledged charge is lost", detail);
        }
        self.check_memory();
        let drifted = self.store.books.drifted();
        if let Some(detail) = drifted.into_iter().next() {
            self.violate("balances are the sums of their postings", detail);
        }
        if let Some(alarm) = self.store.alarms.first() {
            let detail = format!("{}: {}", alarm.kind.as_str(), alarm.detail);
            self.violate("no alarm without a cause", detail);
        }
        self.check_collected();
    }

    /// A ledger in memory agrees with the store, but for what is on its way there.
    fn check_memory(&mut self) {
        let Some(ledger) = self
            .instances
            .iter()
            .find_map(|instance| instance.ledger.as_ref())
        else {
            return;
        };
        let mut broken = None;
        for org in self.store.org_ids() {
            let pending: i64 = self
                .oracle
                .pending
                .values()
                .filter(|(payer, _)| *payer == org)
                .map(|(_, nano)| nano)
                .sum();
            let stored = self.store.books.balance_of(Account::Available(org)).nano() - pending;
            let memory = ledger.balance(org, self.store.scale());
            if memory.available.nano() != stored {
                broken = Some(format!(
                    "organization {org} has {} USDT available in memory and {stored} nano-USDT in the store",
                    memory.available
                ));
            }
        }
        if let Some(detail) = broken {
            self.violate("memory agrees with the store", detail);
        }
    }

    /// The chain never takes more from an organization than it was charged.
    fn check_collected(&mut self) {
        let decimals = self.store.decimals();
        let mut broken = None;
        for org in 1..=self.setup.orgs {
            let settled = self
                .chain
                .state()
                .orgs
                .get(&crate::parties::contract(org))
                .map_or(0, |org| org.settled);
            let charged = self.store.charged(OrgId(org));
            let units = charged.to_units(decimals).map_or(0, |(units, _)| units.get());
            if settled > units {
                broken = Some(format!(
                    "batches took {settled} base units from organization {org}, which was charged {charged} USDT"
                ));
            }
        }
        if let Some(detail) = broken {
            self.violate("nothing is collected twice", detail);
        }
    }
}
