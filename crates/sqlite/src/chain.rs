//! The index of the chain on SQLite.
//!
//! Every event is stored as it came and named by (transaction, log). What follows from it is decided by
//! [`haithe_billing::chain`] and written in the same transaction: [`transaction`] reads the views that its rules ask
//! for and writes the effects that they return, each in the file of its tables. Nothing is decided here.

mod alarms;
mod batches;
mod blocks;
mod deposits;
mod events;
mod organizations;
mod products;
mod roles;
mod stats;
mod transaction;
mod withdrawals;

pub use alarms::Alarm;
pub(crate) use events::{read as read_event, select_events};
pub use stats::SqliteChainStats;

use crate::{
    columns::{self, Columns},
    db::Db,
};
use async_trait::async_trait;
use haithe_billing::{
    chain::{self, BlockRef, IndexStep, StepEffects},
    ports::ChainIndex,
};
use haithe_kernel::{StoreError, WalletAddress};
use std::time::Duration;
use transaction::SqliteIndexTransaction;

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
        let insert = "INSERT INTO chain_binding (id, chain_id, orchestrator, start_block, decimals)
                      VALUES (1, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET id = id RETURNING chain_id, orchestrator";
        let statement = sqlx::query(insert)
            .bind(columns::number(chain_id, "chain_binding.chain_id")?)
            .bind(columns::address(orchestrator))
            .bind(columns::number(start, "chain_binding.start_block")?)
            .bind(self.db.decimals().digits());
        let rows = self.db.change(statement).await?;
        let row = rows.first().ok_or(StoreError::inconsistent("chain_binding.id"))?;
        let columns = Columns::of(row);
        let bound_chain: u64 = columns.get("chain_binding.chain_id")?;
        let bound_orchestrator: WalletAddress = columns.get("chain_binding.orchestrator")?;
        if (bound_chain, bound_orchestrator) == (chain_id, orchestrator) {
            return Ok(());
        }
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
        let seconds: Option<u64> = Columns::of(&row).get("chain_binding.withdrawal_delay")?;
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
            .map(|row| Columns::of(row).get("organizations.address"))
            .collect()
    }

    async fn apply(&self, step: IndexStep) -> Result<StepEffects, StoreError> {
        let decimals = self.db.decimals();
        self.db
            .write(move |write| {
                Box::pin(async move {
                    let to = step.to;
                    let mut index = SqliteIndexTransaction::new(write, decimals);
                    let effects = chain::apply(&mut index, decimals, step).await?;
                    index.finish(to).await?;
                    Ok(effects)
                })
            })
            .await
    }

    async fn rewind(&self, to: BlockRef) -> Result<(), StoreError> {
        let decimals = self.db.decimals();
        self.db
            .write(move |write| {
                Box::pin(async move {
                    let mut index = SqliteIndexTransaction::new(write, decimals);
                    chain::rewind(&mut index, decimals, to).await?;
                    index.finish(to).await
                })
            })
            .await
    }
}
