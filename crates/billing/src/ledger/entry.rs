//! Ledger entries: transfers under a unique key, how keys are built, and the balances that follow.

use super::Account;
use haithe_kernel::{CallId, Timestamp, Usdt};
use std::collections::{BTreeMap, HashMap};

/// Money that moves from one account to another, so that its two postings sum to zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The account whose balance falls by `amount`.
    pub source: Account,
    /// The account whose balance rises by `amount`.
    pub target: Account,
    /// Nano-USDT. Transfers that are not above zero are left out when the entry is posted.
    pub amount: Usdt,
}

impl Transfer {
    /// The transfer of `amount` from `source` to `target`.
    pub const fn new(source: Account, target: Account, amount: Usdt) -> Self {
        Self {
            source,
            target,
            amount,
        }
    }

    /// The transfer that takes this one back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::new(self.target, self.source, self.amount)
    }
}

/// A ledger transaction: transfers that are booked together, once, under a unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The unique key of the fact or decision; the table in [`ledger`](super) lists the forms.
    pub key: String,
    /// The time of the fact or decision.
    pub at: Timestamp,
    /// The block whose fact this is; the entry is reversed when a reorganization drops that block. `None` for
    /// calls and for reversals.
    pub block: Option<u64>,
    /// What moves, in order.
    pub transfers: Vec<Transfer>,
}

/// The key of a call's entry.
pub fn call_key(call: CallId) -> String {
    format!("call/{call}")
}

/// The key under which a fact is booked that was reversed `reversals` times before: `key` at first, then
/// `{key}#2`, `{key}#3` and so on.
pub fn occurrence_key(key: String, reversals: u64) -> String {
    match reversals {
        0 => key,
        times => format!("{key}#{}", times.saturating_add(1)),
    }
}

/// The key of a fact without the number of its occurrence.
pub fn fact_key(occurrence: &str) -> &str {
    occurrence.split_once('#').map_or(occurrence, |(fact, _)| fact)
}

/// The prefix of the keys of all reversals of a fact; a number follows. Other facts' reversals may have it, too
/// ([`count_reversals`] leaves them out).
pub fn reversal_prefix(fact: &str) -> String {
    format!("rewind/{fact}/")
}

/// How many of these keys are reversals of the fact.
pub fn count_reversals<'k>(fact: &str, keys: impl IntoIterator<Item = &'k str>) -> u64 {
    let prefix = reversal_prefix(fact);
    let is_reversal = |key: &&str| {
        key.strip_prefix(prefix.as_str())
            .is_some_and(|number| !number.is_empty() && !number.contains('/'))
    };
    let count = keys.into_iter().filter(is_reversal).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Entry {
    /// The entry that takes back a booked one. `reversals` is how many times the fact was reversed before.
    #[must_use]
    pub fn reversal(booked_key: &str, booked: &[Transfer], reversals: u64, at: Timestamp) -> Self {
        let number = reversals.saturating_add(1);
        Self {
            key: format!("{}{number}", reversal_prefix(fact_key(booked_key))),
            at,
            block: None,
            transfers: booked.iter().map(|transfer| transfer.reversed()).collect(),
        }
    }

    /// The transfers that are booked, which are those above zero.
    pub fn booked(&self) -> impl Iterator<Item = Transfer> + '_ {
        self.booked_positions().map(|(_, transfer)| transfer)
    }

    /// The transfers that are booked, each with its position in the entry.
    pub fn booked_positions(&self) -> impl Iterator<Item = (u32, Transfer)> + '_ {
        (0..)
            .zip(self.transfers.iter().copied())
            .filter(|(_, transfer)| transfer.amount.is_positive())
    }
}

/// The balances of accounts. An account that is not there has the balance zero.
pub trait Balances {
    /// The balance of an account, in nano-USDT.
    fn balance_of(&self, account: Account) -> Usdt;
}

impl Balances for HashMap<Account, Usdt> {
    fn balance_of(&self, account: Account) -> Usdt {
        self.get(&account).copied().unwrap_or(Usdt::ZERO)
    }
}

impl Balances for BTreeMap<Account, Usdt> {
    fn balance_of(&self, account: Account) -> Usdt {
        self.get(&account).copied().unwrap_or(Usdt::ZERO)
    }
}

