//! The index of the chain on PostgreSQL.
//!
//! Every event is stored as it came and named by (transaction, log). What follows from it is decided by
//! [`haithe_billing::chain`] and written in the same transaction: [`transaction`] reads the views that its rules ask
//! for and writes the effects that they return, each in the file of its tables. Nothing is decided here.
//!
//! The transaction is `READ COMMITTED`: it locks the row of the index first, then the books of the organizations that
//! it changes, so that no hold or capture decides on facts that are about to change.

mod alarms;
mod batches;
mod blocks;
mod books;
mod deposits;
mod events;
mod listing;
mod organizations;
mod products;
mod roles;
mod stats;
mod transaction;
mod withdrawals;

pub use alarms::Alarm;
pub(crate) use events::{read as read_event, select_events};
pub use stats::PgChainStats;

use crate::{
    columns::{self, Columns},
    db::Db,
    lease::Duty,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_billing::{
    chain::{self, BlockRef, IndexStep, StepEffects},
    ports::ChainIndex,
};
use haithe_kernel::{Decimals, StoreError, WalletAddress};
use std::time::Duration;
use transaction::PgIndexTransaction;

/// [`ChainIndex`] on PostgreSQL.
#[derive(Clone)]
pub struct PgChainIndex {
    db: Db,
}

impl PgChainIndex {
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

const BIND: &str = "
    INSERT INTO chain_binding (id, chain_id, orchestrator, start_block, decimals) VALUES (1, $1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET id = chain_binding.id RETURNING id, chain_id, orchestrator";

#[async_trait]
impl ChainIndex for PgChainIndex {
    async fn bind(&self, chain_id: u64, orchestrator: WalletAddress, start: u64) -> Result<(), StoreError> {
        let chain = columns::number(chain_id, "chain_binding.chain_id")?;
        let start = columns::number(start, "chain_binding.start_block")?;
        let rows = self.db.change(|| {
            sqlx::query(BIND)
                .bind(chain)
                .bind(columns::address(orchestrator))
                .bind(start)
                .bind(i64::from(self.db.decimals().digits()))
        });
        let rows = rows.await?;
        let row = rows.first().ok_or(StoreError::inconsistent("chain_binding.id"))?;
        let columns = Columns::of(row);
        let bound_chain: u64 = columns.get("chain_binding.chain_id")?;
        let bound_orchestrator: WalletAddress = columns.get("chain_binding.orchestrator")?;
        if (bound_chain, bound_orchestrator) == (chain_id, orchestrator) {
            return Ok(());
        }
        Err(StoreError::new(format!(
            "this database belongs to orchestrator {bound_orchestrator} on chain {bound_chain}, \
             not to {orchestrator} on chain {chain_id}; use another database"
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
        let record = "UPDATE chain_binding SET withdrawal_delay = $1";
        let recorded = self.db.execute(|| sqlx::query(record).bind(seconds));
        recorded.await.map(drop)
    }

    async fn checkpoint(&self) -> Result<Option<BlockRef>, StoreError> {
        Ok(self.recent(1).await?.first().copied())
    }

    async fn recent(&self, limit: u32) -> Result<Vec<BlockRef>, StoreError> {
        let recent = "SELECT number, hash, parent, time FROM chain_blocks ORDER BY number DESC LIMIT $1";
        self.db
            .all(sqlx::query(recent).bind(i64::from(limit)))
            .await?
            .iter()
            .map(blocks::read)
            .collect()
    }

    async fn organizations(&self) -> Result<Vec<WalletAddress>, StoreError> {
        let all = "SELECT address FROM organizations WHERE on_chain ORDER BY id";
        let rows = self.db.all(sqlx::query(all)).await?;
        rows.iter()
            .map(|row| Columns::of(row).get("organizations.address"))
            .collect()
    }

    async fn apply(&self, step: IndexStep) -> Result<StepEffects, StoreError> {
        let input = (step, self.db.decimals());
        self.db
            .write_locking(input, |write, (step, decimals)| {
                Box::pin(apply(write, step, *decimals))
            })
            .await
    }

    async fn rewind(&self, to: BlockRef) -> Result<(), StoreError> {
        let input = (to, self.db.decimals());
        self.db
            .write_locking(input, |write, (to, decimals)| {
                Box::pin(rewind(write, *to, *decimals))
            })
            .await
    }
}

async fn apply(write: &mut WriteTx, step: &IndexStep, decimals: Decimals) -> Result<StepEffects, StoreError> {
    write.current_lease(Duty::Index).await?;
    let mut index = PgIndexTransaction::of_step(write, step).await?;
    chain::apply(&mut index, decimals, step.clone()).await
}

async fn rewind(write: &mut WriteTx, to: BlockRef, decimals: Decimals) -> Result<(), StoreError> {
    write.current_lease(Duty::Index).await?;
    let mut index = PgIndexTransaction::of_rewind(write).await?;
    chain::rewind(&mut index, decimals, to).await
}
