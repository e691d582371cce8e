//! What earlier batches did not pay out: rows of `settlement_carry`, and of `batch_carry`, which keeps how each
//! batch changed them. The rules are [`haithe_billing::batch::CarryBook`]'s.

use crate::{
    columns::{self, Columns, json_list, read_each},
    db::{Statement, WriteTx},
};
use haithe_billing::{
    batch::{BatchError, Carry, CarryBook, CarryChange, CarryKey, CarryUpdate, OverdueCarry},
    capture::Payee,
};
use haithe_kernel::{OrgId, StoreError, Usdt};
use sqlx::SqliteConnection;

fn read(columns: &Columns<'_>) -> Result<Carry, StoreError> {
    Ok(Carry {
        key: key(columns)?,
        amount: columns.get("settlement_carry.amount")?,
        since: columns.get("settlement_carry.since")?,
    })
}

/// The key in the columns `org_id` and `payee`.
fn key(columns: &Columns<'_>) -> Result<CarryKey, StoreError> {
    Ok(CarryKey {
        org: columns.get::<OrgId>("settlement_carry.org_id")?,
        payee: columns.get::<Payee>("settlement_carry.payee")?,
    })
}

/// The condition that [`OverdueCarry`] describes, between two pieces of SQL.
macro_rules! overdue {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM settlement_carry
              WHERE (since <= ?1 OR org_id IN (SELECT value FROM json_each(?2))) AND amount >= ?3 ",
            $rest
        )
    };
}

fn bound(sql: &'static str, overdue: &OverdueCarry) -> Statement {
    sqlx::query(sql)
        .bind(overdue.since_at_most.micros())
        .bind(json_list(overdue.withdrawing.iter().map(|org| org.0)))
        .bind(overdue.at_least.nano())
}

/// The carry that is overdue, the longest carried first.
pub(super) async fn overdue(
    connection: &mut SqliteConnection,
    overdue: &OverdueCarry,
) -> Result<Vec<Carry>, StoreError> {
    let select = overdue!(
        "SELECT org_id, payee, amount, since",
        "ORDER BY since, org_id, payee LIMIT ?4"
    );
    let statement = bound(select, overdue).bind(overdue.limit);
    read_each(connection, statement, read).await
}

/// How much of it there is.
pub(super) async fn count_overdue(
    connection: &mut SqliteConnection,
    overdue: &OverdueCarry,
) -> Result<u64, StoreError> {
    let row = bound(overdue!("SELECT count(*) AS credits", ""), overdue)
        .fetch_one(connection)
        .await
        .map_err(StoreError::new)?;
    Columns::of(&row).get_as("credits", "settlement_carry.amount")
}

/// What is carried for the payers and payees of these calls.
pub(super) async fn of_calls(
    connection: &mut SqliteConnection,
    usage: &[i64],
) -> Result<Vec<Carry>, StoreError> {
    let carry = "SELECT DISTINCT carry.org_id AS org_id, carry.payee AS payee, carry.amount AS amount,
                                 carry.since AS since
                 FROM json_each(?) AS chosen
                 CROSS JOIN usage_records ON usage_records.id = chosen.value
                 CROSS JOIN charge_lines ON charge_lines.usage_id = chosen.value
                 CROSS JOIN settlement_carry AS carry
                     ON carry.org_id = usage_records.org_id AND carry.payee = charge_lines.payee";
    let statement = sqlx::query(carry).bind(json_list(usage.iter().copied()));
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
    let carry = "SELECT carry.org_id AS org_id, carry.payee AS payee, carry.amount AS amount,
                        carry.since AS since
                 FROM json_each(?) AS chosen
                 CROSS JOIN settlement_carry AS carry
                     ON carry.org_id = chosen.value ->> 0 AND carry.payee = chosen.value ->> 1";
    read_each(connection, sqlx::query(carry).bind(keys), read).await
}

/// How a batch changed the carry; with `line`, how that line did.
pub(super) async fn changes(
    connection: &mut SqliteConnection,
    seq: i64,
    line: Option<i64>,
) -> Result<Vec<CarryChange>, StoreError> {
    let changes = "SELECT change.org_id AS org_id, change.payee AS payee, change.before AS before,
                          change.after AS after, change.since AS since
                   FROM batch_carry AS change
                   JOIN batch_lines AS line ON line.seq = change.seq AND line.org_id = change.org_id
                   WHERE change.seq = ?1 AND (?2 IS NULL OR line.line = ?2)
                   ORDER BY change.org_id, change.payee";
    let statement = sqlx::query(changes).bind(seq).bind(line);
    read_each(connection, statement, |columns| {
        Ok(CarryChange {
            key: key(columns)?,
            before: columns.get::<Usdt>("batch_carry.before")?,
            after: columns.get::<Usdt>("batch_carry.after")?,
            since: columns.get("batch_carry.since")?,
        })
    })
    .await
}

impl WriteTx<'_> {
    /// Keeps how batch `seq` changes the carry.
    pub(super) async fn store_changes(
        &mut self,
        seq: i64,
        changes: &[CarryChange],
    ) -> Result<(), StoreError> {
        for change in changes {
            let insert = "INSERT INTO batch_carry (seq, org_id, payee, before, after, since)
                          VALUES (?, ?, ?, ?, ?, ?)";
            let statement = sqlx::query(insert)
                .bind(seq)
                .bind(change.key.org.0)
                .bind(columns::payee(change.key.payee))
                .bind(change.before.nano())
                .bind(change.after.nano())
                .bind(change.since.micros());
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Writes what is carried from now on.
    pub(super) async fn write_carry(&mut self, updates: &[CarryUpdate]) -> Result<(), StoreError> {
        for (key, carry) in updates {
            let (org, payee) = (key.org.0, columns::payee(key.payee));
            let statement = match carry {
                Some(carry) => {
                    let put = "INSERT OR REPLACE INTO settlement_carry (org_id, payee, amount, since)
                               VALUES (?, ?, ?, ?)";
                    let statement = sqlx::query(put).bind(org).bind(payee);
                    statement.bind(carry.amount.nano()).bind(carry.since.micros())
                }
                None => {
                    let delete = "DELETE FROM settlement_carry WHERE org_id = ? AND payee = ?";
                    sqlx::query(delete).bind(org).bind(payee)
                }
            };
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Takes back how batch `seq` changed the carry; with `line`, how that line did.
    pub(crate) async fn undo_carry(&mut self, seq: i64, line: Option<i64>) -> Result<(), StoreError> {
        self.change_carry(seq, line, CarryBook::undo).await
    }

    /// Applies again what [`undo_carry`](Self::undo_carry) took back.
    pub(crate) async fn redo_carry(&mut self, seq: i64, line: i64) -> Result<(), StoreError> {
        self.change_carry(seq, Some(line), CarryBook::redo).await
    }

    async fn change_carry(
        &mut self,
        seq: i64,
        line: Option<i64>,
        apply: fn(&mut CarryBook, &CarryChange) -> Result<(), BatchError>,
    ) -> Result<(), StoreError> {
        let changes = changes(self.connection, seq, line).await?;
        let now = of_keys(self.connection, changes.iter().map(|change| change.key)).await?;
        let mut book = CarryBook::new(now);
        for change in &changes {
            apply(&mut book, change).map_err(StoreError::new)?;
        }
        self.write_carry(&book.updates()).await
    }
}
