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
    chain::Hash32,
    ports::SettlementStore,
};
use haithe_kernel::{OrgId, StoreError, Timestamp};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

/// [`SettlementStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteSettlementStore {
    db: Db,
    /// The batch that was open when somebody last asked. It is asked for twice a second until it is
    /// final, may hold tens of thousands of calls, and never changes.
    open: Arc<Mutex<Option<Batch>>>,
}

impl SqliteSettlementStore {
    /// The settlements of this database.
    pub fn new(db: &Db) -> Self {
        Self {
            db: db.clone(),
            open: Arc::default(),
        }
    }

    fn known(&self, seq: i64, root: Hash32) -> Option<Batch> {
        let open = self.open.lock().ok()?;
        let known = open.as_ref()?;
        (u64::try_from(seq) == Ok(known.seq) && known.root == root).then(|| known.clone())
    }

    fn remember(&self, batch: Option<&Batch>) {
        if let Ok(mut open) = self.open.lock() {
            *open = batch.cloned();
        }
    }

    fn suspended(&self) -> Result<HashSet<OrgId>, StoreError> {
        let state = self.db.money().lock()?;
        let suspended = state.orgs.iter().filter(|(_, money)| money.facts.suspended);
        Ok(suspended.map(|(org, _)| *org).collect())
    }
}

/// How often sealing starts over because what it gathered has changed meanwhile.
const ATTEMPTS: usize = 3;

enum Attempt {
    Sealed(Batch),
    /// A batch is open, or nothing waits.
    Nothing,
    Changed,
}

impl SqliteSettlementStore {
    /// Gathers and builds beside the writer, which captures wait for, and stores what was built if
    /// all of it is still so.
    async fn attempt(&self, policy: &SealPolicy, now: Timestamp) -> Result<Attempt, StoreError> {
        let suspended = self.suspended()?;
        let mut snapshot = self.db.snapshot().await?;
        if read::first_open(&mut snapshot).await?.is_some() {
            return Ok(Attempt::Nothing);
        }
        let Some(gathered) = gather::gather(&mut snapshot, policy, &suspended).await? else {
            return Ok(Attempt::Nothing);
        };
        let seq = read::next(&mut snapshot).await?;
        drop(snapshot);
        let carry = gathered.input.carry.clone();
        let batch = Batch::build(seq, gathered.input, policy, now).map_err(StoreError::new)?;
        let sealing = write::Sealing {
            batch: batch.clone(),
            usage: gathered.usage,
            carry,
        };
        let stored = self.db.write(move |write| Box::pin(sealing.store(write))).await?;
        Ok(if stored {
            Attempt::Sealed(batch)
        } else {
            Attempt::Changed
        })
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
        let Some(seq) = read::first_open(&mut snapshot).await? else {
            self.remember(None);
            return Ok(None);
        };
        let Some(head) = read::head(&mut snapshot, seq).await? else {
            return Ok(None);
        };
        let state = head.state;
        if let Some(known) = self.known(seq, head.root) {
            return Ok(Some((known, state)));
        }
        let batch = read::whole(&mut snapshot, seq, head).await?;
        self.remember(Some(&batch));
        Ok(Some((batch, state)))
    }

    async fn seal(&self, policy: SealPolicy, now: Timestamp) -> Result<Option<Batch>, StoreError> {
        for _ in 0..ATTEMPTS {
            match self.attempt(&policy, now).await? {
                Attempt::Sealed(batch) => return Ok(Some(batch)),
                Attempt::Nothing => return Ok(None),
                Attempt::Changed => {}
            }
        }
        Err(StoreError::new(
            "what waits for a batch changes faster than it can be sealed",
        ))
    }

    async fn batch(&self, seq: u64) -> Result<Option<(Batch, BatchState)>, StoreError> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(None);
        };
        let mut snapshot = self.db.snapshot().await?;
        read::batch(&mut snapshot, seq).await
    }
}
