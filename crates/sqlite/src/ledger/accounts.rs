//! Ledger accounts as rows: their numbers, and their balances as they are on disk. The writer keeps all of them,
//! so that billing computes new balances in the order of storage and a statement only stores them.

use haithe_billing::ledger::{Account, Balances, Entry, PostError, Postings, Transfer};
use haithe_kernel::{StoreError, Usdt};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Clone, Copy)]
struct AccountRow {
    id: i64,
    balance: Usdt,
}

/// All accounts, as committed.
#[derive(Debug, Default)]
pub(crate) struct AccountTable {
    rows: HashMap<Account, AccountRow>,
    newest: i64,
}

impl AccountTable {
    /// Adds a stored account.
    pub(crate) fn insert(&mut self, account: Account, id: i64, balance: Usdt) {
        self.newest = self.newest.max(id);
        self.rows.insert(account, AccountRow { id, balance });
    }

    /// Brings it to what was committed.
    pub(crate) fn apply(&mut self, changes: AccountChanges) {
        for (account, id) in changes.opened {
            self.insert(account, id, Usdt::ZERO);
        }
        for (account, balance) in changes.balances {
            if let Some(row) = self.rows.get_mut(&account) {
                row.balance = balance;
            }
        }
    }
}

impl Balances for AccountTable {
    fn balance_of(&self, account: Account) -> Usdt {
        self.rows.get(&account).map_or(Usdt::ZERO, |row| row.balance)
    }
}

/// What a committed transaction means for an [`AccountTable`].
#[derive(Debug, Default)]
pub(crate) struct AccountChanges {
    opened: BTreeMap<Account, i64>,
    balances: Vec<(Account, Usdt)>,
}

/// The accounts within one write transaction.
pub(crate) struct Accounts<'t> {
    postings: Postings<'t, AccountTable>,
    opened: BTreeMap<Account, i64>,
}

impl<'t> Accounts<'t> {
    pub(crate) fn on(table: &'t AccountTable) -> Self {
        Self {
            postings: Postings::on(table),
            opened: BTreeMap::new(),
        }
    }

    /// Posts an entry; gives the new balance of each account that it touches.
    pub(crate) fn post(&mut self, entry: &Entry) -> Result<Vec<(Account, Usdt)>, PostError> {
        self.postings.post(entry)
    }

    /// The number of an account that has a row.
    pub(crate) fn id(&self, account: Account) -> Option<i64> {
        let stored = || self.postings.stored().rows.get(&account).map(|row| row.id);
        self.opened.get(&account).copied().or_else(stored)
    }

    /// Gives a new account its number; its row must be inserted.
    pub(crate) fn open(&mut self, account: Account) -> i64 {
        let newest = self.opened.values().copied().max();
        let id = newest.unwrap_or(self.postings.stored().newest) + 1;
        self.opened.insert(account, id);
        id
    }

    /// The booked transfers of an entry as a JSON list of [position, source, target, amount], with the numbers of
    /// the accounts.
    pub(crate) fn transfers_json(&self, entry: &Entry) -> Result<String, StoreError> {
        let mut rows = Vec::with_capacity(entry.transfers.len());
        for (position, transfer) in entry.booked_positions() {
            let Transfer {
                source,
                target,
                amount,
            } = transfer;
            rows.push((
                position,
                self.number(source)?,
                self.number(target)?,
                amount.nano(),
            ));
        }
        serde_json::to_string(&rows).map_err(StoreError::new)
    }

    /// Balances as a JSON list of [account, balance], with the numbers of the accounts.
    pub(crate) fn balances_json(
        &self,
        balances: impl IntoIterator<Item = (Account, Usdt)>,
    ) -> Result<String, StoreError> {
        let mut rows = Vec::new();
        for (account, balance) in balances {
            rows.push((self.number(account)?, balance.nano()));
        }
        serde_json::to_string(&rows).map_err(StoreError::new)
    }

    /// [`balances_json`](Self::balances_json) of every account that was touched since the transaction began.
    pub(crate) fn changed_json(&self) -> Result<String, StoreError> {
        self.balances_json(self.postings.changed())
    }

    pub(crate) fn into_changes(self) -> AccountChanges {
        AccountChanges {
            balances: self.postings.changed().collect(),
            opened: self.opened,
        }
    }

    fn number(&self, account: Account) -> Result<i64, StoreError> {
        self.id(account)
            .ok_or_else(|| StoreError::new(format!("the account {account} has no row in ledger_accounts")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::{OrgId, Timestamp};

    #[test]
    fn a_transaction_that_is_not_committed_changes_no_balance_and_uses_no_number() {
        let mut table = AccountTable::default();
        table.insert(Account::Platform, 2, Usdt::from_nano(10));
        let available = Account::Available(OrgId(1));
        let entry = Entry {
            key: "deposit/1".to_owned(),
            at: Timestamp::from_seconds(0),
            block: None,
            transfers: vec![Transfer::new(Account::Platform, available, Usdt::from_nano(4))],
        };
        for _ in 0..2 {
            let mut accounts = Accounts::on(&table);
            assert_eq!(accounts.open(available), 3);
            accounts.post(&entry).unwrap();
            assert_eq!(accounts.transfers_json(&entry).unwrap(), "[[0,2,3,4]]");
            assert_eq!(accounts.changed_json().unwrap(), "[[3,4],[2,6]]");
        }
        assert!(Accounts::on(&table).transfers_json(&entry).is_err(), "no row");

        let mut accounts = Accounts::on(&table);
        accounts.open(available);
        accounts.post(&entry).unwrap();
        let changes = accounts.into_changes();
        table.apply(changes);
        assert_eq!(table.balance_of(Account::Platform), Usdt::from_nano(6));
        assert_eq!(table.balance_of(available), Usdt::from_nano(4));
        assert_eq!(Accounts::on(&table).id(available), Some(3));
    }
}