/// An entry that cannot be posted. Nothing of it may be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// A balance would leave the range of nano-USDT in 64 bits.
    #[error("the entry {key} would take the account {account} out of the range of money")]
    OutOfRange {
        /// The entry.
        key: String,
        /// The account.
        account: Account,
    },
    /// A transfer from an account to itself.
    #[error("the entry {key} moves money from the account {account} to itself")]
    SameAccount {
        /// The entry.
        key: String,
        /// The account.
        account: Account,
    },
}

/// The new balance of each account that the entry touches, once per account and in order of the accounts.
///
/// The balances before and after differ by transfers only, so that all postings together always sum to zero.
/// Balances may be below zero: facts of the chain are never refused.
///
/// # Errors
/// [`PostError`] when a balance leaves 64 bits of nano-USDT, or a transfer has one account on both sides.
pub fn post(balances: &impl Balances, entry: &Entry) -> Result<Vec<(Account, Usdt)>, PostError> {
    let mut touched = BTreeMap::new();
    for transfer in entry.booked() {
        let Transfer {
            source,
            target,
            amount,
        } = transfer;
        if source == target {
            return Err(PostError::SameAccount {
                key: entry.key.clone(),
                account: source,
            });
        }
        for (account, is_target) in [(source, false), (target, true)] {
            let balance = touched
                .entry(account)
                .or_insert_with(|| balances.balance_of(account));
            let moved = if is_target {
                balance.checked_add(amount)
            } else {
                balance.checked_sub(amount)
            };
            *balance = moved.ok_or_else(|| PostError::OutOfRange {
                key: entry.key.clone(),
                account,
            })?;
        }
    }
    Ok(touched.into_iter().collect())
}

/// The balances within one transaction of a store: those that are stored, and those that its entries changed.
#[derive(Debug)]
pub struct Postings<'s, B> {
    stored: &'s B,
    changed: BTreeMap<Account, Usdt>,
}

impl<'s, B: Balances> Postings<'s, B> {
    /// Nothing is posted yet.
    pub const fn on(stored: &'s B) -> Self {
        Self {
            stored,
            changed: BTreeMap::new(),
        }
    }

    /// The balances that are stored.
    pub const fn stored(&self) -> &'s B {
        self.stored
    }

    /// Posts an entry after those before it; gives the new balance of each account that it touches.
    ///
    /// # Errors
    /// As [`post`]; the entry changes nothing then.
    pub fn post(&mut self, entry: &Entry) -> Result<Vec<(Account, Usdt)>, PostError> {
        let changed = post(&*self, entry)?;
        self.changed.extend(changed.iter().copied());
        Ok(changed)
    }

    /// The balance of every account that an entry touched, to be stored with the entries.
    pub fn changed(&self) -> impl Iterator<Item = (Account, Usdt)> + '_ {
        self.changed.iter().map(|(account, balance)| (*account, *balance))
    }
}

