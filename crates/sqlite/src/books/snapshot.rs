//! The whole ledger from one consistent read.

use crate::{
    chain::{read_event, select_events},
    columns::{Columns, read_each},
    db::ReadOnlyDb,
    ledger::{
        facts::unconfirmed,
        load::{drifted, parts},
    },
};
use haithe_billing::{
    chain::EventBody,
    ledger::{LedgerSnapshot, OrgPosition},
};
use haithe_kernel::{StoreError, TokenUnits, Usdt};
use sqlx::SqliteConnection;

pub(super) async fn read(db: &ReadOnlyDb) -> Result<LedgerSnapshot, StoreError> {
    let at = db.now();
    let mut snapshot = db.snapshot().await?;
    let connection = &mut *snapshot;
    let numbers = "SELECT coalesce((SELECT max(number) FROM chain_blocks), 0) AS block,
                          coalesce((SELECT sum(amount >> 32) FROM postings), 0) AS high,
                          coalesce((SELECT sum(amount & 4294967295) FROM postings), 0) AS low,
                          (SELECT -balance FROM ledger_accounts WHERE name = 'chain/orchestrator') AS orchestrator,
                          coalesce((SELECT sum(balance) FROM ledger_accounts WHERE name LIKE 'escrow/%'), 0) AS escrow,
                          coalesce((SELECT sum(amount) FROM batch_credits JOIN batches USING (seq)
                                    WHERE escrow = 1 AND final = 0), 0) AS escrow_under_way,
                          coalesce((SELECT max(seq) + 1 FROM batches), 0) AS next_batch";
    let row = sqlx::query(numbers)
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    let columns = Columns::of(&row);
    let block = columns.get_as("block", "chain_blocks.number")?;
    let (high, low): (i64, i64) = (
        columns.get_as("high", "ledger_transfers.amount")?,
        columns.get_as("low", "ledger_transfers.amount")?,
    );
    let orchestrator_mirror = columns.get_as("orchestrator", "ledger_accounts.balance")?;
    let escrow = columns.get_as("escrow", "ledger_accounts.balance")?;
    let escrow_under_way = columns.get_as("escrow_under_way", "batch_credits.amount")?;
    let next_batch = columns.get_as("next_batch", "batches.seq")?;
    Ok(LedgerSnapshot {
        block,
        orgs: orgs(connection).await?,
        sum_of_postings: (i128::from(high) << 32) + i128::from(low),
        unbalanced: unbalanced(connection).await?,
        drifted: drifted(connection).await?,
        orchestrator_mirror,
        escrow,
        escrow_under_way,
        next_batch,
        orchestrator_unconfirmed: orchestrator_unconfirmed(connection).await?,
        broken_receipts: broken_receipts(connection).await?,
        at,
    })
}

