//! Reading batches back.

use crate::{
    columns::Columns,
    ledger::read::ReadRows,
    reads::{read_each, read_first},
};
use haithe_billing::{
    batch::{Batch, BatchCredit, BatchLine, BatchState, CarryKey, SealedItem, next_batch},
    chain::Hash32,
};
use haithe_kernel::{StoreError, Timestamp, Usdt};

const OPEN: &str = "SELECT seq FROM batches WHERE NOT final ORDER BY seq";
const NEWEST: &str = "SELECT max(seq) AS newest FROM batches";
const HEAD: &str = "
    SELECT root, sealed_at, settled_block IS NOT NULL AS is_seen, final FROM batches WHERE seq = $1";
const LINES: &str = "SELECT org_id, address, since FROM batch_lines WHERE seq = $1 ORDER BY line";
const CREDITS: &str = "
    SELECT line, payee, address, units, amount, escrow FROM batch_credits WHERE seq = $1 ORDER BY line, position";
const PAYOUTS: &str = "
    SELECT payee, address, units, amount, FALSE AS escrow FROM batch_payouts WHERE seq = $1 ORDER BY position";
const ITEMS: &str = "
    SELECT usage_records.call, item.line, item.leaf
    FROM batch_items AS item JOIN usage_records ON usage_records.id = item.usage_id
    WHERE item.seq = $1 ORDER BY item.position";
const CARRY: &str = "SELECT org_id, payee, after FROM batch_carry WHERE seq = $1";

/// The batches that are not final, in order.
pub(super) async fn open(from: &mut impl ReadRows) -> Result<Vec<i64>, StoreError> {
    read_each(from, sqlx::query(OPEN), |columns| columns.get("batches.seq")).await
}

/// The number of the next batch.
pub(super) async fn next(from: &mut impl ReadRows) -> Result<u64, StoreError> {
    let newest = read_first(from, sqlx::query(NEWEST), |columns| {
        columns.get_as::<Option<u64>>("newest", "batches.seq")
    });
    Ok(next_batch(newest.await?.flatten()))
}

/// The columns of a batch's own row.
pub(super) struct Head {
    pub(super) root: Hash32,
    pub(super) state: BatchState,
    sealed_at: Timestamp,
}

pub(super) async fn head(from: &mut impl ReadRows, seq: i64) -> Result<Option<Head>, StoreError> {
    read_first(from, sqlx::query(HEAD).bind(seq), |columns| {
        Ok(Head {
            root: columns.get("batches.root")?,
            sealed_at: columns.get("batches.sealed_at")?,
            state: BatchState::of(
                columns.get_as("is_seen", "batches.settled_block")?,
                columns.get("batches.final")?,
            ),
        })
    })
    .await
}

/// The batch with this row, read in full.
pub(super) async fn whole(from: &mut impl ReadRows, seq: i64, head: Head) -> Result<Batch, StoreError> {
    Ok(Batch {
        seq: seq
            .try_into()
            .map_err(|_| StoreError::inconsistent("batches.seq"))?,
        root: head.root,
        sealed_at: head.sealed_at,
        lines: lines(from, seq).await?,
        payouts: read_each(from, sqlx::query(PAYOUTS).bind(seq), credit).await?,
        items: items(from, seq).await?.into(),
        carry: carry(from, seq).await?,
    })
}

/// A batch by number.
pub(super) async fn batch(
    from: &mut impl ReadRows,
    seq: i64,
) -> Result<Option<(Batch, BatchState)>, StoreError> {
    let Some(head) = head(from, seq).await? else {
        return Ok(None);
    };
    let state = head.state;
    Ok(Some((whole(from, seq, head).await?, state)))
}

async fn lines(from: &mut impl ReadRows, seq: i64) -> Result<Vec<BatchLine>, StoreError> {
    let mut lines = read_each(from, sqlx::query(LINES).bind(seq), |columns| {
        Ok(BatchLine {
            org: columns.get("batch_lines.org_id")?,
            address: columns.get("batch_lines.address")?,
            credits: Vec::new(),
            since: columns.get("batch_lines.since")?,
        })
    })
    .await?;
    read_each(from, sqlx::query(CREDITS).bind(seq), |columns| {
        let line: u32 = columns.get("batch_credits.line")?;
        let line = usize::try_from(line).ok().and_then(|line| lines.get_mut(line));
        let line = line.ok_or(StoreError::inconsistent("batch_credits.line"))?;
        line.credits.push(credit(columns)?);
        Ok(())
    })
    .await?;
    Ok(lines)
}

fn credit(columns: &Columns<'_>) -> Result<BatchCredit, StoreError> {
    Ok(BatchCredit {
        payee: columns.get("batch_credits.payee")?,
        address: columns.get("batch_credits.address")?,
        units: columns.get("batch_credits.units")?,
        amount: columns.get("batch_credits.amount")?,
        escrow: columns.get("batch_credits.escrow")?,
    })
}

async fn items(from: &mut impl ReadRows, seq: i64) -> Result<Vec<SealedItem>, StoreError> {
    read_each(from, sqlx::query(ITEMS).bind(seq), |columns| {
        Ok(SealedItem {
            call: columns.get("usage_records.call")?,
            line: columns.get("batch_items.line")?,
            leaf: columns.get("batch_items.leaf")?,
        })
    })
    .await
}

async fn carry(from: &mut impl ReadRows, seq: i64) -> Result<Vec<(CarryKey, Usdt)>, StoreError> {
    let carry = read_each(from, sqlx::query(CARRY).bind(seq), |columns| {
        let key = CarryKey {
            org: columns.get("batch_carry.org_id")?,
            payee: columns.get("batch_carry.payee")?,
        };
        Ok((key, columns.get("batch_carry.after")?))
    });
    let mut carry = carry.await?;
    carry.sort_unstable_by_key(|(key, _)| *key);
    Ok(carry)
}
