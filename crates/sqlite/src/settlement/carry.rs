//! What earlier batches did not pay out.

use super::waiting::list;
use crate::{
    columns::{self, Columns, read_each},
    db::WriteTx,
};
use haithe_billing::batch::{Carry, CarryKey, SealPolicy};
use haithe_kernel::{OrgId, StoreError, Timestamp, Usdt};
use sqlx::SqliteConnection;
use std::collections::HashSet;

/// Overdue credits offered to one batch at most.
const MOST_OVERDUE: i64 = 512;

fn read(columns: &mut Columns<'_>) -> Result<Carry, StoreError> {
    Ok(Carry {
        key: CarryKey {
            org: columns.read("settlement_carry.org_id")?,
            payee: columns.read("settlement_carry.payee")?,
        },
        amount: columns.read("settlement_carry.amount")?,
        since: columns.read("settlement_carry.since")?,
    })
}

/// The smallest amount that can be paid out, in nano-USDT.
fn unit(policy: &SealPolicy) -> i64 {
    10i64.pow(9u32.saturating_sub(policy.decimals.digits()))
}

/// Credits that wait no longer: they are as old as may be, or their payer withdraws. The oldest first.
pub(super) async fn overdue(
    connection: &mut SqliteConnection,
    policy: &SealPolicy,
    now: Timestamp,
    withdrawing: &HashSet<OrgId>,
) -> Result<Vec<Carry>, StoreError> {
    let overdue = "SELECT org_id, payee, amount, since FROM settlement_carry
                   WHERE (since <= ? OR org_id IN (SELECT value FROM json_each(?))) AND amount >= ?
                   ORDER BY since, org_id, payee LIMIT ?";
    let statement = sqlx::query(overdue)
        .bind(now.minus(policy.max_deferral).micros())
        .bind(list(withdrawing.iter().map(|org| org.0)))
        .bind(unit(policy))
        .bind(MOST_OVERDUE);
    read_each(connection, statement, read).await
}

/// How many there are.
pub(super) async fn count_overdue(
    connection: &mut SqliteConnection,
    policy: &SealPolicy,
    now: Timestamp,
    withdrawing: &HashSet<OrgId>,
) -> Result<u64, StoreError> {
    let count = "SELECT count(*) FROM settlement_carry
                 WHERE (since <= ? OR org_id IN (SELECT value FROM json_each(?))) AND amount >= ?";
    let row = sqlx::query(count)
        .bind(now.minus(policy.max_deferral).micros())
        .bind(list(withdrawing.iter().map(|org| org.0)))
        .bind(unit(policy))
        .fetch_one(connection)
        .await
        .map_err(StoreError::new)?;
    Columns::of(&row).read("settlement_carry.amount")
}

/// What is carried for the payees of these calls.
pub(super) async fn of_calls(
    connection: &mut SqliteConnection,
    usage: &[i64],
) -> Result<Vec<Carry>, StoreError> {
    let carry = "SELECT DISTINCT carry.org_id, carry.payee, carry.amount, carry.since
                 FROM json_each(?) AS chosen
                 CROSS JOIN usage_records ON usage_records.id = chosen.value
                 CROSS JOIN charge_lines ON charge_lines.usage_id = chosen.value
                 CROSS JOIN settlement_carry AS carry
                     ON carry.org_id = usage_records.org_id AND carry.payee = charge_lines.payee";
    let statement = sqlx::query(carry).bind(list(usage.iter().copied()));
    read_each(connection, statement, read).await
}

/// What is carried for these keys now.
pub(super) async fn of_keys(
    connection: &mut SqliteConnection,
    keys: impl IntoIterator<Item = CarryKey>,
) -> Result<Vec<Carry>, StoreError> {
    let keys: Vec<(i64, String)> = keys
        .into_iter()
        .map(|key| (key.org.0, columns::payee(key.payee)))
        .collect();
    let keys = serde_json::to_string(&keys).map_err(StoreError::new)?;
    let carry = "SELECT carry.org_id, carry.payee, carry.amount, carry.since
                 FROM json_each(?) AS chosen
                 CROSS JOIN settlement_carry AS carry
                     ON carry.org_id = chosen.value ->> 0 AND carry.payee = chosen.value ->> 1";
    read_each(connection, sqlx::query(carry).bind(keys), read).await
}

impl WriteTx<'_> {
    /// Stores what a batch changes. `before` is what was carried when it was built.
    pub(super) async fn store_carry(
        &mut self,
        seq: i64,
        key: CarryKey,
        before: Option<Carry>,
        after: Usdt,
        sealed_at: Timestamp,
    ) -> Result<(), StoreError> {
        let payee = columns::payee(key.payee);
        let since_before = before.map_or(sealed_at, |carry| carry.since);
        let before = before.map_or(Usdt::ZERO, |carry| carry.amount);
        let change =
            "INSERT INTO batch_carry (seq, org_id, payee, before, after, since) VALUES (?, ?, ?, ?, ?, ?)";
        let statement = sqlx::query(change)
            .bind(seq)
            .bind(key.org.0)
            .bind(payee.clone())
            .bind(before.nano())
            .bind(after.nano())
            .bind(since_before.micros());
        self.execute(statement).await?;
        if after == Usdt::ZERO {
            let forget = "DELETE FROM settlement_carry WHERE org_id = ? AND payee = ?";
            self.execute(sqlx::query(forget).bind(key.org.0).bind(payee))
                .await?;
            return Ok(());
        }
        // Less than before: it was paid out, and what is left begins to wait anew.
        let since = if after >= before { since_before } else { sealed_at };
        let put =
            "INSERT OR REPLACE INTO settlement_carry (org_id, payee, amount, since) VALUES (?, ?, ?, ?)";
        let statement = sqlx::query(put).bind(key.org.0).bind(payee);
        self.execute(statement.bind(after.nano()).bind(since.micros()))
            .await?;
        Ok(())
    }

    /// Undoes what the lines of batch `seq` that `lines` selects (a condition on `line`) changed.
    /// Later batches may have changed the same keys, so the difference is taken back, not the value.
    pub(crate) async fn undo_carry(&mut self, seq: i64, line: Option<i64>) -> Result<(), StoreError> {
        self.change_carry(seq, line, -1).await
    }

    /// Applies again what [`undo_carry`](Self::undo_carry) undid.
    pub(crate) async fn redo_carry(&mut self, seq: i64, line: i64) -> Result<(), StoreError> {
        self.change_carry(seq, Some(line), 1).await
    }

    async fn change_carry(&mut self, seq: i64, line: Option<i64>, sign: i64) -> Result<(), StoreError> {
        let change = "INSERT INTO settlement_carry (org_id, payee, amount, since)
                      SELECT change.org_id, change.payee, ?3 * (change.after - change.before), change.since
                      FROM batch_carry AS change
                      JOIN batch_lines AS line ON line.seq = change.seq AND line.org_id = change.org_id
                      WHERE change.seq = ?1 AND (?2 IS NULL OR line.line = ?2)
                      ON CONFLICT (org_id, payee) DO UPDATE SET
                          amount = amount + excluded.amount, since = min(since, excluded.since)";
        self.execute(sqlx::query(change).bind(seq).bind(line).bind(sign))
            .await?;
        let forget = "DELETE FROM settlement_carry
                      WHERE amount = 0 AND org_id IN (SELECT org_id FROM batch_carry WHERE seq = ?)";
        self.execute(sqlx::query(forget).bind(seq)).await.map(drop)
    }
}
