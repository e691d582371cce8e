//! The sealer: which waiting charges make up the next batch. Pure; it reads no clock and no storage.
//!
//! The store offers waiting charges oldest first, in up to three passes, and the sealer takes or
//! leaves each:
//!
//! 1. **Fair**: charges of organizations in good standing. No organization takes more than a quarter
//!    of the batch's gas, or of its calls; the first charge of a line may exceed that.
//! 2. **Surplus**: when one organization only is left with charges beyond its quarter, it takes the
//!    rest of the batch.
//! 3. **Suspended**: organizations whose lines were skipped three times in a row.
//!
//! What is proved by the tests of this module:
//! - the gas bound of every batch is at most `batch_gas` ([`GasModel`]);
//! - the organization with the oldest charge is always part of the batch;
//! - while another organization waits, no organization takes more than a quarter;
//! - a charge waits at most ⌈gas of older charges ÷ `batch_gas`⌉ + 1 batches. The gas of a charge is
//!   the bound of a batch that contains nothing else. Older charges of the same organization count four
//!   times if other organizations have charges, because their younger charges take the other three
//!   quarters of a batch first. This holds where a quarter of the batch's gas bounds a line, and not
//!   `max_credits_per_line`. `docs/adr/0016-batches-bounded-by-gas.md` shows that no sealer can keep both
//!   the quarter and the bound without the factor.
//!
//! [`GasModel`]: super::GasModel

use super::{BatchItem, Carry, CarryKey, CreditCounts, LineGas, SealPolicy};
use crate::capture::Payee;
use haithe_kernel::{OrgId, Timestamp, Usdt};
use std::collections::{BTreeSet, HashMap, HashSet};

/// An organization's part of a batch while others wait: one of this many.
const SHARES: u64 = 4;

/// What the sealer decided about a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is part of the batch.
    Taken,
    /// It waits for a later batch.
    Waits,
    /// No batch can ever contain it: it credits more payees than fit into a line.
    Unsealable,
}

/// Which charges are being offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Organizations in good standing, each up to a quarter of the batch.
    Fair,
    /// The one organization that has more than its quarter.
    Surplus,
    /// Suspended organizations.
    Suspended,
}

/// Organizations whose charges are treated differently from those of all others.
#[derive(Debug, Clone, Default)]
pub struct Payers {
    /// Suspended: they come last.
    pub suspended: HashSet<OrgId>,
    /// Withdrawing: their small credits do not wait for more of their kind.
    pub withdrawing: HashSet<OrgId>,
    /// All of their charges together are too small for a line ([`SealPolicy::defers`]).
    pub deferred: HashSet<OrgId>,
    /// A transfer in their last lines failed, and which one is not known. Their lines credit one
    /// organization at most, so that the next failure shows it; the first call of a line may exceed that.
    pub probed: HashSet<OrgId>,
    /// Payers and payees whose credits go to escrow, because the payee could not be paid three times.
    pub unpayable: HashSet<CarryKey>,
}

/// Selects the charges of one batch.
#[derive(Debug)]
pub struct Sealer {
    policy: SealPolicy,
    now: Timestamp,
    payers: Payers,
    pass: Pass,
    lines: HashMap<OrgId, LinePlan>,
    used: u64,
    allowance: u64,
    /// Gas of overdue carry.
    carried: u64,
    items: u64,
    /// Organizations with charges beyond their quarter.
    surplus: BTreeSet<OrgId>,
    full: bool,
    has_payout: bool,
}

#[derive(Debug, Default, Clone)]
struct LinePlan {
    owed: HashMap<Payee, Owed>,
    credits: CreditCounts,
    /// Payees that are credited, the platform included.
    payees: u64,
    gas: LineGas,
    items: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Owed {
    nano: i128,
    since: Option<Timestamp>,
    is_due: bool,
}

impl Sealer {
    /// A sealer of an empty batch, in its first pass.
    pub fn new(policy: SealPolicy, now: Timestamp, payers: Payers) -> Self {
        Self {
            policy,
            now,
            payers,
            pass: Pass::Fair,
            lines: HashMap::new(),
            used: policy.gas.base,
            allowance: 0,
            carried: 0,
            items: 0,
            surplus: BTreeSet::new(),
            full: false,
            has_payout: false,
        }
    }

