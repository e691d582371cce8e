//! [`SettlementStore`] on SQLite.
//!
//! A call waits for a batch while its usage record names none. Sealing gathers what waits, lets
//! billing build the batch, and stores it with the place of every call in it, in one transaction.

mod gather;
pub(crate) mod read;
mod write;

use crate::{columns::Columns, db::Db};
use async_trait::async_trait;
use haithe_billing::{
    batch::{Batch, BatchState, SealPolicy, Unsealed},
    ports::SettlementStore,
};
use haithe_kernel::{OrgId, StoreError, Timestamp};
use std::collections::HashSet;

/// [`SettlementStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteSettlementStore {
    db: Db,
}

impl SqliteSettlementStore {
    /// The settlements of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }

    fn suspended(&self) -> Result<HashSet<OrgId>, StoreError> {
        let state = self.db.money().lock()?;
        let suspended = state.orgs.iter().filter(|(_, money)| money.facts.suspended);
        Ok(suspended.map(|(org, _)| *org).collect())
    }
}

#[async_trait]
impl SettlementStore for SqliteSettlementStore {
    async fn unsealed(&self) -> Result<Unsealed, StoreError> {
        let waiting = "SELECT count(*) FILTER (WHERE skipped = 0),
                              coalesce(sum(charged) FILTER (WHERE skipped = 0), 0),
                              min(finished_at) FILTER (WHERE skipped = 0),
                              count(*) FILTER (WHERE skipped = 1)
                       FROM usage_records WHERE batch_seq IS NULL AND charged > 0";
        let Some(row) = self.db.optional(sqlx::query(waiting)).await? else {
            return Ok(Unsealed::default());
        };
        let mut columns = Columns::of(&row);
        Ok(Unsealed {
            items: columns.read("usage_records.id")?,
            amount: columns.read("usage_records.charged")?,
            oldest: columns.read("usage_records.finished_at")?,
            skipped: columns.read("usage_records.skipped")?,
        })
    }

    async fn open_batch(&self) -> Result<Option<(Batch, BatchState)>, StoreError> {
        let mut snapshot = self.db.snapshot().await?;
        match read::first_open(&mut snapshot).await? {
            Some(seq) => read::batch(&mut snapshot, seq).await,
            None => Ok(None),
        }
    }

    async fn seal(&self, policy: SealPolicy, now: Timestamp) -> Result<Option<Batch>, StoreError> {
        let store = self.clone();
        self.db
            .write(move |write| {
                Box::pin(async move {
                    if read::first_open(write.connection).await?.is_some() {
                        return Ok(None);
                    }
                    let suspended = store.suspended()?;
                    let Some(gathered) = gather::gather(write, &policy, &suspended).await? else {
                        return Ok(None);
                    };
                    write.seal(gathered, &policy, now).await.map(Some)
                })
            })
            .await
    }

    async fn batch(&self, seq: u64) -> Result<Option<(Batch, BatchState)>, StoreError> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(None);
        };
        let mut snapshot = self.db.snapshot().await?;
        read::batch(&mut snapshot, seq).await
    }
}
