//! The whole ledger from one consistent read.

use crate::{
    columns::{self, Columns},
    db::Db,
    instances::now,
    ledger::{facts::in_transit, read::ReadRows},
};
use haithe_billing::{
    chain::EventBody,
    ledger::{Account, LedgerSnapshot, OrgPosition, drifted, escrow_total, mirror},
};
use haithe_kernel::{OrgId, StoreError, TokenUnits, Usdt, WalletAddress};
use sqlx::postgres::PgRow;
use std::collections::HashMap;

const NUMBERS: &str = concat!(
    "SELECT coalesce((SELECT max(number) FROM chain_blocks), 0) AS number,
            coalesce((SELECT sum(amount >> 32) FROM postings), 0)::BIGINT AS high,
            coalesce((SELECT sum(amount & 4294967295) FROM postings), 0)::BIGINT AS low,
            coalesce((SELECT sum(amount) FROM batch_credits JOIN batches USING (seq)
                      WHERE escrow AND NOT final), 0)::BIGINT AS escrow_under_way,
            coalesce((SELECT max(seq) + 1 FROM batches), 0) AS next_batch, ",
    now!(),
    " AS now"
);

/// What all transfers together moved between each two accounts, in halves.
const MOVED: &str = "
    SELECT source.name AS source, target.name AS target, moved.high, moved.low
    FROM (SELECT source, target, sum(amount >> 32)::BIGINT AS high, sum(amount & 4294967295)::BIGINT AS low
          FROM ledger_transfers GROUP BY source, target) AS moved
    JOIN ledger_accounts AS source ON source.id = moved.source
    JOIN ledger_accounts AS target ON target.id = moved.target";

/// Transactions whose postings do not sum to zero. Transfers cannot make one; a program that wrote to the database past
/// this program can.
const UNBALANCED: &str = "
    SELECT key FROM ledger_transactions
    WHERE id IN (SELECT transaction_id FROM postings GROUP BY transaction_id HAVING sum(amount) <> 0)
    ORDER BY key";

/// Captured calls without a receipt, or whose lines or ledger entry do not sum to their charge.
const BROKEN_RECEIPTS: &str = "
    SELECT count(*) AS broken FROM usage_records
    LEFT JOIN receipts ON receipts.id = usage_records.id
    WHERE receipts.id IS NULL
       OR charged <> coalesce((SELECT sum(amount) FROM charge_lines WHERE usage_id = usage_records.id), 0)
       OR charged <> coalesce((SELECT amount FROM ledger_transfers
                               WHERE transaction_id = usage_records.id AND position = 0), 0)";

const ORGS: &str = "
    SELECT id, address, on_chain, dust
    FROM organizations JOIN org_books ON org_books.org_id = organizations.id
    ORDER BY id";

/// Units that batches under way bring into the orchestrator, and those that they pay out of it.
const CREDITED: &str = "
    SELECT TRUE AS is_in, credit.units FROM batches
    JOIN batch_lines AS line ON line.seq = batches.seq AND line.skipped IS NULL
    JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
    WHERE NOT batches.final AND batches.settled_block IS NOT NULL
      AND (credit.payee NOT LIKE 'org/%' OR credit.escrow)
    UNION ALL
    SELECT FALSE, payout.units FROM batches
    JOIN batch_payouts AS payout ON payout.seq = batches.seq
    WHERE NOT batches.final AND batches.settled_block IS NOT NULL
      AND NOT batches.payouts_skipped AND payout.payee LIKE 'org/%'";

/// What creators and the platform took out above the last final block.
const TAKEN_OUT: &str = "
    SELECT body FROM chain_events
    WHERE block > (SELECT last_final FROM chain_binding) AND kind IN ('creator_withdrawn', 'platform_withdrawn')";

pub(super) async fn read(db: &Db) -> Result<LedgerSnapshot, StoreError> {
    let mut snapshot = db.snapshot().await?;
    let numbers = one(&mut snapshot, NUMBERS).await?;
    let columns = Columns::of(&numbers);
    let balances = balances(&mut snapshot).await?;
    let moved = moved(&mut snapshot).await?;
    let broken = one(&mut snapshot, BROKEN_RECEIPTS).await?;
    Ok(LedgerSnapshot {
        block: columns.get("chain_blocks.number")?,
        sum_of_postings: columns::halves(&columns, "ledger_transfers.amount")?,
        escrow_under_way: columns.get_as("escrow_under_way", "batch_credits.amount")?,
        next_batch: columns.get_as("next_batch", "batches.seq")?,
        at: columns.get_as("now", "instances.renewed_at")?,
        orgs: orgs(&mut snapshot, &balances).await?,
        unbalanced: unbalanced(&mut snapshot).await?,
        drifted: drifted(&balances, &moved),
        orchestrator_mirror: mirror(&balances, Account::ChainOrchestrator),
        escrow: escrow_total(&balances),
        orchestrator_unconfirmed: orchestrator_unconfirmed(&mut snapshot).await?,
        broken_receipts: Columns::of(&broken).get_as("broken", "usage_records.id")?,
    })
}