    /// The pass whose charges are to be offered now, oldest first.
    pub fn pass(&self) -> Pass {
        self.pass
    }

    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.full || self.items >= u64::from(self.policy.max_items)
    }

    /// Whether charges of this organization matter in this pass. Others need not be loaded.
    pub fn wants(&self, org: OrgId) -> bool {
        if self.is_full() || self.payers.deferred.contains(&org) {
            return false;
        }
        let suspended = self.payers.suspended.contains(&org);
        match self.pass {
            Pass::Fair => !suspended && !self.surplus.contains(&org),
            Pass::Surplus => self.surplus.contains(&org),
            Pass::Suspended => suspended && !self.surplus.contains(&org),
        }
    }

    /// Ends a pass in which every charge that [`wants`](Self::wants) asked for was offered; returns
    /// the next one that has something to do.
    pub fn next_pass(&mut self) -> Option<Pass> {
        if self.is_full() {
            return None;
        }
        self.pass = match self.pass {
            Pass::Fair if self.surplus.len() == 1 => Pass::Surplus,
            Pass::Fair | Pass::Surplus if !self.payers.suspended.is_empty() => {
                self.surplus.clear();
                Pass::Suspended
            }
            Pass::Fair | Pass::Surplus | Pass::Suspended => return None,
        };
        Some(self.pass)
    }

    /// Offers a carried credit that has waited for the longest time allowed. These are offered after the
    /// oldest charge and before all others, and take a quarter of the batch at most. Returns whether it
    /// is part of the batch.
    pub fn offer_carry(&mut self, carry: &Carry) -> bool {
        let line = self.policy.gas.line(CreditCounts::of([carry.key.payee]));
        let carried = self.carried.saturating_add(line.used);
        if carried > self.policy.batch_gas / SHARES || self.payers.suspended.contains(&carry.key.org) {
            return false;
        }
        let fits = self.place(carry.key.org, &[], &[*carry], 0) == Placement::Fits;
        if fits {
            self.carried = carried;
        }
        fits
    }

    /// Offers a payout of escrow; within the same quarter of the batch as overdue carry. Returns whether
    /// it is part of the batch. A batch has one at most: a payee that still cannot be paid keeps no other
    /// one waiting.
    pub fn offer_payout(&mut self, payee: Payee) -> bool {
        let line = self.policy.gas.line(CreditCounts::of([payee]));
        let used = self.used.saturating_add(line.used);
        let allowance = self.allowance.max(line.allowance);
        let carried = self.carried.saturating_add(line.used);
        if self.has_payout
            || carried > self.policy.batch_gas / SHARES
            || used.saturating_add(allowance) > self.policy.batch_gas
        {
            return false;
        }
        self.has_payout = true;
        (self.used, self.allowance, self.carried) = (used, allowance, carried);
        true
    }

    /// Offers a charge with what is carried for its payees.
    pub fn offer(&mut self, item: &BatchItem, carry: &[Carry]) -> Verdict {
        if self.is_unsealable(item) {
            return Verdict::Unsealable;
        }
        if !self.wants(item.org) {
            return Verdict::Waits;
        }
        match self.place(item.org, &item.credits, carry, 1) {
            Placement::Fits => Verdict::Taken,
            Placement::BeyondQuarter => {
                // Its younger charges wait, too: an organization's charges are settled in order.
                match self.pass {
                    Pass::Surplus => self.surplus.remove(&item.org),
                    Pass::Fair | Pass::Suspended => self.surplus.insert(item.org),
                };
                Verdict::Waits
            }
            Placement::BeyondBatch => {
                // Not "try a smaller one": that would let small charges pass a large one for ever.
                self.full = true;
                Verdict::Waits
            }
        }
    }

    fn is_unsealable(&self, item: &BatchItem) -> bool {
        let payees: HashSet<Payee> = item
            .credits
            .iter()
            .filter(|(_, amount)| amount.is_positive())
            .map(|(payee, _)| *payee)
            .collect();
        let count = u64::try_from(payees.len()).unwrap_or(u64::MAX);
        count > u64::from(self.policy.max_credits_per_line)
            || self.policy.gas.alone(CreditCounts::of(payees)) > self.policy.batch_gas
    }

