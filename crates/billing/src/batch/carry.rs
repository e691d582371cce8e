//! Carry: what batches do not pay out of what an organization owes a payee.
//!
//! A sealed batch sets the carry of the keys that it changes. A batch that is dissolved, and a line that
//! the contract skips, take their own change back. Later batches may have changed the same key in the
//! meantime, so the *difference* is taken back and never a value. For every payer and payee, at any time:
//!
//! charged = not in a batch + carry + credits of open batches + credits settled or in escrow.

use super::{Batch, BatchError, Carry, CarryKey, SealPolicy};
use haithe_kernel::{OrgId, Timestamp, Usdt};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The largest number of overdue credits that are offered to one batch.
const MAX_OVERDUE: u32 = 512;

/// How a batch changes the carry of one payer and payee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarryChange {
    /// The payer and the payee.
    pub key: CarryKey,
    /// The carry from which the batch was built, in nano-USDT.
    pub before: Usdt,
    /// The carry that the batch leaves behind, in nano-USDT.
    pub after: Usdt,
    /// Since when `before` had been carried; the time of sealing if nothing was.
    pub since: Timestamp,
}

impl CarryChange {
    /// `after` minus `before`, in nano-USDT.
    fn difference(&self) -> i128 {
        i128::from(self.after.nano()) - i128::from(self.before.nano())
    }
}

impl Batch {
    /// How this batch changes the carry `before`, from which it was built.
    pub fn carry_changes(&self, before: &[Carry]) -> Vec<CarryChange> {
        let before: BTreeMap<CarryKey, Carry> = before.iter().map(|carry| (carry.key, *carry)).collect();
        let change = |(key, after): &(CarryKey, Usdt)| {
            let before = before.get(key);
            CarryChange {
                key: *key,
                before: before.map_or(Usdt::ZERO, |carry| carry.amount),
                after: *after,
                since: before.map_or(self.sealed_at, |carry| carry.since),
            }
        };
        self.carry.iter().map(change).collect()
    }

    /// The keys whose carry decided about this batch: those of `before`, from which it was built, those
    /// that it credits, and those that it changes. The batch may be stored only while their carry is what
    /// it was.
    pub fn carry_keys(&self, before: &[Carry]) -> BTreeSet<CarryKey> {
        let credited = self.lines.iter().flat_map(|line| {
            let org = line.org;
            let key = move |payee| CarryKey { org, payee };
            line.credits.iter().map(move |credit| key(credit.payee))
        });
        let changed = self.carry.iter().map(|(key, _)| *key);
        let before = before.iter().map(|carry| carry.key);
        before.chain(credited).chain(changed).collect()
    }
}

/// What is carried for some keys, while batches change it. It remembers which keys were touched, so that a
/// store writes those and no others.
#[derive(Debug, Clone, Default)]
pub struct CarryBook {
    carry: BTreeMap<CarryKey, Carry>,
    touched: BTreeSet<CarryKey>,
}

/// What is carried for a key from now on; `None` is nothing, and its row goes.
pub type CarryUpdate = (CarryKey, Option<Carry>);

impl CarryBook {
    /// The carry as it is stored, for at least every key that will change. A key without carry is left out.
    pub fn new(carry: impl IntoIterator<Item = Carry>) -> Self {
        Self {
            carry: carry.into_iter().map(|carry| (carry.key, carry)).collect(),
            touched: BTreeSet::new(),
        }
    }

    /// Applies what a batch changes when it is sealed. A credit that was paid out leaves less behind than
    /// there was, and what is left begins to wait anew at `sealed_at`.
    pub fn seal(&mut self, change: &CarryChange, sealed_at: Timestamp) {
        let since = if change.after >= change.before {
            change.since
        } else {
            sealed_at
        };
        self.set(Carry {
            key: change.key,
            amount: change.after,
            since,
        });
    }

    /// Takes a change back: its batch is dissolved, or its line was skipped.
    ///
    /// # Errors
    /// [`BatchError::Amount`] when the result is beyond the range of money.
    pub fn undo(&mut self, change: &CarryChange) -> Result<(), BatchError> {
        self.shift(change, -change.difference())
    }

