//! Rows of accounts, locked for a transaction that changes them.

use crate::{columns::Columns, write::WriteTx};
use haithe_billing::ledger::{Account, Balances};
use haithe_kernel::{OrgId, StoreError, Usdt};
use std::collections::{BTreeMap, BTreeSet};

/// A row of `ledger_accounts`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccountRow {
    pub(crate) id: i64,
    pub(crate) balance: Usdt,
}

/// Accounts of a transaction, locked until its end, as they were at its last change of them.
#[derive(Debug, Default)]
pub(crate) struct LockedAccounts {
    rows: BTreeMap<Account, AccountRow>,
}

impl LockedAccounts {
    /// The account's number.
    pub(crate) fn id(&self, account: Account) -> Result<i64, StoreError> {
        let missing = || StoreError::new(format!("the account {account} has no row in ledger_accounts"));
        self.rows.get(&account).map(|row| row.id).ok_or_else(missing)
    }
}

impl Balances for LockedAccounts {
    fn balance_of(&self, account: Account) -> Usdt {
        self.rows.get(&account).map_or(Usdt::ZERO, |row| row.balance)
    }
}

/// The organization whose money an account is part of.
pub(crate) const fn org_of(account: Account) -> Option<OrgId> {
    match account {
        Account::ChainOrg(org)
        | Account::Available(org)
        | Account::Unsettled(org)
        | Account::Withdrawing(org) => Some(org),
        Account::ChainOrchestrator
        | Account::Creator(_)
        | Account::Escrow(_)
        | Account::Platform
        | Account::PlatformLoss
        | Account::Dust => None,
    }
}

impl WriteTx {
    /// Locks the books of organizations, in ascending order of their numbers; returns those that have any.
    pub(crate) async fn lock_books(
        &mut self,
        orgs: impl IntoIterator<Item = OrgId>,
    ) -> Result<BTreeSet<OrgId>, StoreError> {
        let numbers: Vec<i64> = orgs.into_iter().map(|org| org.0).collect();
        if numbers.is_empty() {
            return Ok(BTreeSet::new());
        }
        let lock = "SELECT org_id FROM org_books WHERE org_id = ANY($1) ORDER BY org_id FOR UPDATE";
        let rows = self.all(sqlx::query(lock).bind(numbers)).await?;
        let orgs = rows.iter().map(|row| Columns::of(row).get("org_books.org_id"));
        orgs.collect()
    }

    /// Opens the books and the accounts of an organization that is new; returns whether it was.
    pub(crate) async fn open_books(&mut self, org: OrgId) -> Result<bool, StoreError> {
        let open = "INSERT INTO org_books (org_id) VALUES ($1) ON CONFLICT DO NOTHING";
        if self.execute(sqlx::query(open).bind(org.0)).await? == 0 {
            return Ok(false);
        }
        self.open_accounts(&Account::of_organization(org)).await?;
        Ok(true)
    }

    /// Locks accounts after the books of the organizations that they belong to; accounts that are new get a row.
    pub(crate) async fn lock_accounts(
        &mut self,
        accounts: impl IntoIterator<Item = Account>,
    ) -> Result<LockedAccounts, StoreError> {
        let accounts: BTreeSet<Account> = accounts.into_iter().collect();
        if accounts.is_empty() {
            return Ok(LockedAccounts::default());
        }
        let orgs: BTreeSet<OrgId> = accounts.iter().copied().filter_map(org_of).collect();
        self.lock_books(orgs).await?;
        self.lock_account_rows(&accounts).await
    }

    /// The same when the books of the organizations are locked already.
    pub(crate) async fn lock_account_rows(
        &mut self,
        accounts: &BTreeSet<Account>,
    ) -> Result<LockedAccounts, StoreError> {
        let mut rows = self.locked_rows(accounts).await?;
        if rows.len() < accounts.len() {
            let new = accounts.iter().filter(|account| !rows.contains_key(account));
            let new: Vec<Account> = new.copied().collect();
            self.open_accounts(&new).await?;
            // A concurrent transaction may have opened some of them, and changed them since.
            rows = self.locked_rows(accounts).await?;
        }
        Ok(LockedAccounts { rows })
    }

    async fn locked_rows(
        &mut self,
        accounts: &BTreeSet<Account>,
    ) -> Result<BTreeMap<Account, AccountRow>, StoreError> {
        let names: Vec<String> = accounts.iter().map(Account::to_string).collect();
        let lock =
            "SELECT id, name, balance FROM ledger_accounts WHERE name = ANY($1) ORDER BY id FOR UPDATE";
        let rows = self.all(sqlx::query(lock).bind(names)).await?;
        let read = rows.iter().map(|row| {
            let columns = Columns::of(row);
            let account: Account = columns.get("ledger_accounts.name")?;
            let row = AccountRow {
                id: columns.get("ledger_accounts.id")?,
                balance: columns.get("ledger_accounts.balance")?,
            };
            Ok((account, row))
        });
        read.collect()
    }

    async fn open_accounts(&mut self, accounts: &[Account]) -> Result<(), StoreError> {
        let names: Vec<String> = accounts.iter().map(Account::to_string).collect();
        let orgs: Vec<Option<i64>> = accounts
            .iter()
            .map(|account| org_of(*account).map(|org| org.0))
            .collect();
        let insert =
            "INSERT INTO ledger_accounts (name, org_id) SELECT * FROM unnest($1::TEXT[], $2::BIGINT[])
                      ON CONFLICT DO NOTHING";
        self.execute(sqlx::query(insert).bind(names).bind(orgs))
            .await
            .map(drop)
    }

    /// Stores new balances of accounts that are locked.
    pub(crate) async fn store_balances(
        &mut self,
        accounts: &mut LockedAccounts,
        balances: impl IntoIterator<Item = (Account, Usdt)>,
    ) -> Result<(), StoreError> {
        let (mut ids, mut nanos) = (Vec::new(), Vec::new());
        for (account, balance) in balances {
            ids.push(accounts.id(account)?);
            nanos.push(balance.nano());
            if let Some(row) = accounts.rows.get_mut(&account) {
                row.balance = balance;
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let update = "UPDATE ledger_accounts SET balance = changed.balance
                      FROM unnest($1::BIGINT[], $2::BIGINT[]) AS changed (id, balance)
                      WHERE ledger_accounts.id = changed.id";
        self.execute(sqlx::query(update).bind(ids).bind(nanos))
            .await
            .map(drop)
    }
}
