//! Taking back batches that never reached the chain. The rules are [`DissolveView::dissolve`]'s.

use super::carry;
use crate::{columns::Columns, db::WriteTx};
use haithe_billing::{
    batch::{DISSOLVED, Dissolution, DissolveView, DissolvedBatch, SettlementTx},
    outbox::{TxIntentId, TxPurpose, TxState, settled_batch},
};
use haithe_kernel::{CallId, StoreError};
use std::collections::BTreeSet;

/// Dissolves all batches from `seq` on; returns whether it did.
pub(super) async fn dissolve(write: &mut WriteTx<'_>, seq: i64) -> Result<bool, StoreError> {
    let view = view(write, seq).await?;
    match view.dissolve().map_err(StoreError::new)? {
        Some(dissolution) => store(write, &dissolution).await.map(|()| true),
        None => Ok(false),
    }
}

async fn view(write: &mut WriteTx<'_>, seq: i64) -> Result<DissolveView, StoreError> {
    let batches = "SELECT seq, settled_block FROM batches WHERE seq >= ? ORDER BY seq";
    let mut view = DissolveView::default();
    for row in write.all(sqlx::query(batches).bind(seq)).await? {
        let columns = Columns::of(&row);
        let number: i64 = columns.get("batches.seq")?;
        view.batches.push(DissolvedBatch {
            seq: columns.get("batches.seq")?,
            is_seen: columns.get::<Option<i64>>("batches.settled_block")?.is_some(),
            changes: carry::changes(write.connection, number, None).await?,
            sealed_before: sealed_before(write, number).await?,
        });
    }
    view.transactions = transactions(write).await?;
    let changes = view.batches.iter().flat_map(|batch| &batch.changes);
    let keys: BTreeSet<_> = changes.map(|change| change.key).collect();
    view.carry = carry::of_keys(write.connection, keys).await?;
    Ok(view)
}

/// Calls of the batch that an earlier one contains, too.
async fn sealed_before(write: &mut WriteTx<'_>, seq: i64) -> Result<BTreeSet<CallId>, StoreError> {
    let calls = "SELECT call FROM batch_items AS item JOIN usage_records ON usage_records.id = item.usage_id
                 WHERE item.seq = ?1
                   AND EXISTS (SELECT 1 FROM batch_items AS earlier
                               WHERE earlier.usage_id = item.usage_id AND earlier.seq < ?1)";
    let rows = write.all(sqlx::query(calls).bind(seq)).await?;
    rows.iter()
        .map(|row| Columns::of(row).get("usage_records.call"))
        .collect()
}

/// Transactions that settle batches and have not failed for good.
async fn transactions(write: &mut WriteTx<'_>) -> Result<Vec<SettlementTx>, StoreError> {
    let live = "SELECT id, key, nonce FROM chain_tx WHERE purpose = ? AND state <> ?";
    let statement = sqlx::query(live)
        .bind(TxPurpose::SettleBatch.as_str())
        .bind(TxState::Failed.as_str());
    let rows = write.all(statement).await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of(row);
            let key: String = columns.get("chain_tx.key")?;
            Ok(SettlementTx {
                id: TxIntentId(columns.get("chain_tx.id")?),
                seq: settled_batch(&key).ok_or(StoreError::inconsistent("chain_tx.key"))?,
                has_nonce: columns.get::<Option<i64>>("chain_tx.nonce")?.is_some(),
            })
        })
        .collect()
}

async fn store(write: &mut WriteTx<'_>, dissolution: &Dissolution) -> Result<(), StoreError> {
    for intent in &dissolution.close {
        let close = "UPDATE chain_tx SET state = ?, failure = ? WHERE id = ?";
        let statement = sqlx::query(close)
            .bind(TxState::closed(Some(DISSOLVED)).as_str())
            .bind(DISSOLVED)
            .bind(intent.0);
        write.execute(statement).await?;
    }
    write.calls_placed();
    write.write_carry(&dissolution.carry).await?;
    for seq in &dissolution.batches {
        let seq = crate::columns::number(*seq, "batches.seq")?;
        for statement in [
            "UPDATE usage_records SET batch_seq = NULL, skipped = 0
             WHERE id IN (SELECT usage_id FROM batch_items WHERE seq = ?1)",
            "DELETE FROM batch_items WHERE seq = ?1",
            "DELETE FROM batch_credits WHERE seq = ?1",
            "DELETE FROM batch_lines WHERE seq = ?1",
            "DELETE FROM batch_carry WHERE seq = ?1",
            "DELETE FROM batch_payouts WHERE seq = ?1",
            "DELETE FROM batches WHERE seq = ?1",
        ] {
            write.execute(sqlx::query(statement).bind(seq)).await?;
        }
    }
    for call in &dissolution.skipped {
        let mark = "UPDATE usage_records SET skipped = 1 WHERE call = ?";
        let statement = sqlx::query(mark).bind(crate::columns::uuid(call.0));
        write.execute(statement).await?;
    }
    Ok(())
}
