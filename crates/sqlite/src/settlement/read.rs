//! Reading batches back.

use crate::columns::{Columns, read_each};
use haithe_billing::{
    batch::{Batch, BatchCredit, BatchLine, BatchState, CarryKey, SealedItem},
    chain::Hash32,
};
use haithe_kernel::{StoreError, Timestamp, Usdt};
use sqlx::SqliteConnection;

/// The batches that are not final, in order.
pub(super) async fn open(connection: &mut SqliteConnection) -> Result<Vec<i64>, StoreError> {
    let open = "SELECT seq FROM batches WHERE final = 0 ORDER BY seq";
    read_each(connection, sqlx::query(open), |columns| {
        columns.read("batches.seq")
    })
    .await
}

/// The number of the next batch.
pub(super) async fn next(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let next = "SELECT coalesce(max(seq) + 1, 0) FROM batches";
    let row = sqlx::query(next)
        .fetch_one(connection)
        .await
        .map_err(StoreError::new)?;
    Columns::of(&row).read("batches.seq")
}

/// How far a batch has come, from whether it was seen and whether it is final.
pub(crate) const fn state(seen: bool, is_final: bool) -> BatchState {
    match (seen, is_final) {
        (_, true) => BatchState::Final,
        (true, false) => BatchState::Seen,
        (false, false) => BatchState::Sealed,
    }
}

/// What of a batch is one row.
pub(super) struct Head {
    pub(super) root: Hash32,
    pub(super) state: BatchState,
    sealed_at: Timestamp,
}

pub(super) async fn head(connection: &mut SqliteConnection, seq: i64) -> Result<Option<Head>, StoreError> {
    let head = "SELECT root, sealed_at, settled_block IS NOT NULL, final FROM batches WHERE seq = ?";
    let row = sqlx::query(head)
        .bind(seq)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::new)?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        Ok(Head {
            root: columns.read("batches.root")?,
            sealed_at: columns.read("batches.sealed_at")?,
            state: state(
                columns.read("batches.settled_block")?,
                columns.read("batches.final")?,
            ),
        })
    })
    .transpose()
}

/// The batch of this head.
pub(super) async fn whole(
    connection: &mut SqliteConnection,
    seq: i64,
    head: Head,
) -> Result<Batch, StoreError> {
    Ok(Batch {
        seq: seq
            .try_into()
            .map_err(|_| StoreError::inconsistent("batches.seq"))?,
        root: head.root,
        sealed_at: head.sealed_at,
        lines: lines(connection, seq).await?,
        payouts: payouts(connection, seq).await?,
        items: items(connection, seq).await?.into(),
        carry: carry(connection, seq).await?,
    })
}

/// A batch by number.
pub(super) async fn batch(
    connection: &mut SqliteConnection,
    seq: i64,
) -> Result<Option<(Batch, BatchState)>, StoreError> {
    let Some(head) = head(connection, seq).await? else {
        return Ok(None);
    };
    let state = head.state;
    Ok(Some((whole(connection, seq, head).await?, state)))
}

async fn lines(connection: &mut SqliteConnection, seq: i64) -> Result<Vec<BatchLine>, StoreError> {
    let lines = "SELECT org_id, address, since FROM batch_lines WHERE seq = ? ORDER BY line";
    let rows = sqlx::query(lines)
        .bind(seq)
        .fetch_all(&mut *connection)
        .await
        .map_err(StoreError::new)?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let mut columns = Columns::of(&row);
        lines.push(BatchLine {
            org: columns.read("batch_lines.org_id")?,
            address: columns.read("batch_lines.address")?,
            credits: Vec::new(),
            since: columns.read("batch_lines.since")?,
        });
    }
    let credits = "SELECT line, payee, address, units, amount, escrow FROM batch_credits WHERE seq = ? ORDER BY line, position";
    let rows = sqlx::query(credits)
        .bind(seq)
        .fetch_all(connection)
        .await
        .map_err(StoreError::new)?;
    for row in rows {
        let mut columns = Columns::of(&row);
        let line: u32 = columns.read("batch_credits.line")?;
        let credit = BatchCredit {
            payee: columns.read("batch_credits.payee")?,
            address: columns.read("batch_credits.address")?,
            units: columns.read("batch_credits.units")?,
            amount: columns.read("batch_credits.amount")?,
            escrow: columns.read("batch_credits.escrow")?,
        };
        let line = usize::try_from(line).ok().and_then(|line| lines.get_mut(line));
        line.ok_or(StoreError::inconsistent("batch_credits.line"))?
            .credits
            .push(credit);
    }
    Ok(lines)
}

async fn payouts(connection: &mut SqliteConnection, seq: i64) -> Result<Vec<BatchCredit>, StoreError> {
    let payouts = "SELECT payee, address, units, amount FROM batch_payouts WHERE seq = ? ORDER BY position";
    read_each(connection, sqlx::query(payouts).bind(seq), |columns| {
        Ok(BatchCredit {
            payee: columns.read("batch_payouts.payee")?,
            address: columns.read("batch_payouts.address")?,
            units: columns.read("batch_payouts.units")?,
            amount: columns.read("batch_payouts.amount")?,
            escrow: false,
        })
    })
    .await
}

async fn items(connection: &mut SqliteConnection, seq: i64) -> Result<Vec<SealedItem>, StoreError> {
    let items = "SELECT call, line, leaf FROM batch_items JOIN usage_records ON usage_records.id = usage_id
                 WHERE seq = ? ORDER BY position";
    read_each(connection, sqlx::query(items).bind(seq), |columns| {
        Ok(SealedItem {
            call: columns.read("usage_records.call")?,
            line: columns.read("batch_items.line")?,
            leaf: columns.read("batch_items.leaf")?,
        })
    })
    .await
}

async fn carry(connection: &mut SqliteConnection, seq: i64) -> Result<Vec<(CarryKey, Usdt)>, StoreError> {
    let carry = "SELECT org_id, payee, after FROM batch_carry WHERE seq = ?";
    let rows = sqlx::query(carry)
        .bind(seq)
        .fetch_all(connection)
        .await
        .map_err(StoreError::new)?;
    let read = |row| {
        let mut columns = Columns::of(row);
        let key = CarryKey {
            org: columns.read("batch_carry.org_id")?,
            payee: columns.read("batch_carry.payee")?,
        };
        Ok((key, columns.read("batch_carry.after")?))
    };
    let mut carry: Vec<(CarryKey, Usdt)> = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
    carry.sort_unstable_by_key(|(key, _)| *key);
    Ok(carry)
}