    /// Applies again what [`undo`](Self::undo) took back: the block in which the line was skipped is gone.
    ///
    /// # Errors
    /// [`BatchError::Amount`] when the result is beyond the range of money.
    pub fn redo(&mut self, change: &CarryChange) -> Result<(), BatchError> {
        self.shift(change, change.difference())
    }

    fn shift(&mut self, change: &CarryChange, by: i128) -> Result<(), BatchError> {
        let now = self.carry.get(&change.key);
        let nano = now.map_or(0, |carry| i128::from(carry.amount.nano())) + by;
        let nano = i64::try_from(nano).map_err(|_| BatchError::Amount(change.key.org))?;
        let since = now.map_or(change.since, |carry| carry.since.min(change.since));
        self.set(Carry {
            key: change.key,
            amount: Usdt::from_nano(nano),
            since,
        });
        Ok(())
    }

    fn set(&mut self, carry: Carry) {
        self.touched.insert(carry.key);
        if carry.amount == Usdt::ZERO {
            self.carry.remove(&carry.key);
        } else {
            self.carry.insert(carry.key, carry);
        }
    }

    /// What a store writes: the touched keys, in order, as they are now.
    pub fn updates(&self) -> Vec<CarryUpdate> {
        let update = |key: &CarryKey| (*key, self.carry.get(key).copied());
        self.touched.iter().map(update).collect()
    }
}

/// Which carried credits are overdue: they are paid out with the next batch, however small they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverdueCarry {
    /// Credits carried since this time or an earlier one, …
    pub since_at_most: Timestamp,
    /// … and all credits of these payers, which withdraw.
    pub withdrawing: BTreeSet<OrgId>,
    /// Credits below this cannot be paid out: it is the token's base unit, or one nano-USDT.
    pub at_least: Usdt,
    /// Credits that are offered to one batch, the longest carried ones first.
    pub limit: u32,
}

impl SealPolicy {
    /// The smallest amount that can be paid out: the token's base unit, or one nano-USDT if that is more.
    pub fn payable_unit(&self) -> Usdt {
        Usdt::from_nano(10i64.pow(9u32.saturating_sub(self.decimals.digits())))
    }

    /// Which carry is overdue at `now`, when the organizations in `withdrawing` withdraw.
    pub fn overdue_carry(&self, now: Timestamp, withdrawing: &HashSet<OrgId>) -> OverdueCarry {
        OverdueCarry {
            since_at_most: now.minus(self.max_deferral),
            withdrawing: withdrawing.iter().copied().collect(),
            at_least: self.payable_unit(),
            limit: MAX_OVERDUE,
        }
    }
}

impl OverdueCarry {
    /// Whether a carried credit is one of them. A store selects the same rows by the same values.
    pub fn selects(&self, carry: &Carry) -> bool {
        carry.amount >= self.at_least
            && (carry.since <= self.since_at_most || self.withdrawing.contains(&carry.key.org))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::SealPolicy, capture::Payee};
    use haithe_kernel::Decimals;
    use proptest::prelude::*;
    use std::time::Duration;

    const KEY: CarryKey = CarryKey {
        org: OrgId(1),
        payee: Payee::Platform,
    };

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    fn carry(nano: i64, since: i64) -> Carry {
        Carry {
            key: KEY,
            amount: Usdt::from_nano(nano),
            since: at(since),
        }
    }

    fn change(before: Option<Carry>, after: i64, sealed: i64) -> CarryChange {
        CarryChange {
            key: KEY,
            before: before.map_or(Usdt::ZERO, |carry| carry.amount),
            after: Usdt::from_nano(after),
            since: before.map_or(at(sealed), |carry| carry.since),
        }
    }

    fn now(book: &CarryBook) -> Option<Carry> {
        book.carry.get(&KEY).copied()
    }

    #[test]
    fn a_credit_that_grows_keeps_its_age_and_one_that_was_paid_begins_anew() {
        let mut book = CarryBook::new([carry(500, 10)]);
        book.seal(&change(now(&book), 900, 20), at(20));
        assert_eq!(now(&book), Some(carry(900, 10)));
        book.seal(&change(now(&book), 100, 30), at(30));
        assert_eq!(now(&book), Some(carry(100, 30)));
        book.seal(&change(now(&book), 0, 40), at(40));
        assert_eq!(now(&book), None);
        assert_eq!(book.updates(), [(KEY, None)], "the row goes");
    }