async fn orgs(connection: &mut SqliteConnection) -> Result<Vec<OrgPosition>, StoreError> {
    let all = "SELECT organizations.id, organizations.address, available.balance AS available,
                      unsettled.balance AS unsettled, withdrawing.balance AS withdrawing, org_books.dust,
                      -chain.balance AS mirror
               FROM organizations
               JOIN org_books ON org_books.org_id = organizations.id
               JOIN ledger_accounts AS chain ON chain.name = 'chain/' || organizations.id
               JOIN ledger_accounts AS available ON available.name = 'org/' || organizations.id || '/available'
               JOIN ledger_accounts AS unsettled ON unsettled.name = 'org/' || organizations.id || '/unsettled'
               JOIN ledger_accounts AS withdrawing
                   ON withdrawing.name = 'org/' || organizations.id || '/withdrawing'
               WHERE on_chain = 1 OR chain.balance <> 0 OR unsettled.balance <> 0
               ORDER BY organizations.id";
    let rows = sqlx::query(all)
        .fetch_all(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    let mut orgs = Vec::with_capacity(rows.len());
    for row in rows {
        let columns = Columns::of(&row);
        let org = columns.get("organizations.id")?;
        let address = columns.get("organizations.address")?;
        let available: Usdt = columns.get_as("available", "ledger_accounts.balance")?;
        let unsettled: Usdt = columns.get_as("unsettled", "ledger_accounts.balance")?;
        let withdrawing: Usdt = columns.get_as("withdrawing", "ledger_accounts.balance")?;
        let dust: u64 = columns.get("org_books.dust")?;
        let mirror: Usdt = columns.get_as("mirror", "ledger_accounts.balance")?;
        let (inward, outward) = unconfirmed(connection, org).await?;
        orgs.push(OrgPosition {
            org,
            address,
            available,
            unsettled,
            withdrawing,
            unconfirmed_in: TokenUnits::new(inward.unsigned_abs()),
            unconfirmed_out: TokenUnits::new(outward.unsigned_abs()),
            dust: TokenUnits::new(dust.into()),
            mirror,
        });
    }
    Ok(orgs)
}

/// Transactions whose postings do not sum to zero. Transfers cannot make one; whoever wrote to the
/// file past this program can.
async fn unbalanced(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let unbalanced = "SELECT key FROM ledger_transactions
                      WHERE id IN (SELECT transaction_id FROM postings WHERE transaction_id > ?1 AND transaction_id <= ?2
                                   GROUP BY transaction_id HAVING sum(amount) <> 0)";
    let mut keys: Vec<String> = Vec::new();
    for (after, to) in parts(connection).await? {
        let some = sqlx::query(unbalanced).bind(after).bind(to);
        let found = read_each(connection, some, |columns| columns.get("ledger_transactions.key"));
        keys.extend(found.await?);
    }
    keys.sort_unstable();
    Ok(keys)
}

/// Base units seen on their way into the orchestrator, less those seen on their way out.
async fn orchestrator_unconfirmed(connection: &mut SqliteConnection) -> Result<i128, StoreError> {
    let inward = "SELECT credit.units FROM batches
                  CROSS JOIN batch_lines AS line ON line.seq = batches.seq AND line.skipped IS NULL
                  CROSS JOIN batch_credits AS credit ON credit.seq = line.seq AND credit.line = line.line
                  WHERE batches.final = 0 AND +batches.settled_block IS NOT NULL
                    AND (credit.payee NOT LIKE 'org/%' OR credit.escrow = 1)";
    let mut units = 0i128;
    for row in sqlx::query(inward)
        .fetch_all(&mut *connection)
        .await
        .map_err(StoreError::new)?
    {
        let inward: u128 = Columns::of(&row).get("batch_credits.units")?;
        units = units.saturating_add(i128::try_from(inward).unwrap_or(i128::MAX));
    }
    let paid_out = "SELECT payout.units FROM batches
                    CROSS JOIN batch_payouts AS payout ON payout.seq = batches.seq
                    WHERE batches.final = 0 AND +batches.settled_block IS NOT NULL
                      AND batches.payouts_skipped = 0 AND payout.payee LIKE 'org/%'";
    for row in sqlx::query(paid_out)
        .fetch_all(&mut *connection)
        .await
        .map_err(StoreError::new)?
    {
        let outward: u128 = Columns::of(&row).get("batch_payouts.units")?;
        units = units.saturating_sub(i128::try_from(outward).unwrap_or(i128::MAX));
    }
    let outward = select_events!(
        "WHERE block > (SELECT last_final FROM chain_binding)
           AND kind IN ('creator_withdrawn', 'platform_withdrawn')"
    );
    for row in sqlx::query(outward)
        .fetch_all(connection)
        .await
        .map_err(StoreError::new)?
    {
        if let EventBody::CreatorWithdrawn { amount, .. } | EventBody::PlatformWithdrawn { amount, .. } =
            read_event(&row)?.event.body
        {
            let outward = amount
                .and_then(|amount| i128::try_from(amount).ok())
                .unwrap_or(i128::MAX);
            units = units.saturating_sub(outward);
        }
    }
    Ok(units)
}

/// Captured calls without a receipt, or whose lines or ledger entry do not sum to their charge.
async fn broken_receipts(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let broken = "SELECT count(*) AS count FROM usage_records
                  LEFT JOIN receipts ON receipts.id = usage_records.id
                  WHERE receipts.id IS NULL
                     OR charged <> coalesce(
                         (SELECT sum(amount) FROM charge_lines WHERE usage_id = usage_records.id), 0)
                     OR charged <> coalesce(
                         (SELECT amount FROM ledger_transfers
                          WHERE transaction_id = usage_records.id AND position = 0), 0)";
    let row = sqlx::query(broken)
        .fetch_one(connection)
        .await
        .map_err(StoreError::new)?;
    Columns::of(&row).get_as("count", "usage_records.id")
}
