//! Taking back batches that never reached the chain. The rules are [`DissolveView::dissolve`]'s.

use super::carry;
use crate::{columns, lease::Duty, reads::read_each, write::WriteTx};
use haithe_billing::{
    batch::{DISSOLVED, Dissolution, DissolveView, DissolvedBatch, SettlementTx},
    outbox::{TxIntentId, TxPurpose, TxState, settled_batch},
};
use haithe_kernel::{CallId, StoreError};
use std::collections::BTreeSet;

const BATCHES: &str = "SELECT seq, settled_block FROM batches WHERE seq >= $1 ORDER BY seq";
/// Calls of the batch that an earlier one contains, too.
const SEALED_BEFORE: &str = "
    SELECT usage_records.call
    FROM batch_items AS item JOIN usage_records ON usage_records.id = item.usage_id
    WHERE item.seq = $1
      AND EXISTS (SELECT 1 FROM batch_items AS earlier
                  WHERE earlier.usage_id = item.usage_id AND earlier.seq < $1)";
/// Locked, so that none of them gets a nonce meanwhile.
const TRANSACTIONS: &str = "
    SELECT id, key, nonce FROM chain_tx WHERE purpose = $1 AND state <> $2 ORDER BY id FOR UPDATE";
const CLOSE: &str = "UPDATE chain_tx SET state = $1, failure = $2 WHERE id = $3";
const FORGET: [&str; 7] = [
    "UPDATE usage_records SET batch_seq = NULL, skipped = FALSE
     WHERE id IN (SELECT usage_id FROM batch_items WHERE seq = $1)",
    "DELETE FROM batch_items WHERE seq = $1",
    "DELETE FROM batch_credits WHERE seq = $1",
    "DELETE FROM batch_lines WHERE seq = $1",
    "DELETE FROM batch_carry WHERE seq = $1",
    "DELETE FROM batch_payouts WHERE seq = $1",
    "DELETE FROM batches WHERE seq = $1",
];
const MARK_SKIPPED: &str = "UPDATE usage_records SET skipped = TRUE WHERE call = ANY($1)";

/// Dissolves all batches from `seq` on; returns whether it did.
pub(super) async fn dissolve(write: &mut WriteTx, seq: i64) -> Result<bool, StoreError> {
    write.current_lease(Duty::Settlement).await?;
    let view = view(write, seq).await?;
    match view.dissolve().map_err(StoreError::new)? {
        Some(dissolution) => store(write, &dissolution).await.map(|()| true),
        None => Ok(false),
    }
}

async fn view(write: &mut WriteTx, seq: i64) -> Result<DissolveView, StoreError> {
    let mut view = DissolveView::default();
    let batches = read_each(write, sqlx::query(BATCHES).bind(seq), |columns| {
        let number: i64 = columns.get("batches.seq")?;
        let settled: Option<i64> = columns.get("batches.settled_block")?;
        Ok((number, columns.get("batches.seq")?, settled.is_some()))
    });
    for (number, seq, is_seen) in batches.await? {
        view.batches.push(DissolvedBatch {
            seq,
            is_seen,
            changes: carry::changes(write, number, None).await?,
            sealed_before: sealed_before(write, number).await?,
        });
    }
    view.transactions = transactions(write).await?;
    let changes = view.batches.iter().flat_map(|batch| &batch.changes);
    let keys: BTreeSet<_> = changes.map(|change| change.key).collect();
    view.carry = carry::of_keys(write, keys).await?;
    Ok(view)
}

async fn sealed_before(write: &mut WriteTx, seq: i64) -> Result<BTreeSet<CallId>, StoreError> {
    let calls = read_each(write, sqlx::query(SEALED_BEFORE).bind(seq), |columns| {
        columns.get("usage_records.call")
    });
    Ok(calls.await?.into_iter().collect())
}

/// Transactions that settle batches and have not failed for good.
async fn transactions(write: &mut WriteTx) -> Result<Vec<SettlementTx>, StoreError> {
    let live = sqlx::query(TRANSACTIONS)
        .bind(TxPurpose::SettleBatch.as_str())
        .bind(TxState::Failed.as_str());
    read_each(write, live, |columns| {
        let key: String = columns.get("chain_tx.key")?;
        Ok(SettlementTx {
            id: TxIntentId(columns.get("chain_tx.id")?),
            seq: settled_batch(&key).ok_or(StoreError::inconsistent("chain_tx.key"))?,
            has_nonce: columns.get::<Option<i64>>("chain_tx.nonce")?.is_some(),
        })
    })
    .await
}

async fn store(write: &mut WriteTx, dissolution: &Dissolution) -> Result<(), StoreError> {
    for intent in &dissolution.close {
        let close = sqlx::query(CLOSE)
            .bind(TxState::closed(Some(DISSOLVED)).as_str())
            .bind(DISSOLVED)
            .bind(intent.0);
        write.execute(close).await?;
    }
    write.write_carry(&dissolution.carry).await?;
    for seq in &dissolution.batches {
        let seq = columns::number(*seq, "batches.seq")?;
        for forget in FORGET {
            write.execute(sqlx::query(forget).bind(seq)).await?;
        }
    }
    let skipped = dissolution.skipped.iter();
    let skipped: Vec<Vec<u8>> = skipped.map(|call| columns::uuid(call.0)).collect();
    let mark = sqlx::query(MARK_SKIPPED).bind(skipped);
    write.execute(mark).await.map(drop)
}
