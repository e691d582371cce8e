//! The handle that every store holds: connections by class, and statements that need no transaction.

use crate::{
    columns::Columns,
    retry::{Attempt, repeated},
};
use haithe_kernel::{CallId, Decimals, Listed, Page, StoreError};
use haithe_stores::ReadCounts;
use sqlx::{
    PgPool, Postgres, Transaction,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// A statement with its values.
pub(crate) type Statement = Query<'static, Postgres, PgArguments>;

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The directory's version, and how many rows of the log are part of it.
const VERSION: &str = "
    SELECT version + logged AS version, logged
    FROM changes CROSS JOIN (SELECT count(*) AS logged FROM change_log WHERE topic = 'directory') AS log
    WHERE topic = 'directory'";
/// Adds rows of the log to the version, which stays the same by that.
const FOLD: &str = "
    WITH folded AS (
        DELETE FROM change_log
        WHERE id IN (SELECT id FROM change_log WHERE topic = 'directory' ORDER BY id LIMIT $1) RETURNING id
    )
    UPDATE changes SET version = version + (SELECT count(*) FROM folded) WHERE topic = 'directory'";
/// Rows of the log that are folded together, once there are so many.
const FOLDED: i64 = 1_000;

/// An open database: three classes of connections, and the directory's version. Clones share it.
///
/// A store runs its statements on the class of the handle that it was made with: [`Db`] as it was opened serves
/// logins and paid calls; [`for_public`](Self::for_public) and [`for_background`](Self::for_background) give
/// handles whose statements wait for each other only.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
    class: ConnectionClass,
}

/// Whose statements run on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionClass {
    /// Logins, paid calls, and everything else that a credential asks for.
    Core,
    /// Requests without a credential.
    Public,
    /// Background tasks.
    Background,
}

/// The connections of each class.
pub(crate) struct Pools {
    pub(crate) core: PgPool,
    pub(crate) public: PgPool,
    pub(crate) background: PgPool,
}

pub(crate) struct Shared {
    pools: Pools,
    decimals: Decimals,
    /// The directory's version when it was last read.
    directory_seen: AtomicU64,
    /// Changes of the directory by this process.
    directory_own: AtomicU64,
    conflicts: AtomicU64,
    /// Reads on the connections of each class.
    reads: ReadCounters,
    /// Writes that wait for the database now.
    writes: AtomicUsize,
    /// Whether the last write failed for another reason than its data.
    unwritable: AtomicBool,
    /// Waiting calls that no batch can contain.
    aside: Mutex<BTreeSet<CallId>>,
}

#[derive(Default)]
struct ReadCounters {
    core: AtomicU64,
    public: AtomicU64,
    background: AtomicU64,
}

/// A write that waits for the database until this is dropped.
pub(crate) struct RunningWrite<'d>(&'d AtomicUsize);

impl Drop for RunningWrite<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn new(pools: Pools, decimals: Decimals) -> Self {
        Self {
            pools,
            decimals,
            directory_seen: AtomicU64::new(0),
            directory_own: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            reads: ReadCounters::default(),
            writes: AtomicUsize::new(0),
            unwritable: AtomicBool::new(false),
            aside: Mutex::default(),
        }
    }

    /// Reads the directory's version, which every instance changes.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let pool = &self.pools.background;
        let row = sqlx::query(VERSION).fetch_one(pool).await;
        let row = row.map_err(StoreError::new)?;
        let columns = Columns::of(&row);
        self.directory_seen
            .fetch_max(columns.get("changes.version")?, Ordering::AcqRel);
        if columns.get::<i64>("change_log.logged")? >= FOLDED {
            let folded = sqlx::query(FOLD).bind(FOLDED).execute(pool).await;
            folded.map_err(StoreError::new)?;
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        for pool in [&self.pools.core, &self.pools.public, &self.pools.background] {
            pool.close().await;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pools.background.is_closed()
    }
}

