//! Remembered blocks, and how far facts count.

use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_billing::chain::BlockRef;
use haithe_kernel::{StoreError, Timestamp};
use sqlx::sqlite::SqliteRow;

/// Blocks remembered at least, however few the indexer asks for.
const REMEMBERED: i64 = 4096;

pub(super) fn read(row: &SqliteRow) -> Result<BlockRef, StoreError> {
    let mut columns = Columns::of(row);
    Ok(BlockRef {
        number: columns.read("chain_blocks.number")?,
        hash: columns.read("chain_blocks.hash")?,
        parent: columns.read("chain_blocks.parent")?,
        time: columns.read("chain_blocks.time")?,
    })
}

/// Up to which block facts count as confirmed and as final; −1 before the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) confirmed: i64,
    pub(super) last_final: i64,
}

impl WriteTx<'_> {
    /// # Errors
    /// When the database is not bound to a chain yet.
    pub(super) async fn counted(&mut self) -> Result<Counted, StoreError> {
        let row = self
            .optional(sqlx::query("SELECT confirmed, last_final FROM chain_binding"))
            .await?;
        let row =
            row.ok_or_else(|| StoreError::new("the index must be bound to a chain before it is written"))?;
        let mut columns = Columns::of(&row);
        Ok(Counted {
            confirmed: columns.read("chain_binding.confirmed")?,
            last_final: columns.read("chain_binding.last_final")?,
        })
    }

    pub(super) async fn set_counted(&mut self, counted: Counted) -> Result<(), StoreError> {
        let update = "UPDATE chain_binding SET confirmed = ?, last_final = ?";
        let statement = sqlx::query(update)
            .bind(counted.confirmed)
            .bind(counted.last_final);
        self.execute(statement).await.map(drop)
    }

    /// Remembers blocks; the highest is the checkpoint. Forgets those far below it.
    pub(super) async fn remember(&mut self, blocks: &[BlockRef], to: BlockRef) -> Result<(), StoreError> {
        for block in blocks.iter().chain(std::iter::once(&to)) {
            let insert =
                "INSERT OR REPLACE INTO chain_blocks (number, hash, parent, time) VALUES (?, ?, ?, ?)";
            let statement = sqlx::query(insert)
                .bind(columns::number(block.number, "chain_blocks.number")?)
                .bind(block.hash.to_vec())
                .bind(block.parent.to_vec())
                .bind(block.time.micros());
            self.execute(statement).await?;
        }
        let oldest = columns::number(to.number, "chain_blocks.number")? - REMEMBERED;
        self.execute(sqlx::query("DELETE FROM chain_blocks WHERE number < ?").bind(oldest))
            .await?;
        Ok(())
    }

    /// The time of the newest remembered block up to this one.
    pub(super) async fn time_at(&mut self, block: i64) -> Result<Option<Timestamp>, StoreError> {
        let time = "SELECT time FROM chain_blocks WHERE number <= ? ORDER BY number DESC LIMIT 1";
        let row = self.optional(sqlx::query(time).bind(block)).await?;
        row.map(|row| Columns::of(&row).read("chain_blocks.time"))
            .transpose()
    }
}
