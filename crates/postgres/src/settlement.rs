//! [`SettlementStore`] on PostgreSQL.
//!
//! A call waits for a batch while its usage record names none. Sealing reads what `billing`'s gathering asks
//! for, lets it build the batch, and stores that with the place of every call in it, in one transaction that locks
//! the row of the chain's index, as a step of the index does.
//! All rules are `haithe_billing::batch`'s; this module reads what they need and writes what they return.

mod carry;
mod dissolve;
mod escrow;
mod gather;
mod payers;
mod read;
mod waiting;
mod write;

use crate::db::Db;
use async_trait::async_trait;
use haithe_billing::{
    batch::{Batch, BatchState, Gathering, SealPolicy, Sealing, UnsealableCharge, Unsealed, waiting_charges},
    chain::Hash32,
    ports::SettlementStore,
};
use haithe_kernel::{CallId, StoreError, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};

/// [`SettlementStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgSettlementStore {
    db: Db,
    /// The batches that were open when they were last read. They are read twice a second until they
    /// are final, may hold tens of thousands of calls, and never change.
    open: Arc<Mutex<Vec<Batch>>>,
}

impl PgSettlementStore {
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

    /// Excludes charges from all batches, and raises an alarm for each that is new.
    async fn exclude(&self, charges: Vec<UnsealableCharge>, reason: String) -> Result<(), StoreError> {
        let new: Vec<UnsealableCharge> = {
            let mut aside = self.db.set_aside();
            let is_new = |charge: &UnsealableCharge| aside.insert(charge.call);
            charges.into_iter().filter(is_new).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        self.db
            .write_locking((new, reason), |write, (charges, reason)| {
                Box::pin(waiting::alarm_unsealable(write, charges, reason))
            })
            .await
    }
}

/// How often sealing is tried while the data that it was built from keeps changing.
const ATTEMPTS: usize = 3;

enum Attempt {
    Sealed(Batch),
    /// Too many batches are open, or nothing waits.
    Nothing,
    Changed,
}

impl PgSettlementStore {
    /// Gathers and builds from a snapshot, and stores what was built if all of it is still so.
    async fn attempt(&self, policy: &SealPolicy, now: Timestamp) -> Result<Attempt, StoreError> {
        let aside = self.db.set_aside().clone();
        let mut snapshot = self.db.snapshot().await?;
        if !policy.may_open(read::open(&mut snapshot).await?.len()) {
            return Ok(Attempt::Nothing);
        }
        let aside = waiting::aside(&mut snapshot, &aside).await?;
        let groups = waiting::groups(&mut snapshot, &aside).await?;
        let mut payers = payers::payers(&mut snapshot).await?;
        payers.defer(&waiting_charges(groups, &payers.withdrawing), policy, now);
        let history = escrow::history(&mut snapshot).await?;
        payers.unpayable = history.unpayable();
        payers.probed = history.probed();
        let gathering = Gathering::new(*policy, now, payers, aside);
        let gathered = gather::gather(&mut snapshot, gathering).await?;
        let seq = read::next(&mut snapshot).await?;
        drop(snapshot);
        if !gathered.unsealable.is_empty() {
            self.exclude(gathered.unsealable, policy.unsealable_reason())
                .await?;
        }
        if gathered.input.is_empty() {
            return Ok(Attempt::Nothing);
        }
        let carry = gathered.input.carry.clone();
        let batch = Batch::build(seq, gathered.input, policy, now).map_err(StoreError::new)?;
        let sealing = Sealing::new(batch.clone(), gathered.places, carry, *policy);
        let stored = self
            .db
            .write_locking(sealing, |write, sealing| Box::pin(write::store(write, sealing)))
            .await?;
        Ok(if stored {
            Attempt::Sealed(batch)
        } else {
            Attempt::Changed
        })
    }
}

#[async_trait]
impl SettlementStore for PgSettlementStore {
    async fn unsealed(&self, policy: SealPolicy, now: Timestamp) -> Result<Unsealed, StoreError> {
        let aside = self.db.set_aside().clone();
        let mut snapshot = self.db.snapshot().await?;
        let payers = payers::payers(&mut snapshot).await?;
        let overdue = policy.overdue_carry(now, &payers.withdrawing);
        let aside = waiting::aside(&mut snapshot, &aside).await?;
        let groups = waiting::groups(&mut snapshot, &aside).await?;
        let overdue = carry::count_overdue(&mut snapshot, &overdue).await?;
        let escrow = escrow::accounts(&mut snapshot).await?;
        let orgs = waiting_charges(groups, &payers.withdrawing);
        Ok(Unsealed::of(orgs, overdue, escrow, &policy, now))
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
            "sealing gave up: the carry or the open batches changed during each attempt",
        ))
    }

    async fn dissolve(&self, seq: u64) -> Result<bool, StoreError> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(false);
        };
        self.db
            .write_locking(seq, |write, seq| Box::pin(dissolve::dissolve(write, *seq)))
            .await
    }

    async fn set_aside(&self, calls: Vec<CallId>, reason: String) -> Result<(), StoreError> {
        let mut snapshot = self.db.snapshot().await?;
        let mut charges = Vec::with_capacity(calls.len());
        for call in calls {
            charges.extend(waiting::charge(&mut snapshot, call).await?);
        }
        drop(snapshot);
        self.exclude(charges, reason).await
    }

    async fn batch(&self, seq: u64) -> Result<Option<(Batch, BatchState)>, StoreError> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(None);
        };
        let mut snapshot = self.db.snapshot().await?;
        read::batch(&mut snapshot, seq).await
    }
}
