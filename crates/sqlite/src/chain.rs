//! The index of the chain.
//!
//! Every event is stored as it came and named by (transaction, log). What follows from it is written
//! in the same transaction: directory rows at [first sight](directory), frozen
//! [withdrawals](withdrawals) too, [deposits](deposits) once confirmed, [batches](batches), executed
//! withdrawals and [payouts](payouts) once final. [Undoing](rewind) a block reverses the ledger
//! entries that name it, forgets its events and derives the rows they touched again from the events
//! that remain. A value that is out of range, and an event about something unknown, harms only its
//! own row; what must not be raises an [alarm](alarms) and is never repaired here.

mod alarms;
mod batches;
mod blocks;
mod deposits;
mod directory;
mod events;
mod organizations;
mod pauses;
mod payouts;
mod products;
mod rewind;
mod roles;
mod stats;
mod step;
mod withdrawals;

pub use alarms::Alarm;
pub(crate) use events::{Stored, read as read_event, select_events};
pub(crate) use pauses::Paused;
pub use stats::SqliteChainStats;

use crate::{
    columns::{self, Columns},
    db::Db,
};
use async_trait::async_trait;
use haithe_billing::{
    chain::{BlockRef, IndexStep, StepEffects},
    ports::ChainIndex,
};
use haithe_kernel::{StoreError, WalletAddress};
use std::time::Duration;

/// [`ChainIndex`] on SQLite.
#[derive(Clone)]
pub struct SqliteChainIndex {
    db: Db,
}

impl SqliteChainIndex {
    /// The index in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }

    /// What must not be and cannot be repaired here, newest first. Empty, unless the operator must look.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        alarms::all(&self.db).await
    }
}

#[async_trait]
impl ChainIndex for SqliteChainIndex {
    async fn bind(&self, chain_id: u64, orchestrator: WalletAddress, start: u64) -> Result<(), StoreError> {
        let chain_id = columns::number(chain_id, "chain_binding.chain_id")?;
        let insert = "INSERT INTO chain_binding (id, chain_id, orchestrator, start_block, decimals)
                      VALUES (1, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET id = id RETURNING chain_id, orchestrator";
        let statement = sqlx::query(insert)
            .bind(chain_id)
            .bind(columns::address(orchestrator))
            .bind(columns::number(start, "chain_binding.start_block")?)
            .bind(self.db.decimals().digits());
        let rows = self.db.change(statement).await?;
        let row = rows.first().ok_or(StoreError::inconsistent("chain_binding.id"))?;
        let mut columns = Columns::of(row);
        let bound: (i64, WalletAddress) = (
            columns.read("chain_binding.chain_id")?,
            columns.read("chain_binding.orchestrator")?,
        );
        if bound == (chain_id, orchestrator) {
            return Ok(());
        }
        let (bound_chain, bound_orchestrator) = bound;
        Err(StoreError::new(format!(
            "this database belongs to orchestrator {bound_orchestrator} on chain {bound_chain}, \
             not to {orchestrator} on chain {chain_id}; use another database file"
        )))
    }

    async fn withdrawal_delay(&self) -> Result<Option<Duration>, StoreError> {
        let row = self
            .db
            .optional(sqlx::query("SELECT withdrawal_delay FROM chain_binding"))
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let seconds: Option<i64> = Columns::of(&row).read("chain_binding.withdrawal_delay")?;
        let seconds = seconds.map(u64::try_from).transpose();
        let seconds = seconds.map_err(|_| StoreError::inconsistent("chain_binding.withdrawal_delay"))?;
        Ok(seconds.map(Duration::from_secs))
    }

    async fn record_withdrawal_delay(&self, delay: Duration) -> Result<(), StoreError> {
        let seconds = columns::number(delay.as_secs(), "chain_binding.withdrawal_delay")?;
        let statement = sqlx::query("UPDATE chain_binding SET withdrawal_delay = ?").bind(seconds);
        self.db.execute(statement).await.map(drop)
    }

    async fn checkpoint(&self) -> Result<Option<BlockRef>, StoreError> {
        Ok(self.recent(1).await?.first().copied())
    }

    async fn recent(&self, limit: u32) -> Result<Vec<BlockRef>, StoreError> {
        let recent = "SELECT number, hash, parent, time FROM chain_blocks ORDER BY number DESC LIMIT ?";
        self.db
            .all(sqlx::query(recent).bind(limit))
            .await?
            .iter()
            .map(blocks::read)
            .collect()
    }

    async fn organizations(&self) -> Result<Vec<WalletAddress>, StoreError> {
        let all = "SELECT address FROM organizations WHERE on_chain = 1 ORDER BY id";
        let rows = self.db.all(sqlx::query(all)).await?;
        rows.iter()
            .map(|row| Columns::of(row).read("organizations.address"))
            .collect()
    }

    async fn apply(&self, step: IndexStep) -> Result<StepEffects, StoreError> {
        let scale = self.db.scale();
        self.db
            .write(move |write| Box::pin(step::apply(write, scale, step)))
            .await
    }

    async fn rewind(&self, to: BlockRef) -> Result<(), StoreError> {
        let scale = self.db.scale();
        self.db
            .write(move |write| Box::pin(rewind::rewind(write, scale, to)))
            .await
    }
}