impl Db {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            class: ConnectionClass::Core,
        }
    }

    /// The same database for stores whose statements answer requests without a credential.
    #[must_use]
    pub fn for_public(&self) -> Self {
        self.of_class(ConnectionClass::Public)
    }

    /// The same database for stores that only background tasks use.
    #[must_use]
    pub fn for_background(&self) -> Self {
        self.of_class(ConnectionClass::Background)
    }

    fn of_class(&self, class: ConnectionClass) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            class,
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        let pools = &self.shared.pools;
        match self.class {
            ConnectionClass::Core => &pools.core,
            ConnectionClass::Public => &pools.public,
            ConnectionClass::Background => &pools.background,
        }
    }

    /// Closes all connections, after the statements that run on them. Everything asked afterwards fails.
    pub async fn close(&self) {
        self.shared.close().await;
    }

    /// Reads the versions of what other instances change, which a task of this process does twice a second.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.shared.refresh().await
    }

    /// Takes note of a change of the directory that this process has committed.
    pub(crate) fn directory_changed(&self) {
        self.shared.directory_own.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the connections are closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Whether the last write that this process tried was not refused by the database itself.
    pub(crate) fn is_writable(&self) -> bool {
        !self.shared.unwritable.load(Ordering::Relaxed)
    }

    /// Notes what became of a write.
    pub(crate) fn note_write(&self, stored: bool) {
        self.shared.unwritable.store(!stored, Ordering::Relaxed);
    }

    /// How many writes of this process wait for the database.
    pub(crate) fn running_writes(&self) -> usize {
        self.shared.writes.load(Ordering::Relaxed)
    }

    /// Counts a write among those that wait.
    pub(crate) fn running_write(&self) -> RunningWrite<'_> {
        self.shared.writes.fetch_add(1, Ordering::Relaxed);
        RunningWrite(&self.shared.writes)
    }

    /// How many reads ran on the connections of each class since the database was opened.
    pub fn reads(&self) -> ReadCounts {
        let ReadCounters {
            core,
            public,
            background,
        } = &self.shared.reads;
        ReadCounts {
            core: core.load(Ordering::Relaxed),
            public: public.load(Ordering::Relaxed),
            background: background.load(Ordering::Relaxed),
        }
    }

    fn count_read(&self) {
        let reads = &self.shared.reads;
        let reads = match self.class {
            ConnectionClass::Core => &reads.core,
            ConnectionClass::Public => &reads.public,
            ConnectionClass::Background => &reads.background,
        };
        reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How many transactions were run again because of concurrent ones since the database was opened.
    pub fn conflicts(&self) -> u64 {
        self.shared.conflicts.load(Ordering::Relaxed)
    }

    /// The waiting calls that this process excludes from all batches.
    pub(crate) fn set_aside(&self) -> MutexGuard<'_, BTreeSet<CallId>> {
        self.shared.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn decimals(&self) -> Decimals {
        self.shared.decimals
    }

    /// Grows with every change of the directory: by this process at once, and again when it is read.
    pub(crate) fn directory_version(&self) -> u64 {
        let seen = self.shared.directory_seen.load(Ordering::Acquire);
        seen + self.shared.directory_own.load(Ordering::Acquire)
    }

    /// The rows of a reading statement.
    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<PgRow>, StoreError> {
        self.count_read();
        statement.fetch_all(self.pool()).await.map_err(StoreError::new)
    }

    /// The first row of a reading statement.
    pub(crate) async fn optional(&self, statement: Statement) -> Result<Option<PgRow>, StoreError> {
        self.count_read();
        let row = statement.fetch_optional(self.pool()).await;
        row.map_err(StoreError::new)
    }

    /// A reading transaction, in which everything is as it was at its first statement.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.count_read();
        let begun = self.pool().begin_with(SNAPSHOT).await;
        begun.map_err(StoreError::new)
    }

    /// One page of a list: its rows, and how many there are in all (`count`, a column of that name), both of one
    /// moment. Rows are counted only if the page does not show how many there are.
    pub(crate) async fn listed<T>(
        &self,
        count: Statement,
        (rows, page): (Statement, Page),
        read: impl Fn(&PgRow) -> Result<T, StoreError>,
    ) -> Result<Listed<T>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let rows = rows
            .bind(i64::from(page.limit()))
            .bind(i64::from(page.offset()))
            .fetch_all(&mut *snapshot)
            .await
            .map_err(StoreError::new)?;
        let total = match total_of(page, rows.len()) {
            Some(total) => total,
            None => {
                let count = count.fetch_one(&mut *snapshot).await.map_err(StoreError::new)?;
                Columns::of(&count).get("rows.count")?
            }
        };
        Ok(Listed {
            items: rows.iter().map(read).collect::<Result<_, _>>()?,
            total,
        })
    }

    /// One writing statement, a transaction of its own; returns its rows. Its row locks must suffice for its
    /// decision.
    pub(crate) async fn change(&self, statement: impl Fn() -> Statement) -> Result<Vec<PgRow>, StoreError> {
        let _running = self.running_write();
        let run = || async {
            let rows = statement().fetch_all(self.pool()).await;
            self.counted(Attempt::of(rows))
        };
        repeated(run).await.and_then(|rows| rows).map_err(StoreError::new)
    }

    /// One writing statement, a transaction of its own; returns how many rows it changed. Its row locks must
    /// suffice for its decision.
    pub(crate) async fn execute(&self, statement: impl Fn() -> Statement) -> Result<u64, StoreError> {
        let _running = self.running_write();
        let run = || async {
            let done = statement().execute(self.pool()).await;
            self.counted(Attempt::of(done))
        };
        let done = repeated(run).await.and_then(|done| done);
        done.map(|done| done.rows_affected()).map_err(StoreError::new)
    }

    pub(crate) fn counted<T>(&self, attempt: Attempt<T>) -> Attempt<T> {
        if matches!(attempt, Attempt::Conflict(_)) {
            self.shared.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        attempt
    }
}

/// How long a list is, if a page with this many rows shows it.
fn total_of(page: Page, rows: usize) -> Option<u64> {
    let rows = u64::try_from(rows).ok()?;
    let shows_the_end = rows < u64::from(page.limit()) && (rows > 0 || page.offset() == 0);
    shows_the_end.then(|| u64::from(page.offset()) + rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_the_length_of_a_list_that_ends_on_it() {
        let page = |limit, offset| Page::new(limit, offset).unwrap();
        assert_eq!(total_of(page(10, 0), 0), Some(0));
        assert_eq!(total_of(page(10, 0), 3), Some(3));
        assert_eq!(total_of(page(10, 20), 3), Some(23));
        assert_eq!(total_of(page(10, 0), 10), None);
        assert_eq!(total_of(page(10, 20), 0), None);
    }
}