    #[test]
    fn a_skipped_line_takes_its_difference_back_although_a_later_batch_changed_the_key() {
        let mut book = CarryBook::new([carry(500, 10)]);
        let first = change(now(&book), 200, 20);
        book.seal(&first, at(20));
        let second = change(now(&book), 50, 30);
        book.seal(&second, at(30));
        book.undo(&first).unwrap();
        assert_eq!(now(&book), Some(carry(350, 10)), "50 + (500 - 200)");
        book.redo(&first).unwrap();
        assert_eq!(now(&book).map(|carry| carry.amount), Some(Usdt::from_nano(50)));
    }

    #[test]
    fn a_batch_that_paid_ahead_leaves_a_negative_carry() {
        let mut book = CarryBook::new([carry(300, 10)]);
        let kept = change(now(&book), 700, 20);
        book.seal(&kept, at(20));
        book.seal(&change(now(&book), 0, 30), at(30));
        book.undo(&kept).unwrap();
        assert_eq!(now(&book), Some(carry(-400, 10)));
    }

    #[test]
    fn a_carry_beyond_the_range_of_money_is_an_error() {
        let mut book = CarryBook::new([carry(i64::MAX, 10)]);
        let paid = change(Some(carry(1, 10)), 0, 20);
        assert_eq!(book.undo(&paid), Err(BatchError::Amount(OrgId(1))));
        assert_eq!(book.updates(), [], "nothing changed");
    }

    #[test]
    fn overdue_is_what_waited_long_enough_or_whose_payer_withdraws() {
        let policy = SealPolicy {
            max_deferral: Duration::from_secs(100),
            ..SealPolicy::new(Decimals::new(6).unwrap())
        };
        let overdue = policy.overdue_carry(at(1_000), &HashSet::new());
        assert!(overdue.selects(&carry(1_000, 900)));
        assert!(!overdue.selects(&carry(1_000, 901)));
        assert!(!overdue.selects(&carry(999, 0)), "below a base unit");
        let withdrawing = policy.overdue_carry(at(1_000), &HashSet::from([OrgId(1)]));
        assert!(withdrawing.selects(&carry(1_000, 999)));
        assert!(!withdrawing.selects(&carry(999, 999)));
        let fine = SealPolicy::new(Decimals::new(18).unwrap());
        assert_eq!(fine.payable_unit(), Usdt::from_nano(1));
    }

    proptest! {
        /// Batches that are taken back newest first leave amount and age as if they had never been sealed.
        #[test]
        fn taking_batches_back_restores_amount_and_age(
            start in prop::option::of(-1_000i64..1_000),
            afters in prop::collection::vec(-1_000i64..1_000, 1..8),
        ) {
            let start = start.filter(|nano| *nano != 0).map(|nano| carry(nano, 5));
            let mut book = CarryBook::new(start);
            let mut changes = Vec::new();
            for (sealed, after) in (10..).zip(&afters) {
                let change = change(now(&book), *after, sealed);
                book.seal(&change, at(sealed));
                changes.push(change);
            }
            for change in changes.iter().rev() {
                book.undo(change).unwrap();
            }
            prop_assert_eq!(now(&book), start);
        }

        /// Differences can be taken back in any order: the amounts are the same.
        #[test]
        fn the_order_of_undoing_does_not_change_the_amount(
            afters in prop::collection::vec(-1_000i64..1_000, 2..8),
            undone in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        ) {
            let mut book = CarryBook::default();
            let mut changes = Vec::new();
            for (sealed, after) in (10..).zip(&afters) {
                let change = change(now(&book), *after, sealed);
                book.seal(&change, at(sealed));
                changes.push(change);
            }
            let chosen: BTreeSet<usize> = undone.iter().map(|index| index.index(changes.len())).collect();
            let (mut forward, mut backward) = (book.clone(), book);
            for index in &chosen {
                forward.undo(&changes[*index]).unwrap();
            }
            for index in chosen.iter().rev() {
                backward.undo(&changes[*index]).unwrap();
            }
            let amount = |book: &CarryBook| now(book).map_or(0, |carry| carry.amount.nano());
            prop_assert_eq!(amount(&forward), amount(&backward));
        }
    }
}
