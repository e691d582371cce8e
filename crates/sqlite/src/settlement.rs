//! [`SettlementStore`] on SQLite.
//!
//! A call waits for a batch while its usage record names none. Sealing offers what waits to billing's
//! sealer, page by page, lets billing build the batch, and stores it with the place of every call in
//! it, in one transaction.

mod carry;
mod dissolve;
mod escrow;
mod gather;
pub(crate) mod read;
mod waiting;
mod write;

use crate::{columns::Columns, db::Db};
use async_trait::async_trait;
use haithe_billing::{
    batch::{Batch, BatchState, Payers, SealPolicy, Unsealed},
    chain::Hash32,
    ports::SettlementStore,
};
use haithe_kernel::{CallId, StoreError, Timestamp};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// [`SettlementStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteSettlementStore {
    db: Db,
    /// The batches that were open when they were last read. They are read twice a second until they
    /// are final, may hold tens of thousands of calls, and never change.
    open: Arc<Mutex<Vec<Batch>>>,
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
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open
            .iter()
            .find(|known| u64::try_from(seq) == Ok(known.seq) && known.root == root);
        known.cloned()
    }

    fn aside(&self) -> Result<BTreeSet<i64>, StoreError> {
        Ok(self.db.money().lock()?.aside.clone())
    }

    fn payers(&self) -> Result<Payers, StoreError> {
        let state = self.db.money().lock()?;
        let mut payers = Payers::default();
        for (org, money) in &state.orgs {
            if money.facts.suspended {
                payers.suspended.insert(*org);
            }
            if money.withdrawing > 0 {
                payers.withdrawing.insert(*org);
            }
        }
        Ok(payers)
    }

    /// Excludes usage records from all batches, and raises an alarm for each that is new.
    async fn exclude(&self, usage: BTreeSet<i64>, reason: String) -> Result<(), StoreError> {
        let new: Vec<i64> = {
            let mut state = self.db.money().lock()?;
            usage.into_iter().filter(|id| state.aside.insert(*id)).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        let now = self.db.read_only().now();
        self.db
            .write(move |write| Box::pin(async move { write.alarm_unsealable(&new, &reason, now).await }))
            .await
    }
}

/// How often sealing starts over because what it gathered has changed meanwhile.
const ATTEMPTS: usize = 3;

enum Attempt {
    Sealed(Batch),
    /// Too many batches are open, or nothing waits.
    Nothing,
    Changed,
}

impl SqliteSettlementStore {
    /// Gathers and builds beside the writer, which captures wait for, and stores what was built if
    /// all of it is still so.
    async fn attempt(&self, policy: &SealPolicy, now: Timestamp) -> Result<Attempt, StoreError> {
        let mut payers = self.payers()?;
        let aside = self.aside()?;
        let mut snapshot = self.db.snapshot().await?;
        if read::open(&mut snapshot).await?.len() >= max_open(policy) {
            return Ok(Attempt::Nothing);
        }
        let waiting = waiting::by_org(&mut snapshot, &aside, &payers).await?;
        payers.deferred = waiting
            .iter()
            .filter(|waiting| policy.defers(waiting, now))
            .map(|waiting| waiting.org)
            .collect();
        payers.unpayable = escrow::unpayable(&mut snapshot).await?;
        payers.probed = escrow::probed(&mut snapshot).await?;
        let gathered = gather::gather(&mut snapshot, policy, now, payers, &aside).await?;
        if !gathered.unsealable.is_empty() {
            let most = policy.max_credits_per_line;
            let reason = format!("it pays more payees than a line can hold (at most {most})");
            self.exclude(gathered.unsealable.clone(), reason).await?;
        }
        let input = &gathered.input;
        if input.items.is_empty() && input.carried.is_empty() && input.payouts.is_empty() {
            return Ok(Attempt::Nothing);
        }
        let seq = read::next(&mut snapshot).await?;
        drop(snapshot);
        let carry = gathered.input.carry.clone();
        let batch = Batch::build(seq, gathered.input, policy, now).map_err(StoreError::new)?;
        let sealing = write::Sealing {
            batch: batch.clone(),
            usage: gathered.usage,
            carry,
            max_open: max_open(policy),
        };
        let stored = self.db.write(move |write| Box::pin(sealing.store(write))).await?;
        Ok(if stored {
            Attempt::Sealed(batch)
        } else {
            Attempt::Changed
        })
    }
}

fn max_open(policy: &SealPolicy) -> usize {
    usize::try_from(policy.max_open).unwrap_or(usize::MAX)
}

#[async_trait]
impl SettlementStore for SqliteSettlementStore {
    async fn unsealed(&self, policy: SealPolicy, now: Timestamp) -> Result<Unsealed, StoreError> {
        let (aside, payers) = (self.aside()?, self.payers()?);
        let mut snapshot = self.db.snapshot().await?;
        Ok(Unsealed {
            orgs: waiting::by_org(&mut snapshot, &aside, &payers).await?,
            overdue: carry::count_overdue(&mut snapshot, &policy, now, &payers.withdrawing).await?
                + u64::try_from(escrow::payouts(&mut snapshot, &policy, now).await?.len()).unwrap_or(0),
        })
    }

    async fn open_batches(&self) -> Result<Vec<(Batch, BatchState)>, StoreError> {
        let mut snapshot = self.db.snapshot().await?;
        let mut open = Vec::new();
        for seq in read::open(&mut snapshot).await? {
            let Some(head) = read::head(&mut snapshot, seq).await? else {
                continue;
            };
            let state = head.state;
            let batch = match self.known(seq, head.root) {
                Some(known) => known,
                None => read::whole(&mut snapshot, seq, head).await?,
            };
            open.push((batch, state));
        }
        let known = open.iter().map(|(batch, _)| batch.clone()).collect();
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(open)
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

    async fn dissolve(&self, seq: u64) -> Result<bool, StoreError> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(false);
        };
        self.db
            .write(move |write| Box::pin(dissolve::dissolve(write, seq)))
            .await
    }

    async fn set_aside(&self, calls: Vec<CallId>, reason: String) -> Result<(), StoreError> {
        let mut usage = BTreeSet::new();
        for call in calls {
            let id = "SELECT id FROM usage_records WHERE call = ? AND batch_seq IS NULL";
            let call = crate::columns::uuid(call.0);
            if let Some(row) = self.db.optional(sqlx::query(id).bind(call)).await? {
                usage.insert(Columns::of(&row).read("usage_records.id")?);
            }
        }
        self.exclude(usage, reason).await
    }

    async fn batch(&self, seq: u64) -> Result<Option<(Batch, BatchState)>, StoreError> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(None);
        };
        let mut snapshot = self.db.snapshot().await?;
        read::batch(&mut snapshot, seq).await
    }
}
