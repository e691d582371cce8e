//! The ledger's way into memory at start: read, rebuilt from the postings, compared.

use super::{
    facts::OrgFacts,
    memory::{OrgAccounts, OrgMoney, State, day_of},
    scale::Scale,
    spending::Spending,
};
use crate::columns::{Columns, read_each};
use haithe_billing::receipt::ReceiptContext;
use haithe_kernel::{Decimals, OrgId, StoreError, Timestamp, WalletAddress};
use sqlx::{Connection, SqliteConnection};
use std::{collections::HashMap, sync::Arc};

/// Transfers summed up by one statement, about.
const SUMMED_AT_ONCE: i64 = 50_000;

/// The ledger as it was left.
pub(crate) struct Loaded {
    pub(crate) state: State,
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
    let drifted = drifted(connection).await?;
    if !drifted.is_empty() {
        return Err(LoadError::Drifted(drifted));
    }
    let numbers = "SELECT coalesce((SELECT max(id) FROM ledger_transactions), 0) + 1,
                          coalesce((SELECT max(id) FROM usage_records), 0),
                          coalesce((SELECT max(time) FROM chain_blocks), 0)";
    let row = sqlx::query(numbers)
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    let mut columns = Columns::of(&row);
    let next_transaction = columns.read("ledger_transactions.id")?;
    let mut state = State {
        newest_usage: columns.read("usage_records.id")?,
        chain_day: day_of(columns.read::<Timestamp>("chain_blocks.time")?),
        ..State::default()
    };
    for org in orgs(connection).await? {
        let money = org_money(connection, org, Scale::of(decimals)).await?;
        state.orgs.insert(org, money);
    }
    for (org, spent) in spent(connection).await? {
        if let Some(money) = state.orgs.get_mut(&org) {
            money.spent = spent;
        }
    }
    state.spending = Spending::load(connection).await?;
    Ok(Loaded {
        state,
        next_transaction,
    })
}

/// Accounts whose stored balance is not the sum of their postings, by name.
pub(crate) async fn drifted(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let moved = moved(connection).await?;
    let accounts = sqlx::query("SELECT id, name, balance FROM ledger_accounts ORDER BY name");
    let accounts = read_each(connection, accounts, |columns| {
        let id: i64 = columns.read("ledger_accounts.id")?;
        let name: String = columns.read("ledger_accounts.name")?;
        let balance: i64 = columns.read("ledger_accounts.balance")?;
        Ok((id, name, balance))
    });
    let drifted = accounts.await?.into_iter().filter_map(|(id, name, balance)| {
        let sum = moved.get(&id).copied().unwrap_or(0);
        (i128::from(balance) != sum).then_some(name)
    });
    Ok(drifted.collect())
}

/// What all transfers together moved into each account, in nano-USDT.
async fn moved(connection: &mut SqliteConnection) -> Result<HashMap<i64, i128>, StoreError> {
    // Sums of halves, because a sum of 64-bit amounts may pass 64 bits on its way.
    let sums = "SELECT source, target, sum(amount >> 32), sum(amount & 4294967295) FROM ledger_transfers
                WHERE transaction_id > ?1 AND transaction_id <= ?2 GROUP BY source, target";
    let mut moved = HashMap::<i64, i128>::new();
    for (after, to) in parts(connection).await? {
        let some = sqlx::query(sums).bind(after).bind(to);
        read_each(connection, some, |columns| {
            let source: i64 = columns.read("ledger_transfers.source")?;
            let target: i64 = columns.read("ledger_transfers.target")?;
            let high: i64 = columns.read("ledger_transfers.amount")?;
            let low: i64 = columns.read("ledger_transfers.amount")?;
            let sum = (i128::from(high) << 32) + i128::from(low);
            *moved.entry(source).or_default() -= sum;
            *moved.entry(target).or_default() += sum;
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
    let end = "SELECT max(transaction_id)
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
        let Some(to) = Columns::of(&row).read("ledger_transfers.transaction_id")? else {
            return Ok(parts);
        };
        parts.push((after, to));
        after = to;
    }
}

async fn orgs(connection: &mut SqliteConnection) -> Result<Vec<OrgId>, StoreError> {
    let rows = sqlx::query("SELECT id FROM organizations ORDER BY id")
        .fetch_all(connection)
        .await
        .map_err(StoreError::new)?;
    rows.iter()
        .map(|row| Columns::of(row).read("organizations.id"))
        .collect()
}

async fn spent(connection: &mut SqliteConnection) -> Result<HashMap<OrgId, i128>, StoreError> {
    let sql =
        "SELECT org_id, sum(charged >> 32), sum(charged & 4294967295) FROM usage_records GROUP BY org_id";
    let rows = sqlx::query(sql)
        .fetch_all(connection)
        .await
        .map_err(StoreError::new)?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let org = columns.read("usage_records.org_id")?;
            let high: i64 = columns.read("usage_records.charged")?;
            let low: i64 = columns.read("usage_records.charged")?;
            Ok((org, (i128::from(high) << 32) + i128::from(low)))
        })
        .collect()
}

/// An organization's money as stored; `spent` is zero.
pub(crate) async fn org_money(
    connection: &mut SqliteConnection,
    org: OrgId,
    scale: Scale,
) -> Result<OrgMoney, StoreError> {
    let row = sqlx::query(
        "SELECT available.id, unsettled.id, chain.balance, available.balance, unsettled.balance,
                withdrawing.balance,
                chain_binding.chain_id, chain_binding.orchestrator,
                organizations.organization_uid, organizations.address
         FROM organizations
         JOIN chain_binding
         JOIN ledger_accounts AS chain ON chain.name = 'chain/' || organizations.id
         JOIN ledger_accounts AS available ON available.name = 'org/' || organizations.id || '/available'
         JOIN ledger_accounts AS unsettled ON unsettled.name = 'org/' || organizations.id || '/unsettled'
         JOIN ledger_accounts AS withdrawing ON withdrawing.name = 'org/' || organizations.id || '/withdrawing'
         WHERE organizations.id = ?",
    )
    .bind(org.0)
    .fetch_one(&mut *connection)
    .await
    .map_err(StoreError::new)?;
    let mut columns = Columns::of(&row);
    let accounts = OrgAccounts {
        available: columns.read("ledger_accounts.id")?,
        unsettled: columns.read("ledger_accounts.id")?,
    };
    let mut balance = || columns.read::<i64>("ledger_accounts.balance").map(i128::from);
    let (chain, available, unsettled, withdrawing) = (balance()?, balance()?, balance()?, balance()?);
    let receipt = ReceiptContext {
        chain_id: columns.read("chain_binding.chain_id")?,
        orchestrator: columns.read::<WalletAddress>("chain_binding.orchestrator")?,
        org_uid: columns.read("organizations.organization_uid")?,
        org_address: columns.read("organizations.address")?,
    };
    Ok(OrgMoney {
        accounts,
        receipt: Arc::new(receipt),
        chain,
        available,
        unsettled,
        withdrawing,
        held: 0,
        spent: 0,
        facts: OrgFacts::read(connection, org, scale).await?,
    })
}