    /// Adds to a line what fits.
    fn place(&mut self, org: OrgId, credits: &[(Payee, Usdt)], carry: &[Carry], items: u64) -> Placement {
        let mut changes: HashMap<Payee, Owed> = HashMap::new();
        let line = self.lines.get(&org);
        let known = |payee: Payee| {
            line.and_then(|line| line.owed.get(&payee).copied())
                .or_else(|| {
                    let carried = carry.iter().find(|carry| carry.key.payee == payee)?;
                    Some(Owed {
                        nano: i128::from(carried.amount.nano()),
                        since: Some(carried.since),
                        is_due: false,
                    })
                })
                .unwrap_or_default()
        };
        for (payee, amount) in credits {
            let owed = changes.entry(*payee).or_insert_with(|| known(*payee));
            owed.nano += i128::from(amount.nano());
        }
        if credits.is_empty() {
            for carried in carry {
                changes
                    .entry(carried.key.payee)
                    .or_insert_with(|| known(carried.key.payee));
            }
        }
        let mut plan = line.cloned_counts();
        let impatient = self.payers.withdrawing.contains(&org);
        for (payee, owed) in &mut changes {
            if !owed.is_due && self.policy.is_due(owed.nano, owed.since, impatient, self.now) {
                owed.is_due = true;
                let key = CarryKey { org, payee: *payee };
                if !self.payers.unpayable.contains(&key) {
                    plan.credits.add(*payee);
                }
                plan.payees += 1;
            }
        }
        plan.gas = self.policy.gas.line(plan.credits);
        plan.items += items;
        // A call that credits several by itself would wait forever, and all younger ones with it.
        let credits_one = line.is_some_and(|line| line.credits.organizations > 0);
        if credits_one && plan.credits.organizations > 1 && self.payers.probed.contains(&org) {
            return Placement::BeyondQuarter;
        }
        let placement = self.fits(line, &plan);
        if placement == Placement::Fits {
            let before = line.map_or(0, |line| line.gas.used);
            self.used = self.used.saturating_sub(before).saturating_add(plan.gas.used);
            self.allowance = self.allowance.max(plan.gas.allowance);
            self.items += items;
            let line = self.lines.entry(org).or_default();
            line.owed.extend(changes);
            (line.credits, line.payees) = (plan.credits, plan.payees);
            (line.gas, line.items) = (plan.gas, plan.items);
        }
        placement
    }

    fn fits(&self, line: Option<&LinePlan>, plan: &LinePlan) -> Placement {
        let policy = &self.policy;
        if plan.payees > u64::from(policy.max_credits_per_line) {
            return Placement::BeyondQuarter;
        }
        if let Some(line) = line
            && self.pass != Pass::Surplus
        {
            let items = u64::from(policy.max_items).div_ceil(SHARES);
            let grows = plan.gas.used > line.gas.used;
            if plan.items > items || (grows && plan.gas.used > policy.batch_gas / SHARES) {
                return Placement::BeyondQuarter;
            }
        }
        let lines = self.lines.len() + usize::from(line.is_none());
        let before = line.map_or(0, |line| line.gas.used);
        let used = self.used.saturating_sub(before).saturating_add(plan.gas.used);
        let gas = used.saturating_add(self.allowance.max(plan.gas.allowance));
        if gas > policy.batch_gas || lines > usize::try_from(policy.max_lines).unwrap_or(usize::MAX) {
            return Placement::BeyondBatch;
        }
        Placement::Fits
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placement {
    Fits,
    BeyondQuarter,
    BeyondBatch,
}

/// The counts of a line, without the map of its payees.
trait ClonedCounts {
    fn cloned_counts(&self) -> LinePlan;
}

impl ClonedCounts for Option<&LinePlan> {
    fn cloned_counts(&self) -> LinePlan {
        self.map_or_else(LinePlan::default, |line| LinePlan {
            owed: HashMap::new(),
            credits: line.credits,
            payees: line.payees,
            gas: line.gas,
            items: line.items,
        })
    }
}

#[cfg(test)]
mod tests;
