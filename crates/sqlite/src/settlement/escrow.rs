//! Payees that cannot be paid, and what is kept for them.
//!
//! Everything here is derived from final batches, so that a reorganization needs no undoing.

use crate::{
    columns::{Columns, read_each},
    db::Statement,
};
use haithe_billing::{
    batch::{CarryKey, SealPolicy},
    capture::Payee,
    ledger::Account,
};
use haithe_kernel::{OrgId, StoreError, Timestamp, Usdt};
use sqlx::SqliteConnection;
use std::{collections::HashSet, time::Duration};

/// Skipped lines in a row that are blamed on a payee, after which its credits go to escrow.
const SKIPS: i64 = 3;

/// How long a payee waits after an attempt to pay its escrow out.
const PAYOUT_PAUSE: Duration = Duration::from_secs(86_400);

/// Payers and payees whose credits go to escrow: three final lines of the payer were skipped because
/// of the payee since it was last paid, by the payer or out of escrow.
pub(super) async fn unpayable(connection: &mut SqliteConnection) -> Result<HashSet<CarryKey>, StoreError> {
    let unpayable = "SELECT line.org_id, line.blamed
        FROM batch_lines AS line JOIN batches USING (seq)
        WHERE line.blamed IS NOT NULL AND line.blamed <> 'payer' AND batches.final = 1
          AND line.seq > coalesce((
              SELECT max(payout.seq) FROM batch_payouts AS payout JOIN batches AS paid ON paid.seq = payout.seq
              WHERE payout.payee = line.blamed AND paid.final = 1 AND paid.payouts_skipped = 0
          ), -1)
          AND line.seq > coalesce((
              SELECT max(credit.seq) FROM batch_credits AS credit
              JOIN batch_lines AS settled ON settled.seq = credit.seq AND settled.line = credit.line
              JOIN batches AS paid ON paid.seq = credit.seq
              WHERE credit.payee = line.blamed AND credit.escrow = 0 AND settled.org_id = line.org_id
                AND settled.skipped IS NULL AND paid.final = 1
          ), -1)
        GROUP BY line.org_id, line.blamed HAVING count(*) >= ?";
    let pairs = read_each(connection, sqlx::query(unpayable).bind(SKIPS), |columns| {
        Ok(CarryKey {
            org: columns.read("batch_lines.org_id")?,
            payee: columns.read("batch_lines.blamed")?,
        })
    })
    .await?;
    Ok(pairs.into_iter().collect())
}

/// Organizations with a line that failed for an unknown payee since their last settled one.
pub(super) async fn probed(connection: &mut SqliteConnection) -> Result<HashSet<OrgId>, StoreError> {
    let probed = "SELECT DISTINCT line.org_id
        FROM batch_lines AS line JOIN batches USING (seq)
        WHERE line.skipped IS NOT NULL AND line.skipped NOT IN ('insufficient_funds', 'daily_cap')
          AND line.blamed IS NOT 'payer' AND batches.final = 1
          AND line.seq > coalesce((
              SELECT settled.seq FROM batch_lines AS settled JOIN batches AS paid ON paid.seq = settled.seq
              WHERE settled.org_id = line.org_id AND settled.skipped IS NULL AND paid.final = 1
              ORDER BY settled.seq DESC LIMIT 1
          ), -1)";
    let orgs = read_each(connection, sqlx::query(probed), |columns| {
        columns.read("batch_lines.org_id")
    })
    .await?;
    Ok(orgs.into_iter().collect())
}

/// Escrow that can be paid out now: of registered creators and of organizations, the one that has
/// waited longest since its last attempt first.
fn due(now: Timestamp) -> Statement {
    let due = "SELECT account.name, account.balance
        FROM ledger_accounts AS account
        LEFT JOIN batch_payouts AS payout ON payout.payee = substr(account.name, 8)
        LEFT JOIN batches ON batches.seq = payout.seq
        WHERE account.name LIKE 'escrow/%' AND account.balance > 0
          AND (account.name LIKE 'escrow/org/%'
               OR EXISTS (SELECT 1 FROM creators
                          WHERE 'escrow/creator/0x' || lower(hex(wallet_address)) = account.name))
        GROUP BY account.name
        HAVING count(*) FILTER (WHERE batches.final = 0) = 0 AND coalesce(max(batches.sealed_at), 0) <= ?
        ORDER BY coalesce(max(batches.sealed_at), 0), account.name";
    sqlx::query(due).bind(now.minus(PAYOUT_PAUSE).micros())
}

/// Escrow that can be paid out now.
pub(super) async fn payouts(
    connection: &mut SqliteConnection,
    policy: &SealPolicy,
    now: Timestamp,
) -> Result<Vec<(Payee, Usdt)>, StoreError> {
    let mut accounts = read_each(connection, due(now), read).await?;
    // Less than a base unit stays.
    accounts.retain(|(_, amount)| {
        amount
            .to_units(policy.decimals)
            .is_ok_and(|(units, _)| units.get() > 0)
    });
    let payout = |(account, amount)| match account {
        Account::Escrow(payee) => Ok((payee, amount)),
        _ => Err(StoreError::inconsistent("ledger_accounts.name")),
    };
    accounts.into_iter().map(payout).collect()
}

fn read(columns: &mut Columns<'_>) -> Result<(Account, Usdt), StoreError> {
    Ok((
        columns.read("ledger_accounts.name")?,
        columns.read("ledger_accounts.balance")?,
    ))
}
