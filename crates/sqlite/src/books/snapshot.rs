//! The whole ledger from one consistent read.

use crate::{
    chain::{read_event, select_events},
    columns::{Columns, read_each},
    db::ReadOnlyDb,
    ledger::{
        facts::in_transit,
        halves,
        load::{balances, moved, parts, stored_accounts},
    },
};
use haithe_billing::{
    chain::EventBody,
    ledger::{Account, LedgerSnapshot, OrgPosition, drifted, escrow_total, mirror},
};
use haithe_kernel::{OrgId, StoreError, TokenUnits, Usdt, WalletAddress};
use sqlx::SqliteConnection;
use std::collections::HashMap;

pub(super) async fn read(db: &ReadOnlyDb) -> Result<LedgerSnapshot, StoreError> {
    let at = db.now();
    let mut snapshot = db.snapshot().await?;
    let connection = &mut *snapshot;
    let numbers = "SELECT coalesce((SELECT max(number) FROM chain_blocks), 0) AS number,
                          coalesce((SELECT sum(amount >> 32) FROM postings), 0) AS high,
                          coalesce((SELECT sum(amount & 4294967295) FROM postings), 0) AS low";
    let row = sqlx::query(numbers)
        .fetch_one(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    let columns = Columns::of(&row);
    let (block, sum_of_postings) = (
        columns.get("chain_blocks.number")?,
        halves(&columns, "ledger_transfers.amount")?,
    );
    let stored = stored_accounts(connection).await?;
    let moved = moved(connection, &stored).await?;
    let balances = balances(&stored);
    Ok(LedgerSnapshot {
        block,
        orgs: orgs(connection, &balances).await?,
        sum_of_postings,
        unbalanced: unbalanced(connection).await?,
        drifted: drifted(&balances, &moved),
        orchestrator_mirror: mirror(&balances, Account::ChainOrchestrator),
        escrow: escrow_total(&balances),
        orchestrator_unconfirmed: orchestrator_unconfirmed(connection).await?,
        broken_receipts: broken_receipts(connection).await?,
        at,
    })
}

async fn orgs(
    connection: &mut SqliteConnection,
    balances: &HashMap<Account, Usdt>,
) -> Result<Vec<OrgPosition>, StoreError> {
    let all = "SELECT id, address, on_chain, dust
               FROM organizations JOIN org_books ON org_books.org_id = organizations.id
               ORDER BY id";
    let found = read_each(connection, sqlx::query(all), |columns| {
        let org: OrgId = columns.get("organizations.id")?;
        let address: WalletAddress = columns.get("organizations.address")?;
        let dust: u64 = columns.get("org_books.dust")?;
        let is_on_chain = columns.get("organizations.on_chain")?;
        let is_checked = OrgPosition::is_checked(org, is_on_chain, balances);
        Ok(is_checked.then_some((org, address, TokenUnits::new(dust.into()))))
    });
    let mut orgs = Vec::new();
    for (org, address, dust) in found.await?.into_iter().flatten() {
        let in_transit = in_transit(connection, org).await?;
        orgs.push(OrgPosition::new(org, address, balances, dust, in_transit));
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
    let broken = "SELECT count(*) AS broken FROM usage_records
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
    Columns::of(&row).get_as("broken", "usage_records.id")
}
