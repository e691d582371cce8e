//! This process as one of the instances that share the database: its lease, its epoch, and the end of leases that
//! others do not renew.
//!
//! Every write of holds, captures and background work checks the epoch in its own transaction, by a lock that a
//! raise of the epoch waits for. An instance whose epoch was raised can write nothing more; it starts anew under
//! another number, and watchers of [`PgInstance::epochs`] end the work of the old one.

use crate::{
    columns::Columns,
    db::{Db, Statement},
    write::WriteTx,
};
use futures::FutureExt;
use haithe_billing::lease::{RENEWED_EVERY, is_expired};
use haithe_kernel::{StoreError, Timestamp};
use std::{
    error::Error,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Mutex, watch};

/// The number of an instance and its epoch. What was written under it counts while the epoch is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceEpoch {
    /// The instance.
    pub id: i64,
    /// How often its lease was ended, from 1 on.
    pub epoch: i64,
}

/// A write was refused because another instance has ended this one's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease of this instance was ended by another one")]
pub struct StaleEpoch;

impl StaleEpoch {
    /// Whether this is why the store failed.
    pub fn is_cause_of(error: &StoreError) -> bool {
        let mut cause = error.source();
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Microseconds since 1970, by the database's clock at the start of the transaction.
macro_rules! now {
    () => {
        "(extract(epoch FROM now()) * 1000000)::BIGINT"
    };
}
pub(crate) use now;

/// This process as an instance. Clones share it. Its lease is renewed every two seconds while a clone exists.
#[derive(Clone)]
pub struct PgInstance {
    shared: Arc<Shared>,
}

struct Shared {
    db: Db,
    current: watch::Sender<InstanceEpoch>,
    /// Of several tasks that find the lease lost, one starts anew.
    renewal: Mutex<()>,
    has_resigned: AtomicBool,
}

impl PgInstance {
    /// Registers this process and renews its lease from then on. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written.
    pub async fn start(db: &Db) -> Result<Self, StoreError> {
        let db = db.for_background();
        let first = register(&db).await?;
        let (current, _) = watch::channel(first);
        let shared = Arc::new(Shared {
            db,
            current,
            renewal: Mutex::new(()),
            has_resigned: AtomicBool::new(false),
        });
        tokio::spawn(renew(Arc::downgrade(&shared)));
        Ok(Self { shared })
    }

    /// What this process writes under.
    pub fn epoch(&self) -> InstanceEpoch {
        *self.shared.current.borrow()
    }

    /// Changes when this process has lost its lease and started anew: what it had promised before, holds and tasks
    /// of background work, is no longer its own.
    pub fn epochs(&self) -> watch::Receiver<InstanceEpoch> {
        self.shared.current.subscribe()
    }

    /// Renews the lease now, or starts anew when another instance has ended it.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written.
    pub async fn renew(&self) -> Result<(), StoreError> {
        self.shared.renew().await
    }

    /// Ends the leases of other instances that have expired; returns how many it ended.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written, or this instance's own lease was ended.
    pub async fn end_expired(&self) -> Result<u64, StoreError> {
        self.shared.end_expired().await
    }

    /// Ends this instance's lease in order: its holds are released at once, and what it writes later is refused.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be written; the lease expires by itself then.
    pub async fn resign(&self) -> Result<(), StoreError> {
        self.shared.has_resigned.store(true, Ordering::Release);
        let _renewal = self.shared.renewal.lock().await;
        let epoch = self.epoch();
        let resigned = self.shared.db.write_locking(epoch, |write, epoch| {
            async move {
                write.check_epoch(*epoch).await?;
                end(write, epoch.id).await
            }
            .boxed()
        });
        resigned.await
    }
}

impl Shared {
    async fn renew(&self) -> Result<(), StoreError> {
        let _renewal = self.renewal.lock().await;
        if self.has_resigned.load(Ordering::Acquire) {
            return Ok(());
        }
        let InstanceEpoch { id, epoch } = *self.current.borrow();
        let renew = concat!(
            "UPDATE instances SET renewed_at = ",
            now!(),
            " WHERE id = $1 AND epoch = $2"
        );
        let renewed = self.db.execute(|| sqlx::query(renew).bind(id).bind(epoch));
        if renewed.await? == 0 {
            let new = register(&self.db).await?;
            tracing::error!(
                instance = id,
                new_instance = new.id,
                "instance lost its lease and starts anew: its holds were released"
            );
            self.current.send_replace(new);
        }
        Ok(())
    }

    async fn end_expired(&self) -> Result<u64, StoreError> {
        let own = *self.current.borrow();
        let others = concat!(
            "SELECT id, renewed_at, ",
            now!(),
            " AS now FROM instances WHERE renewed_at IS NOT NULL AND id <> $1 ORDER BY id"
        );
        let mut ended = 0;
        for row in self.db.all(sqlx::query(others).bind(own.id)).await? {
            let columns = Columns::of(&row);
            if is_expired(
                columns.get("instances.renewed_at")?,
                columns.get_as("now", "instances.renewed_at")?,
            ) {
                ended += u64::from(self.end_one(own, columns.get("instances.id")?).await?);
            }
        }
        Ok(ended)
    }

    /// Ends the lease of one instance unless it was renewed or ended meanwhile.
    async fn end_one(&self, own: InstanceEpoch, other: i64) -> Result<bool, StoreError> {
        let ended = self.db.write_locking((own, other), |write, (own, other)| {
            async move {
                write.check_epoch(*own).await?;
                let lock = concat!(
                    "SELECT renewed_at, ",
                    now!(),
                    " AS now FROM instances WHERE id = $1 AND renewed_at IS NOT NULL FOR UPDATE"
                );
                let Some(row) = write.optional(sqlx::query(lock).bind(*other)).await? else {
                    return Ok(false);
                };
                let columns = Columns::of(&row);
                let (renewed, now) = (
                    columns.get("instances.renewed_at")?,
                    columns.get_as("now", "instances.renewed_at")?,
                );
                if !is_expired(renewed, now) {
                    return Ok(false);
                }
                end(write, *other).await?;
                Ok::<_, StoreError>(true)
            }
            .boxed()
        });
        let ended = ended.await?;
        if ended {
            tracing::warn!(
                instance = other,
                "lease of a silent instance ended; its holds were released"
            );
        }
        Ok(ended)
    }
}

/// Raises an instance's epoch and releases its holds.
async fn end(write: &mut WriteTx, id: i64) -> Result<(), StoreError> {
    // Before the holds: a transaction that adds one has locked this row, and is waited for.
    let lock = "SELECT id FROM instances WHERE id = $1 FOR UPDATE";
    write.execute(sqlx::query(lock).bind(id)).await?;
    let release = "DELETE FROM holds WHERE instance_id = $1";
    write.execute(sqlx::query(release).bind(id)).await?;
    let raise = "UPDATE instances SET epoch = epoch + 1, renewed_at = NULL WHERE id = $1";
    write.execute(sqlx::query(raise).bind(id)).await.map(drop)
}

async fn register(db: &Db) -> Result<InstanceEpoch, StoreError> {
    let insert = concat!(
        "INSERT INTO instances (started_at, renewed_at) VALUES (",
        now!(),
        ", ",
        now!(),
        ") RETURNING id, epoch"
    );
    let rows = db.change(|| sqlx::query(insert)).await?;
    let row = rows.first().ok_or(StoreError::inconsistent("instances.id"))?;
    let columns = Columns::of(row);
    Ok(InstanceEpoch {
        id: columns.get("instances.id")?,
        epoch: columns.get("instances.epoch")?,
    })
}

/// Renews the lease and ends expired ones, as long as the instance is in use.
async fn renew(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        let in_use = |shared: &Arc<Shared>| !shared.has_resigned.load(Ordering::Acquire);
        let Some(shared) = shared.upgrade().filter(in_use) else {
            return;
        };
        let renewed = match shared.renew().await {
            Ok(()) => shared.end_expired().await.map(drop),
            failed => failed,
        };
        if let Err(error) = renewed {
            if shared.db.pool().is_closed() {
                return;
            }
            tracing::warn!(
                error = &error as &dyn Error,
                "lease of this instance cannot be renewed"
            );
        }
    }
}

impl WriteTx {
    /// Checks that the epoch is current and keeps it so until the transaction ends; returns the database's time. The
    /// first statement of every transaction that writes for an instance.
    ///
    /// # Errors
    /// [`StaleEpoch`] as a [`StoreError`] when it is not current.
    pub(crate) async fn check_epoch(&mut self, epoch: InstanceEpoch) -> Result<Timestamp, StoreError> {
        let check = concat!(
            "SELECT ",
            now!(),
            " AS now FROM instances WHERE id = $1 AND epoch = $2 FOR KEY SHARE"
        );
        let statement: Statement = sqlx::query(check).bind(epoch.id).bind(epoch.epoch);
        match self.optional(statement).await? {
            Some(row) => Columns::of(&row).get_as("now", "instances.renewed_at"),
            None => Err(StoreError::new(StaleEpoch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_epoch_is_told_from_other_failures() {
        assert!(StaleEpoch::is_cause_of(&StoreError::new(StaleEpoch)));
        assert!(!StaleEpoch::is_cause_of(&StoreError::new(
            "the connection was closed"
        )));
    }
}