async fn one(read: &mut impl ReadRows, sql: &'static str) -> Result<PgRow, StoreError> {
    let rows = read.rows(sqlx::query(sql)).await?;
    let row = rows.into_iter().next();
    row.ok_or_else(|| StoreError::new("a statement that returns one row returned none"))
}

async fn balances(read: &mut impl ReadRows) -> Result<HashMap<Account, Usdt>, StoreError> {
    let all = "SELECT name, balance FROM ledger_accounts";
    let rows = read.rows(sqlx::query(all)).await?;
    let balances = rows.iter().map(|row| {
        let columns = Columns::of(row);
        Ok((
            columns.get("ledger_accounts.name")?,
            columns.get("ledger_accounts.balance")?,
        ))
    });
    balances.collect()
}

/// What all transfers together moved into each account, in nano-USDT.
async fn moved(read: &mut impl ReadRows) -> Result<HashMap<Account, i128>, StoreError> {
    let mut moved = HashMap::<Account, i128>::new();
    for row in read.rows(sqlx::query(MOVED)).await? {
        let columns = Columns::of(&row);
        let sum = columns::halves(&columns, "ledger_transfers.amount")?;
        let source = columns.get_as("source", "ledger_accounts.name")?;
        let target = columns.get_as("target", "ledger_accounts.name")?;
        *moved.entry(source).or_default() -= sum;
        *moved.entry(target).or_default() += sum;
    }
    Ok(moved)
}

async fn unbalanced(read: &mut impl ReadRows) -> Result<Vec<String>, StoreError> {
    let rows = read.rows(sqlx::query(UNBALANCED)).await?;
    rows.iter()
        .map(|row| Columns::of(row).get("ledger_transactions.key"))
        .collect()
}

async fn orgs(
    read: &mut impl ReadRows,
    balances: &HashMap<Account, Usdt>,
) -> Result<Vec<OrgPosition>, StoreError> {
    let mut checked = Vec::new();
    for row in read.rows(sqlx::query(ORGS)).await? {
        let columns = Columns::of(&row);
        let org: OrgId = columns.get("organizations.id")?;
        let address: WalletAddress = columns.get("organizations.address")?;
        let dust: u64 = columns.get("org_books.dust")?;
        let is_on_chain = columns.get("organizations.on_chain")?;
        if OrgPosition::is_checked(org, is_on_chain, balances) {
            checked.push((org, address, TokenUnits::new(dust.into())));
        }
    }
    let numbers: Vec<OrgId> = checked.iter().map(|(org, _, _)| *org).collect();
    let in_transit = in_transit(read, &numbers).await?;
    let position = |(org, address, dust)| {
        let in_transit = in_transit.get(&org).copied().unwrap_or_default();
        OrgPosition::new(org, address, balances, dust, in_transit)
    };
    Ok(checked.into_iter().map(position).collect())
}

/// Base units seen on their way into the orchestrator, less those seen on their way out.
async fn orchestrator_unconfirmed(read: &mut impl ReadRows) -> Result<i128, StoreError> {
    let mut units = 0i128;
    for row in read.rows(sqlx::query(CREDITED)).await? {
        let columns = Columns::of(&row);
        let moved: u128 = columns.get("batch_credits.units")?;
        let moved = i128::try_from(moved).unwrap_or(i128::MAX);
        units = if columns.get_as("is_in", "batch_credits.units")? {
            units.saturating_add(moved)
        } else {
            units.saturating_sub(moved)
        };
    }
    for row in read.rows(sqlx::query(TAKEN_OUT)).await? {
        let body: String = Columns::of(&row).get("chain_events.body")?;
        let body = serde_json::from_str(&body).map_err(|_| StoreError::inconsistent("chain_events.body"))?;
        if let EventBody::CreatorWithdrawn { amount, .. } | EventBody::PlatformWithdrawn { amount, .. } = body
        {
            let outward = amount
                .and_then(|amount| i128::try_from(amount).ok())
                .unwrap_or(i128::MAX);
            units = units.saturating_sub(outward);
        }
    }
    Ok(units)
}
