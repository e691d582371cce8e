//! Undoing blocks.

use super::{blocks::Counted, directory::Affected, products, roles, step::Indexing};
use crate::{
    columns::{self, Columns},
    db::WriteTx,
    ledger::scale::Scale,
};
use haithe_billing::chain::{BlockRef, StepEffects};
use haithe_kernel::{OrgId, StoreError};
use std::collections::BTreeSet;

/// Forgets every event above `to` and undoes what followed from it.
pub(super) async fn rewind(write: &mut WriteTx<'_>, scale: Scale, to: BlockRef) -> Result<(), StoreError> {
    let before = write.counted().await?;
    let block = columns::number(to.number, "chain_blocks.number")?;
    let mut indexing = Indexing {
        write,
        scale,
        touched: BTreeSet::new(),
        effects: StepEffects::default(),
    };
    let affected = Affected::above(&mut indexing, block, to.time).await?;
    roles::lower_decisions(&mut indexing, block).await?;
    indexing.write.reverse_above(block, to.time).await?;
    batches(&mut indexing, to, block).await?;
    withdrawals(&mut indexing, block).await?;
    deposits(&mut indexing, block).await?;
    for forget in [
        "DELETE FROM chain_events WHERE block > ?",
        "DELETE FROM chain_blocks WHERE number > ?",
        "DELETE FROM alarms WHERE block > ?",
    ] {
        indexing.write.execute(sqlx::query(forget).bind(block)).await?;
    }
    let counted = Counted {
        confirmed: before.confirmed.min(block),
        last_final: before.last_final.min(block),
    };
    indexing.write.set_counted(counted).await?;
    indexing.write.remember(&[], to).await?;
    affected.derive(&mut indexing).await?;
    products::raise_prices(&mut indexing, to.time).await?;
    indexing.finish(to).await.map(drop)
}

/// Adds the organizations that these rows name.
async fn touch(indexing: &mut Indexing<'_, '_>, orgs: &'static str, block: i64) -> Result<(), StoreError> {
    for row in indexing.write.all(sqlx::query(orgs).bind(block)).await? {
        indexing
            .touched
            .insert(Columns::of(&row).read::<OrgId>("organizations.id")?);
    }
    Ok(())
}

async fn deposits(indexing: &mut Indexing<'_, '_>, block: i64) -> Result<(), StoreError> {
    touch(
        indexing,
        "SELECT DISTINCT org_id FROM deposits WHERE block > ?",
        block,
    )
    .await?;
    for undo in [
        "UPDATE org_books SET dust = dust - gone.change
         FROM (SELECT org_id, sum(dust) AS change FROM deposits WHERE block > ? AND confirmed = 1 GROUP BY org_id)
              AS gone
         WHERE org_books.org_id = gone.org_id",
        "DELETE FROM deposits WHERE block > ?",
    ] {
        indexing.write.execute(sqlx::query(undo).bind(block)).await?;
    }
    Ok(())
}

async fn withdrawals(indexing: &mut Indexing<'_, '_>, block: i64) -> Result<(), StoreError> {
    let orgs = "SELECT org_id FROM withdrawals WHERE block > ?1
                UNION SELECT org_id FROM withdrawals WHERE ended_block > ?1
                UNION SELECT org_id FROM withdrawals WHERE booked_block > ?1";
    touch(indexing, orgs, block).await?;
    for undo in [
        "UPDATE org_books SET dust = dust - gone.change
         FROM (SELECT org_id, sum(dust_change) AS change FROM withdrawals WHERE booked_block > ? GROUP BY org_id)
              AS gone
         WHERE org_books.org_id = gone.org_id",
        "UPDATE withdrawals SET booked = NULL, booked_block = NULL, dust_change = 0 WHERE booked_block > ?",
        "UPDATE withdrawals SET ended = NULL, ended_block = NULL, paid_units = NULL WHERE ended_block > ?",
        "DELETE FROM withdrawals WHERE block > ?",
    ] {
        indexing.write.execute(sqlx::query(undo).bind(block)).await?;
    }
    Ok(())
}

async fn batches(indexing: &mut Indexing<'_, '_>, to: BlockRef, block: i64) -> Result<(), StoreError> {
    let gone = "SELECT seq, final FROM batches WHERE settled_block > ? ORDER BY settled_block DESC, seq DESC";
    for row in indexing.write.all(sqlx::query(gone).bind(block)).await? {
        let mut columns = Columns::of(&row);
        let seq: i64 = columns.read("batches.seq")?;
        if columns.read("batches.final")? {
            take_items_back(indexing, to, seq).await?;
        }
        let orgs = indexing.write.batch_orgs(seq).await?;
        indexing.touched.extend(orgs);
        for undo in [
            "UPDATE batches SET settled_tx = NULL, settled_block = NULL, settled_at = NULL, chain_hash = NULL,
                                final = 0, payouts_skipped = 0 WHERE seq = ?",
            "UPDATE batch_lines SET skipped = NULL, blamed = NULL WHERE seq = ?",
        ] {
            indexing.write.execute(sqlx::query(undo).bind(seq)).await?;
        }
    }
    Ok(())
}

/// A batch that counted as final is open again: the calls of its skipped lines belong to it again.
async fn take_items_back(indexing: &mut Indexing<'_, '_>, to: BlockRef, seq: i64) -> Result<(), StoreError> {
    let moved_on = "SELECT 1 FROM batch_items AS item
                    JOIN batch_lines AS line ON line.seq = item.seq AND line.line = item.line
                    JOIN usage_records ON usage_records.id = item.usage_id
                    WHERE item.seq = ? AND line.skipped IS NOT NULL AND usage_records.batch_seq IS NOT NULL";
    if indexing
        .write
        .optional(sqlx::query(moved_on).bind(seq))
        .await?
        .is_some()
    {
        let detail = format!(
            "batch {seq} was final, its skipped calls are in a later batch, and now its block is gone"
        );
        let block = columns::number(to.number, "alarms.block")?;
        return indexing
            .write
            .alarm_at("final_batch_rewound", block, to.time, detail)
            .await;
    }
    let waited_again = "UPDATE usage_records SET
             batch_seq = ?1,
             skipped = EXISTS (SELECT 1 FROM batch_items AS earlier
                               WHERE earlier.usage_id = usage_records.id AND earlier.seq < ?1)
         WHERE id IN (SELECT item.usage_id FROM batch_items AS item
                      JOIN batch_lines AS line ON line.seq = item.seq AND line.line = item.line
                      WHERE item.seq = ?1 AND line.skipped IS NOT NULL)";
    indexing
        .write
        .execute(sqlx::query(waited_again).bind(seq))
        .await?;
    let skipped = "SELECT line FROM batch_lines WHERE seq = ? AND skipped IS NOT NULL";
    for row in indexing.write.all(sqlx::query(skipped).bind(seq)).await? {
        let line = Columns::of(&row).read("batch_lines.line")?;
        indexing.write.redo_carry(seq, line).await?;
    }
    Ok(())
}
