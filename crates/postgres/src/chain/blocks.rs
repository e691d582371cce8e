//! Remembered blocks, and how far facts count.

use super::events::counted;
use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::chain::{BlockRef, IndexBinding};
use haithe_kernel::{StoreError, Timestamp};
use sqlx::postgres::PgRow;

pub(super) fn read(row: &PgRow) -> Result<BlockRef, StoreError> {
    let columns = Columns::of(row);
    Ok(BlockRef {
        number: columns.get("chain_blocks.number")?,
        hash: columns.get("chain_blocks.hash")?,
        parent: columns.get("chain_blocks.parent")?,
        time: columns.get("chain_blocks.time")?,
    })
}

/// A block up to which facts count; −1 is before the first.
fn block(columns: &Columns<'_>, place: &'static str) -> Result<Option<u64>, StoreError> {
    let number: i64 = columns.get(place)?;
    Ok(u64::try_from(number).ok())
}

/// Forgets events above a block, and counts the transactions that have none left.
const FORGET_EVENTS: &str = "
    WITH gone AS (DELETE FROM chain_events WHERE block > $1 RETURNING tx, kind, subject),
    lost AS (
        SELECT subject, count(DISTINCT tx) AS transactions FROM gone
        WHERE subject IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM chain_events AS kept
            WHERE kept.tx = gone.tx AND kept.subject = gone.subject AND kept.block <= $1
        )
        GROUP BY subject
    ),
    uncounted AS (
        UPDATE chain_counts SET transactions = chain_counts.transactions - lost.transactions
        FROM lost WHERE chain_counts.subject = lost.subject
    )
    UPDATE chain_totals SET transactions = transactions - (
        SELECT count(DISTINCT tx) FROM gone
        WHERE kind <> 'transfer' AND NOT EXISTS (
            SELECT 1 FROM chain_events AS kept
            WHERE kept.tx = gone.tx AND kept.kind <> 'transfer' AND kept.block <= $1
        )
    )";

impl WriteTx {
    /// # Errors
    /// When the database is not bound to a chain yet.
    pub(super) async fn binding(&mut self) -> Result<IndexBinding, StoreError> {
        let binding = "SELECT chain_id, orchestrator, confirmed, last_final FROM chain_binding";
        let row = self.optional(sqlx::query(binding)).await?;
        let row =
            row.ok_or_else(|| StoreError::new("the index must be bound to a chain before it is written"))?;
        let columns = Columns::of(&row);
        Ok(IndexBinding {
            chain_id: columns.get("chain_binding.chain_id")?,
            orchestrator: columns.get("chain_binding.orchestrator")?,
            confirmed: block(&columns, "chain_binding.confirmed")?,
            last_final: block(&columns, "chain_binding.last_final")?,
        })
    }

    pub(super) async fn count_facts(
        &mut self,
        confirmed: Option<u64>,
        last_final: Option<u64>,
    ) -> Result<(), StoreError> {
        let update = "UPDATE chain_binding SET confirmed = $1, last_final = $2";
        let statement = sqlx::query(update)
            .bind(counted(confirmed, "chain_binding.confirmed")?)
            .bind(counted(last_final, "chain_binding.last_final")?);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn remember(&mut self, blocks: Vec<BlockRef>, keep_from: u64) -> Result<(), StoreError> {
        for block in blocks {
            let insert = "INSERT INTO chain_blocks (number, hash, parent, time) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (number) DO UPDATE SET
                     hash = excluded.hash, parent = excluded.parent, time = excluded.time";
            let statement = sqlx::query(insert)
                .bind(columns::number(block.number, "chain_blocks.number")?)
                .bind(block.hash.to_vec())
                .bind(block.parent.to_vec())
                .bind(block.time.micros());
            self.execute(statement).await?;
        }
        let keep_from = columns::number(keep_from, "chain_blocks.number")?;
        self.execute(sqlx::query("DELETE FROM chain_blocks WHERE number < $1").bind(keep_from))
            .await
            .map(drop)
    }

    /// Forgets events, blocks and alarms above a block.
    pub(super) async fn forget_above(&mut self, block: u64) -> Result<(), StoreError> {
        let block = columns::number(block, "chain_blocks.number")?;
        for forget in [
            FORGET_EVENTS,
            "DELETE FROM chain_blocks WHERE number > $1",
            "DELETE FROM alarms WHERE block > $1",
        ] {
            self.execute(sqlx::query(forget).bind(block)).await?;
        }
        Ok(())
    }

    /// The time of the newest remembered block up to this one.
    pub(super) async fn time_at(&mut self, block: u64) -> Result<Option<Timestamp>, StoreError> {
        let time = "SELECT time FROM chain_blocks WHERE number <= $1 ORDER BY number DESC LIMIT 1";
        let block = columns::number(block, "chain_blocks.number")?;
        let row = self.optional(sqlx::query(time).bind(block)).await?;
        row.map(|row| Columns::of(&row).get("chain_blocks.time"))
            .transpose()
    }
}