impl<B: Balances> Balances for Postings<'_, B> {
    fn balance_of(&self, account: Account) -> Usdt {
        let changed = self.changed.get(&account).copied();
        changed.unwrap_or_else(|| self.stored.balance_of(account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::OrgId;
    use proptest::prelude::*;
    use uuid::Uuid;

    const AT: Timestamp = Timestamp::from_seconds(1);

    fn entry(transfers: Vec<Transfer>) -> Entry {
        Entry {
            key: "test/1".to_owned(),
            at: AT,
            block: None,
            transfers,
        }
    }

    fn nano(nano: i64) -> Usdt {
        Usdt::from_nano(nano)
    }

    #[test]
    fn keys_count_occurrences_and_reversals_of_a_fact() {
        assert_eq!(call_key(CallId(Uuid::nil())), format!("call/{}", Uuid::nil()));
        assert_eq!(occurrence_key("deposit/a/1".to_owned(), 0), "deposit/a/1");
        assert_eq!(occurrence_key("deposit/a/1".to_owned(), 2), "deposit/a/1#3");
        assert_eq!(fact_key("deposit/a/1#3"), "deposit/a/1");
        let reversal = Entry::reversal("deposit/a/1#3", &[], 2, AT);
        assert_eq!(reversal.key, "rewind/deposit/a/1/3");
        assert!(reversal.key.starts_with(&reversal_prefix("deposit/a/1")));
        assert_eq!(reversal.block, None);
        let keys = [
            "rewind/withdrawal/a/1/1",
            "rewind/withdrawal/a/1/2",
            "rewind/withdrawal/a/1/done/1",
            "rewind/withdrawal/a/11/1",
        ];
        assert_eq!(count_reversals("withdrawal/a/1", keys), 2);
        assert_eq!(count_reversals("withdrawal/a/1/done", keys), 1);
    }

    #[test]
    fn entries_of_one_transaction_build_on_each_other_and_a_bad_one_changes_nothing() {
        let (a, b) = (Account::Platform, Account::Dust);
        let stored = BTreeMap::from([(a, nano(10))]);
        let mut postings = Postings::on(&stored);
        postings.post(&entry(vec![Transfer::new(a, b, nano(4))])).unwrap();
        let over = vec![Transfer::new(a, b, nano(1)), Transfer::new(b, a, Usdt::MAX)];
        assert!(postings.post(&entry(over)).is_err());
        let second = postings.post(&entry(vec![Transfer::new(b, a, nano(1))])).unwrap();
        assert_eq!(second, [(a, nano(7)), (b, nano(3))]);
        assert_eq!(postings.changed().collect::<Vec<_>>(), second);
        assert_eq!(stored.balance_of(a), nano(10));
    }

    #[test]
    fn an_account_touched_twice_gets_one_new_balance() {
        let (a, b, c) = (Account::Platform, Account::Dust, Account::PlatformLoss);
        let balances = BTreeMap::from([(a, nano(10))]);
        let entry = entry(vec![
            Transfer::new(a, b, nano(4)),
            Transfer::new(a, c, nano(0)),
            Transfer::new(b, a, nano(1)),
        ]);
        assert_eq!(post(&balances, &entry), Ok(vec![(a, nano(7)), (b, nano(3))]));
    }

    #[test]
    fn rejects_an_entry_that_leaves_the_range_of_money() {
        let balances = BTreeMap::from([(Account::Dust, Usdt::MAX)]);
        let over = entry(vec![Transfer::new(Account::Platform, Account::Dust, nano(1))]);
        assert!(matches!(
            post(&balances, &over),
            Err(PostError::OutOfRange {
                account: Account::Dust,
                ..
            })
        ));
        let same = entry(vec![Transfer::new(Account::Dust, Account::Dust, nano(1))]);
        assert!(matches!(
            post(&balances, &same),
            Err(PostError::SameAccount { .. })
        ));
    }

    fn account() -> impl Strategy<Value = Account> {
        (0..3i64, 0..6u8).prop_map(|(org, kind)| match kind {
            0 => Account::ChainOrg(OrgId(org)),
            1 => Account::Available(OrgId(org)),
            2 => Account::Unsettled(OrgId(org)),
            3 => Account::Withdrawing(OrgId(org)),
            4 => Account::Platform,
            _ => Account::ChainOrchestrator,
        })
    }

    proptest! {
        #[test]
        fn postings_sum_to_zero_and_a_reversal_restores_every_balance(
            moves in prop::collection::vec((account(), account(), -5i64..1_000_000), 0..12),
        ) {
            let moves = moves.into_iter().filter(|(source, target, _)| source != target);
            let entry = entry(moves.map(|(s, t, amount)| Transfer::new(s, t, nano(amount))).collect());
            let mut balances = HashMap::new();
            let after = post(&balances, &entry).unwrap();
            let sum: i128 = after.iter().map(|(_, balance)| i128::from(balance.nano())).sum();
            prop_assert_eq!(sum, 0);
            balances.extend(after);

            let booked: Vec<_> = entry.booked().collect();
            prop_assert!(booked.iter().all(|transfer| transfer.amount.is_positive()));
            let reversal = Entry::reversal(&entry.key, &booked, 0, AT);
            balances.extend(post(&balances, &reversal).unwrap());
            prop_assert!(balances.values().all(|balance| *balance == Usdt::ZERO));
        }
    }
}
