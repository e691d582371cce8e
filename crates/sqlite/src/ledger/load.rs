//! The ledger's way into memory at start: read, rebuilt from the postings, compared.

use super::{accounts::AccountTable, facts::FactsReader, halves, scale::Scale};
use crate::columns::{Columns, read_each};
use haithe_billing::{
    ledger::{Account, LedgerState, OrgMoney, StoreMark, drifted},
    receipt::ReceiptContext,
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{Decimals, OrgId, StoreError, Usdt};
use sqlx::{Connection, SqliteConnection};
use std::collections::HashMap;

/// The columns that [`receipt_context`] reads, and the organization's number.
macro_rules! select_receipt_contexts {
    () => {
        "SELECT organizations.id, chain_binding.chain_id, chain_binding.orchestrator,
                organizations.organization_uid, organizations.address
         FROM organizations JOIN chain_binding"
    };
}

/// Transfers summed up by one statement, about.
const SUMMED_AT_ONCE: i64 = 50_000;

/// The ledger as it was left.
pub(crate) struct Loaded {
    pub(crate) state: LedgerState,
    pub(crate) accounts: AccountTable,
    pub(crate) next_transaction: i64,
}

/// Why it cannot be used.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// Stored balances that are not the sums of their postings.
    Drifted(Vec<String>),
    /// The database counts another token.
    Decimals { found: u8, configured: u8 },
    /// It cannot be read.
    Store(StoreError),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Loads it. The transaction is a writing one, so that it waits for whatever an earlier connection,
/// cut off in the middle, still commits.
pub(crate) async fn load(connection: &mut SqliteConnection, decimals: Decimals) -> Result<Loaded, LoadError> {
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(StoreError::new)?;
    let connection = &mut *transaction;
    let decimals_found: Option<i64> = sqlx::query_scalar("SELECT decimals FROM chain_binding")
        .fetch_optional(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    if let Some(found) = decimals_found
        && found != i64::from(decimals.digits())
    {
        return Err(LoadError::Decimals {
            found: u8::try_from(found).unwrap_or(u8::MAX),
            configured: decimals.into(),
        });
    }
    let stored = stored_accounts(connection).await?;
    let moved = moved(connection, &stored).await?;
    let balances = balances(&stored);
    let drifted = drifted(&balances, &moved);
    if !drifted.is_empty() {
        return Err(LoadError::Drifted(drifted));
    }
    let mut accounts = AccountTable::default();
    for StoredAccount { account, id, balance } in stored {
        accounts.insert(account, id, balance);
    }
    let numbers = "SELECT coalesce((SELECT max(id) FROM ledger_transactions), 0) AS newest,
                          coalesce((SELECT max(id) FROM usage_records), 0) AS stored,
                          coalesce((SELECT max(time) FROM chain_blocks), 0) AS time";
    let row = sqlx::query(numbers)
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    let columns = Columns::of(&row);
    let newest: i64 = columns.get_as("newest", "ledger_transactions.id")?;
    let mut state = LedgerState::new(StoreMark(columns.get_as("stored", "usage_records.id")?));
    state.set_chain_time(columns.get("chain_blocks.time")?);
    organizations(connection, &mut state, &balances, Scale::of(decimals)).await?;
    spending(connection, &mut state).await?;
    let next_transaction = newest
        .checked_add(1)
        .ok_or(StoreError::inconsistent("ledger_transactions.id"))?;
    Ok(Loaded {
        state,
        accounts,
        next_transaction,
    })
}

/// A row of `ledger_accounts`.
pub(crate) struct StoredAccount {
    pub(crate) account: Account,
    pub(crate) id: i64,
    pub(crate) balance: Usdt,
}

/// All accounts.
pub(crate) async fn stored_accounts(
    connection: &mut SqliteConnection,
) -> Result<Vec<StoredAccount>, StoreError> {
    let all = sqlx::query("SELECT id, name, balance FROM ledger_accounts");
    read_each(connection, all, |columns| {
        Ok(StoredAccount {
            account: columns.get("ledger_accounts.name")?,
            id: columns.get("ledger_accounts.id")?,
            balance: columns.get("ledger_accounts.balance")?,
        })
    })
    .await
}

/// The stored balances.
pub(crate) fn balances(stored: &[StoredAccount]) -> HashMap<Account, Usdt> {
    stored.iter().map(|row| (row.account, row.balance)).collect()
}

/// What all transfers together moved into each account, in nano-USDT.
pub(crate) async fn moved(
    connection: &mut SqliteConnection,
    stored: &[StoredAccount],
) -> Result<HashMap<Account, i128>, StoreError> {
    let accounts: HashMap<i64, Account> = stored.iter().map(|row| (row.id, row.account)).collect();
    // Sums of halves, because a sum of 64-bit amounts may pass 64 bits on its way.
    let sums = "SELECT source, target, sum(amount >> 32) AS high, sum(amount & 4294967295) AS low
                FROM ledger_transfers
                WHERE transaction_id > ?1 AND transaction_id <= ?2 GROUP BY source, target";
    let mut moved = HashMap::<Account, i128>::new();
    for (after, to) in parts(connection).await? {
        let some = sqlx::query(sums).bind(after).bind(to);
        read_each(connection, some, |columns| {
            let source: i64 = columns.get("ledger_transfers.source")?;
            let target: i64 = columns.get("ledger_transfers.target")?;
            let sum = halves(columns, "ledger_transfers.amount")?;
            for (id, sum) in [(source, -sum), (target, sum)] {
                let missing = || StoreError::inconsistent("ledger_transfers.source");
                let account = accounts.get(&id).ok_or_else(missing)?;
                *moved.entry(*account).or_default() += sum;
            }
            Ok(())
        })
        .await?;
    }
    Ok(moved)
}

/// All transactions in parts, each `(after, to]`, for sums: SQLite sorts what it groups, in memory, and
/// millions of transfers at once took more than 100 MB.
pub(crate) async fn parts(connection: &mut SqliteConnection) -> Result<Vec<(i64, i64)>, StoreError> {
    // By what is there and not by numbers: a damaged file may hold any, however far apart.
    let end = "SELECT max(transaction_id) AS transaction_id
               FROM (SELECT transaction_id FROM ledger_transfers WHERE transaction_id > ? ORDER BY 1 LIMIT ?)";
    let mut parts = Vec::new();
    let mut after = i64::MIN;
    loop {
        let row = sqlx::query(end)
            .bind(after)
            .bind(SUMMED_AT_ONCE)
            .fetch_one(&mut *connection)
            .await
            .map_err(StoreError::new)?;
        let Some(to) = Columns::of(&row).get("ledger_transfers.transaction_id")? else {
            return Ok(parts);
        };
        parts.push((after, to));
        after = to;
    }
}

/// Every organization with its balances, what it spent, and what the chain says about it.
async fn organizations(
    connection: &mut SqliteConnection,
    state: &mut LedgerState,
    balances: &HashMap<Account, Usdt>,
    scale: Scale,
) -> Result<(), StoreError> {
    let spent = "SELECT org_id, sum(charged >> 32) AS high, sum(charged & 4294967295) AS low
                 FROM usage_records GROUP BY org_id";
    let spent = read_each(connection, sqlx::query(spent), |columns| {
        let org: OrgId = columns.get("usage_records.org_id")?;
        Ok((org, halves(columns, "usage_records.charged")?))
    });
    let spent: HashMap<OrgId, i128> = spent.await?.into_iter().collect();
    let all = concat!(select_receipt_contexts!(), " ORDER BY organizations.id");
    let orgs = read_each(connection, sqlx::query(all), |columns| {
        Ok((columns.get("organizations.id")?, receipt_context(columns)?))
    });
    let orgs: Vec<(OrgId, ReceiptContext)> = orgs.await?;
    let facts = FactsReader::new(connection, scale).await?;
    for (org, receipt) in orgs {
        let facts = facts.read(connection, org).await?;
        let spent = spent.get(&org).copied().unwrap_or(0);
        state.add_organization(org, OrgMoney::new(org, balances, spent, facts, receipt));
    }
    Ok(())
}

/// What was spent by project and key, as the usage records were counted by day.
async fn spending(connection: &mut SqliteConnection, state: &mut LedgerState) -> Result<(), StoreError> {
    let sums = "SELECT org_id, project_id, api_key_id, sum(charged >> 32) AS high,
                       sum(charged & 4294967295) AS low
                FROM usage_days GROUP BY org_id, project_id, api_key_id";
    read_each(connection, sqlx::query(sums), |columns| {
        let org = columns.get("usage_days.org_id")?;
        let project = columns.get("usage_days.project_id")?;
        let key: i64 = columns.get("usage_days.api_key_id")?;
        let sum = halves(columns, "usage_days.charged")?;
        state.add_spending(org, project, (key != 0).then_some(ApiKeyId(key)), sum);
        Ok(())
    })
    .await
    .map(drop)
}

fn receipt_context(columns: &Columns<'_>) -> Result<ReceiptContext, StoreError> {
    Ok(ReceiptContext {
        chain_id: columns.get("chain_binding.chain_id")?,
        orchestrator: columns.get("chain_binding.orchestrator")?,
        org_uid: columns.get("organizations.organization_uid")?,
        org_address: columns.get("organizations.address")?,
    })
}

/// The money of an organization that was just seen for the first time: its accounts have rows, and nothing was
/// captured from it.
pub(crate) async fn org_money(
    connection: &mut SqliteConnection,
    org: OrgId,
    scale: Scale,
) -> Result<OrgMoney, StoreError> {
    let one = concat!(select_receipt_contexts!(), " WHERE organizations.id = ?");
    let row = sqlx::query(one)
        .bind(org.0)
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    let receipt = receipt_context(&Columns::of(&row))?;
    let mut balances = HashMap::<Account, Usdt>::new();
    for account in Account::of_organization(org) {
        let balance = sqlx::query("SELECT balance FROM ledger_accounts WHERE name = ?")
            .bind(account.to_string())
            .fetch_one(&mut *connection)
            .await
            .map_err(StoreError::new)?;
        balances.insert(account, Columns::of(&balance).get("ledger_accounts.balance")?);
    }
    let facts = FactsReader::new(connection, scale).await?;
    let facts = facts.read(connection, org).await?;
    Ok(OrgMoney::new(org, &balances, 0, facts, receipt))
}
