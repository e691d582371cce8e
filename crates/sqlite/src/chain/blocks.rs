//! Remembered blocks, and how far facts count.

use super::events::counted;
use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_billing::chain::{BlockRef, IndexBinding};
use haithe_kernel::{StoreError, Timestamp};
use sqlx::sqlite::SqliteRow;

pub(super) fn read(row: &SqliteRow) -> Result<BlockRef, StoreError> {
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

impl WriteTx<'_> {
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
        let update = "UPDATE chain_binding SET confirmed = ?, last_final = ?";
        let statement = sqlx::query(update)
            .bind(counted(confirmed, "chain_binding.confirmed")?)
            .bind(counted(last_final, "chain_binding.last_final")?);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn remember(&mut self, blocks: Vec<BlockRef>, keep_from: u64) -> Result<(), StoreError> {
        for block in blocks {
            let insert =
                "INSERT OR REPLACE INTO chain_blocks (number, hash, parent, time) VALUES (?, ?, ?, ?)";
            let statement = sqlx::query(insert)
                .bind(columns::number(block.number, "chain_blocks.number")?)
                .bind(block.hash.to_vec())
                .bind(block.parent.to_vec())
                .bind(block.time.micros());
            self.execute(statement).await?;
        }
        let keep_from = columns::number(keep_from, "chain_blocks.number")?;
        self.execute(sqlx::query("DELETE FROM chain_blocks WHERE number < ?").bind(keep_from))
            .await
            .map(drop)
    }

    /// Forgets events, blocks and alarms above a block.
    pub(super) async fn forget_above(&mut self, block: u64) -> Result<(), StoreError> {
        let block = columns::number(block, "chain_blocks.number")?;
        for forget in [
            "DELETE FROM chain_events WHERE block > ?",
            "DELETE FROM chain_blocks WHERE number > ?",
            "DELETE FROM alarms WHERE block > ?",
        ] {
            self.execute(sqlx::query(forget).bind(block)).await?;
        }
        Ok(())
    }

    /// The time of the newest remembered block up to this one.
    pub(super) async fn time_at(&mut self, block: u64) -> Result<Option<Timestamp>, StoreError> {
        let time = "SELECT time FROM chain_blocks WHERE number <= ? ORDER BY number DESC LIMIT 1";
        let block = columns::number(block, "chain_blocks.number")?;
        let row = self.optional(sqlx::query(time).bind(block)).await?;
        row.map(|row| Columns::of(&row).get("chain_blocks.time"))
            .transpose()
    }
}
