//! What earlier batches did not pay out: rows of `settlement_carry`, and of `batch_carry`, which keeps how each
//! batch changed them. The rules are [`haithe_billing::batch::CarryBook`]'s.

use crate::{
    columns::{self, Columns},
    db::Statement,
    ledger::read::ReadRows,
    reads::{read_each, read_first},
    write::WriteTx,
};
use haithe_billing::{
    batch::{BatchError, Carry, CarryBook, CarryChange, CarryKey, CarryUpdate, OverdueCarry},
    capture::Payee,
};
use haithe_kernel::{OrgId, StoreError, Usdt};

/// The condition that [`OverdueCarry`] describes, between two pieces of SQL.
macro_rules! overdue {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM settlement_carry WHERE (since <= $1 OR org_id = ANY($2)) AND amount >= $3 ",
            $rest
        )
    };
}

const OVERDUE: &str = overdue!(
    "SELECT org_id, payee, amount, since",
    "ORDER BY since, org_id, payee LIMIT $4"
);
const COUNT_OVERDUE: &str = overdue!("SELECT count(*) AS credits", "");
const OF_CALLS: &str = "
    SELECT DISTINCT carry.org_id, carry.payee, carry.amount, carry.since
    FROM usage_records
    JOIN charge_lines ON charge_lines.usage_id = usage_records.id
    JOIN settlement_carry AS carry
        ON carry.org_id = usage_records.org_id AND carry.payee = charge_lines.payee
    WHERE usage_records.id = ANY($1)";
const OF_KEYS: &str = "
    SELECT carry.org_id, carry.payee, carry.amount, carry.since
    FROM unnest($1::BIGINT[], $2::TEXT[]) AS chosen (org_id, payee)
    JOIN settlement_carry AS carry ON carry.org_id = chosen.org_id AND carry.payee = chosen.payee";
const CHANGES: &str = "
    SELECT change.org_id, change.payee, change.before, change.after, change.since
    FROM batch_carry AS change
    JOIN batch_lines AS line ON line.seq = change.seq AND line.org_id = change.org_id
    WHERE change.seq = $1 AND ($2::BIGINT IS NULL OR line.line = $2)
    ORDER BY change.org_id, change.payee";
const STORE_CHANGE: &str = "
    INSERT INTO batch_carry (seq, org_id, payee, before, after, since) VALUES ($1, $2, $3, $4, $5, $6)";
const PUT: &str = "
    INSERT INTO settlement_carry (org_id, payee, amount, since) VALUES ($1, $2, $3, $4)
    ON CONFLICT (org_id, payee) DO UPDATE SET amount = excluded.amount, since = excluded.since";
const REMOVE: &str = "DELETE FROM settlement_carry WHERE org_id = $1 AND payee = $2";

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

fn bound(sql: &'static str, overdue: &OverdueCarry) -> Statement {
    let withdrawing: Vec<i64> = overdue.withdrawing.iter().map(|org| org.0).collect();
    sqlx::query(sql)
        .bind(overdue.since_at_most.micros())
        .bind(withdrawing)
        .bind(overdue.at_least.nano())
}

/// The carry that is overdue, the longest carried first.
pub(super) async fn overdue(
    from: &mut impl ReadRows,
    overdue: &OverdueCarry,
) -> Result<Vec<Carry>, StoreError> {
    let statement = bound(OVERDUE, overdue).bind(i64::from(overdue.limit));
    read_each(from, statement, read).await
}

/// How much of it there is.
pub(super) async fn count_overdue(
    from: &mut impl ReadRows,
    overdue: &OverdueCarry,
) -> Result<u64, StoreError> {
    let count = read_first(from, bound(COUNT_OVERDUE, overdue), |columns| {
        columns.get_as("credits", "settlement_carry.amount")
    });
    Ok(count.await?.unwrap_or(0))
}

/// What is carried for the payers and payees of these calls.
pub(super) async fn of_calls(from: &mut impl ReadRows, usage: &[i64]) -> Result<Vec<Carry>, StoreError> {
    read_each(from, sqlx::query(OF_CALLS).bind(usage.to_vec()), read).await
}

/// What is carried for these keys now.
pub(super) async fn of_keys(
    from: &mut impl ReadRows,
    keys: impl IntoIterator<Item = CarryKey> + Send,
) -> Result<Vec<Carry>, StoreError> {
    let (orgs, payees): (Vec<i64>, Vec<String>) = keys
        .into_iter()
        .map(|key| (key.org.0, columns::payee(key.payee)))
        .unzip();
    read_each(from, sqlx::query(OF_KEYS).bind(orgs).bind(payees), read).await
}

/// How a batch changed the carry; with `line`, how that line did.
pub(super) async fn changes(
    from: &mut impl ReadRows,
    seq: i64,
    line: Option<i64>,
) -> Result<Vec<CarryChange>, StoreError> {
    let statement = sqlx::query(CHANGES).bind(seq).bind(line);
    read_each(from, statement, |columns| {
        Ok(CarryChange {
            key: key(columns)?,
            before: columns.get::<Usdt>("batch_carry.before")?,
            after: columns.get::<Usdt>("batch_carry.after")?,
            since: columns.get("batch_carry.since")?,
        })
    })
    .await
}

impl WriteTx {
    /// Keeps how batch `seq` changes the carry.
    pub(super) async fn store_changes(
        &mut self,
        seq: i64,
        changes: &[CarryChange],
    ) -> Result<(), StoreError> {
        for change in changes {
            let statement = sqlx::query(STORE_CHANGE)
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
                Some(carry) => sqlx::query(PUT)
                    .bind(org)
                    .bind(payee)
                    .bind(carry.amount.nano())
                    .bind(carry.since.micros()),
                None => sqlx::query(REMOVE).bind(org).bind(payee),
            };
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Takes back how a line of batch `seq` changed the carry.
    pub(crate) async fn undo_carry(&mut self, seq: i64, line: i64) -> Result<(), StoreError> {
        self.change_carry(seq, line, CarryBook::undo).await
    }

    /// Applies again what [`undo_carry`](Self::undo_carry) took back.
    pub(crate) async fn redo_carry(&mut self, seq: i64, line: i64) -> Result<(), StoreError> {
        self.change_carry(seq, line, CarryBook::redo).await
    }

    async fn change_carry(
        &mut self,
        seq: i64,
        line: i64,
        apply: fn(&mut CarryBook, &CarryChange) -> Result<(), BatchError>,
    ) -> Result<(), StoreError> {
        let changes = changes(self, seq, Some(line)).await?;
        let keys: Vec<CarryKey> = changes.iter().map(|change| change.key).collect();
        let mut book = CarryBook::new(of_keys(self, keys).await?);
        for change in &changes {
            apply(&mut book, change).map_err(StoreError::new)?;
        }
        self.write_carry(&book.updates()).await
    }
}
