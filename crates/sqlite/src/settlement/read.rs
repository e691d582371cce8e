//! Reading batches back.

use crate::columns::{Columns, read_each};
use haithe_billing::{
    batch::{Batch, BatchCredit, BatchLine, BatchState, CarryKey, SealedItem, next_batch},
    chain::Hash32,
};
use haithe_kernel::{StoreError, Timestamp, Usdt};
use sqlx::SqliteConnection;

/// The batches that are not final, in order.
pub(super) async fn open(connection: &mut SqliteConnection) -> Result<Vec<i64>, StoreError> {
    let open = "SELECT seq FROM batches WHERE final = 0 ORDER BY seq";
    read_each(connection, sqlx::query(open), |columns| {
        columns.get("batches.seq")
    })
    .await
}

/// The number of the next batch.
pub(super) async fn next(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let newest = "SELECT max(seq) AS newest FROM batches";
    let row = sqlx::query(newest)
        .fetch_one(connection)
        .await
        .map_err(StoreError::new)?;
    Ok(next_batch(Columns::of(&row).get_as("newest", "batches.seq")?))
}

/// The columns of a batch's own row.
pub(super) struct Head {
    pub(super) root: Hash32,
    pub(super) state: BatchState,
    sealed_at: Timestamp,
}

pub(super) async fn head(connection: &mut SqliteConnection, seq: i64) -> Result<Option<Head>, StoreError> {
    let head =
        "SELECT root, sealed_at, settled_block IS NOT NULL AS is_seen, final FROM batches WHERE seq = ?";
    let row = sqlx::query(head)
        .bind(seq)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::new)?;
    row.map(|row| {
        let columns = Columns::of(&row);
        Ok(Head {
            root: columns.get("batches.root")?,
            sealed_at: columns.get("batches.sealed_at")?,
            state: BatchState::of(
                columns.get_as("is_seen", "batches.settled_block")?,
                columns.get("batches.final")?,
            ),
        })
    })
    .transpose()
}

/// The batch with this row, read in full.
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
        let columns = Columns::of(&row);
        lines.push(BatchLine {
            org: columns.get("batch_lines.org_id")?,
            address: columns.get("batch_lines.address")?,
            credits: Vec::new(),
            since: columns.get("batch_lines.since")?,
        });
    }
    let credits = "SELECT line, payee, address, units, amount, escrow FROM batch_credits WHERE seq = ? ORDER BY line, position";
    let rows = sqlx::query(credits)
        .bind(seq)
        .fetch_all(connection)
        .await
        .map_err(StoreError::new)?;
    for row in rows {
        let columns = Columns::of(&row);
        let line: u32 = columns.get("batch_credits.line")?;
        let credit = BatchCredit {
            payee: columns.get("batch_credits.payee")?,
            address: columns.get("batch_credits.address")?,
            units: columns.get("batch_credits.units")?,
            amount: columns.get("batch_credits.amount")?,
            escrow: columns.get("batch_credits.escrow")?,
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
            payee: columns.get("batch_payouts.payee")?,
            address: columns.get("batch_payouts.address")?,
            units: columns.get("batch_payouts.units")?,
            amount: columns.get("batch_payouts.amount")?,
            escrow: false,
        })
    })
    .await
}

async fn items(connection: &mut SqliteConnection, seq: i64) -> Result<Vec<SealedItem>, StoreError> {
    let items = "SELECT usage_records.call AS call, item.line AS line, item.leaf AS leaf
                 FROM batch_items AS item JOIN usage_records ON usage_records.id = item.usage_id
                 WHERE item.seq = ? ORDER BY item.position";
    read_each(connection, sqlx::query(items).bind(seq), |columns| {
        Ok(SealedItem {
            call: columns.get("usage_records.call")?,
            line: columns.get("batch_items.line")?,
            leaf: columns.get("batch_items.leaf")?,
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
        let columns = Columns::of(row);
        let key = CarryKey {
            org: columns.get("batch_carry.org_id")?,
            payee: columns.get("batch_carry.payee")?,
        };
        Ok((key, columns.get("batch_carry.after")?))
    };
    let mut carry: Vec<(CarryKey, Usdt)> = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
    carry.sort_unstable_by_key(|(key, _)| *key);
    Ok(carry)
}
