//! The handle that every store holds.

use crate::{
    columns::Columns,
    ledger::{
        accounts::{AccountChanges, AccountTable, Accounts},
        memory::{Money, stopped},
        scale::Scale,
    },
    writer::{Effects, Job, Work, Writer, blames_the_disk},
};
use futures::{FutureExt, future::BoxFuture};
use haithe_kernel::{CallId, Clock, Decimals, Listed, StoreError, Timestamp};
use haithe_stores::ReadCounts;
use sqlx::{
    Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

/// A statement with its values.
pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// An open database: one writer, three classes of readers, and the ledger in memory. Clones share it.
///
/// A store reads on the class of the handle that it was made with: [`Db`] as it was opened reads for logins and
/// paid calls; [`for_public`](Self::for_public) and [`for_background`](Self::for_background) give handles
/// whose reads wait for each other only.
///
/// When the last clone is gone the writer finishes what is queued and lets the file go;
/// [`close`](Self::close) does the same and waits for it.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
    class: ReaderClass,
}

/// Whose reads run on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderClass {
    /// Logins, paid calls, and everything else that a credential asks for.
    Core,
    /// Requests without a credential.
    Public,
    /// Background tasks.
    Background,
}

/// The connections of each class.
pub(crate) struct Readers {
    pub(crate) core: ReadOnlyDb,
    pub(crate) public: ReadOnlyDb,
    pub(crate) background: ReadOnlyDb,
}

struct Shared {
    queue: mpsc::Sender<Work>,
    readers: Readers,
    money: Arc<Money>,
    directory: Arc<AtomicU64>,
    decimals: Decimals,
    /// Calls that no batch can contain, as far as this process found them.
    aside: Mutex<BTreeSet<CallId>>,
}

/// The database for reading only; [`open`](Self::open) it beside a running server, or take it
/// [from an open one](Db::read_only).
#[derive(Clone)]
pub struct ReadOnlyDb {
    pool: SqlitePool,
    clock: Arc<dyn Clock>,
    reads: Arc<AtomicU64>,
}

impl ReadOnlyDb {
    pub(crate) fn new(pool: SqlitePool, clock: Arc<dyn Clock>) -> Self {
        Self {
            pool,
            clock,
            reads: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn count(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// The rows of a reading statement.
    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        self.count();
        statement.fetch_all(&self.pool).await.map_err(StoreError::new)
    }

    /// The first row of a reading statement.
    pub(crate) async fn optional(&self, statement: Statement) -> Result<Option<SqliteRow>, StoreError> {
        self.count();
        statement
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::new)
    }

    /// A reading transaction, in which everything is as it was at its first statement.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.count();
        self.pool.begin_with("BEGIN").await.map_err(StoreError::new)
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A write transaction, begun `IMMEDIATE`. What it means for the memory is applied once it is committed.
pub(crate) struct WriteTx<'c> {
    pub(crate) connection: &'c mut SqliteConnection,
    pub(crate) effects: Effects,
    /// The ledger's accounts as this transaction leaves them.
    pub(crate) accounts: Accounts<'c>,
    pub(crate) next_transaction: i64,
    /// A statement failed because of the disk.
    disk_failed: bool,
}

impl WriteTx<'_> {
    fn failed(&mut self, error: sqlx::Error) -> StoreError {
        self.disk_failed |= blames_the_disk(&error);
        StoreError::new(error)
    }

    /// Runs a statement; gives how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = statement.execute(&mut *self.connection).await;
        Ok(done.map_err(|error| self.failed(error))?.rows_affected())
    }

    /// Runs a statement; gives its rows.
    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        let rows = statement.fetch_all(&mut *self.connection).await;
        rows.map_err(|error| self.failed(error))
    }

    /// Runs a statement; gives its first row.
    pub(crate) async fn optional(&mut self, statement: Statement) -> Result<Option<SqliteRow>, StoreError> {
        let row = statement.fetch_optional(&mut *self.connection).await;
        row.map_err(|error| self.failed(error))
    }
}

impl Db {
    pub(crate) fn new(
        queue: mpsc::Sender<Work>,
        readers: Readers,
        money: Arc<Money>,
        directory: Arc<AtomicU64>,
        decimals: Decimals,
    ) -> Self {
        let shared = Shared {
            queue,
            readers,
            money,
            directory,
            decimals,
            aside: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            class: ReaderClass::Core,
        }
    }

    /// The same database for stores whose reads answer requests without a credential.
    #[must_use]
    pub fn for_public(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            class: ReaderClass::Public,
        }
    }

    /// The same database for stores that only background tasks read.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            class: ReaderClass::Background,
        }
    }

    fn reader(&self) -> &ReadOnlyDb {
        let readers = &self.shared.readers;
        match self.class {
            ReaderClass::Core => &readers.core,
            ReaderClass::Public => &readers.public,
            ReaderClass::Background => &readers.background,
        }
    }

    /// The same database, on connections of the same class, for code that only reads.
    pub fn read_only(&self) -> ReadOnlyDb {
        self.reader().clone()
    }

    /// How many reads ran on the connections of each class.
    pub fn reads(&self) -> ReadCounts {
        let Readers {
            core,
            public,
            background,
        } = &self.shared.readers;
        let count = |reader: &ReadOnlyDb| reader.reads.load(Ordering::Relaxed);
        ReadCounts {
            core: count(core),
            public: count(public),
            background: count(background),
        }
    }

    /// Whether the writer lives. After its end every decision about money is refused.
    pub fn is_healthy(&self) -> bool {
        !self.shared.queue.is_closed() && self.shared.money.lock().is_ok()
    }

    /// How many writes wait for the writer; beyond 1,024, callers wait for a place.
    pub fn waiting_writes(&self) -> usize {
        let queue = &self.shared.queue;
        queue.max_capacity().saturating_sub(queue.capacity())
    }

    /// Finishes what is queued, closes the file and gives up the lock. Everything asked afterwards fails.
    ///
    /// # Errors
    /// [`StoreError`] when the writer had ended before, or the file could not be closed.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (answer, wait) = oneshot::channel();
        self.queue()
            .send(Work::Close(answer))
            .await
            .map_err(|_| stopped())?;
        let readers = &self.shared.readers;
        for reader in [&readers.core, &readers.public, &readers.background] {
            reader.close().await;
        }
        wait.await.map_err(|_| stopped())?
    }

    pub(crate) fn queue(&self) -> &mpsc::Sender<Work> {
        &self.shared.queue
    }

    pub(crate) fn money(&self) -> &Arc<Money> {
        &self.shared.money
    }

    /// Calls that are excluded from all batches until the process starts again.
    pub(crate) fn set_aside(&self) -> MutexGuard<'_, BTreeSet<CallId>> {
        let aside = &self.shared.aside;
        aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn decimals(&self) -> Decimals {
        self.shared.decimals
    }

    pub(crate) fn scale(&self) -> Scale {
        Scale::of(self.shared.decimals)
    }

    pub(crate) fn directory_version(&self) -> u64 {
        self.shared.directory.load(Ordering::Acquire)
    }

    /// The rows of a reading statement.
    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        self.reader().all(statement).await
    }

    /// The first row of a reading statement.
    pub(crate) async fn optional(&self, statement: Statement) -> Result<Option<SqliteRow>, StoreError> {
        self.reader().optional(statement).await
    }

    /// A reading transaction, in which everything is as it was at its first statement.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.reader().snapshot().await
    }

    /// One page of a list: how many rows there are (the column `count` of the statement `count`), and those of
    /// the page.
    pub(crate) async fn listed<T>(
        &self,
        count: Statement,
        page: Statement,
        read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Listed<T>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let total = count.fetch_one(&mut *snapshot).await.map_err(StoreError::new)?;
        let rows = page.fetch_all(&mut *snapshot).await.map_err(StoreError::new)?;
        Ok(Listed {
            items: rows.iter().map(read).collect::<Result<_, _>>()?,
            total: Columns::of(&total).get("count")?,
        })
    }

    /// One statement that changes the directory, in a transaction of its own; gives the rows it returns.
    pub(crate) async fn change_directory(&self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        self.write(|write| {
            Box::pin(async move {
                write.directory_changed();
                write.all(statement).await
            })
        })
        .await
    }

    /// One writing statement in a transaction of its own; gives the rows it returns.
    pub(crate) async fn change(&self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        self.write(|write| Box::pin(async move { write.all(statement).await }))
            .await
    }

    /// One writing statement in a transaction of its own; gives how many rows it changed.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64, StoreError> {
        self.write(|write| Box::pin(async move { write.execute(statement).await }))
            .await
    }

    /// Runs `work` in a write transaction of its own, and applies its effects on the memory after the
    /// commit. It runs to its end even when the caller goes away.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t, 'c> FnOnce(&'t mut WriteTx<'c>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            Box::pin(async move {
                let result = AssertUnwindSafe(transact(writer, work)).catch_unwind().await;
                if let Ok(result) = result {
                    let _ = answer.send(result);
                } else {
                    tracing::error!("a database write panicked and was rolled back");
                }
            })
        });
        self.queue()
            .send(Work::Write(job))
            .await
            .map_err(|_| E::from(stopped()))?;
        let failed = || StoreError::new("a database write ended without an answer and was rolled back");
        wait.await.map_err(|_| E::from(failed()))?
    }
}

async fn transact<T, E, F>(writer: &mut Writer, work: F) -> Result<T, E>
where
    F: for<'t, 'c> FnOnce(&'t mut WriteTx<'c>) -> BoxFuture<'t, Result<T, E>>,
    E: From<StoreError>,
{
    let (connection, accounts, next_transaction) = writer.parts();
    match in_transaction(connection, accounts, next_transaction, work).await {
        Ok((value, committed)) => {
            writer.outcome(None);
            writer.committed(committed.effects, committed.accounts, committed.next_transaction);
            Ok(value)
        }
        // Of a work's failures only those that a statement had with the disk are about the database.
        Err(Failure::Work { error, disk_failed }) => {
            if disk_failed {
                writer.cannot_write();
            }
            Err(error)
        }
        Err(Failure::Database(error)) => {
            writer.outcome(Some(&error));
            Err(StoreError::new(error).into())
        }
    }
}

/// Why a transaction was rolled back.
enum Failure<E> {
    /// It could not be begun or committed.
    Database(sqlx::Error),
    /// The work itself gave up.
    Work {
        error: E,
        /// A statement of it failed because of the disk.
        disk_failed: bool,
    },
}

/// What a committed transaction leaves to be noted in memory.
struct Committed {
    effects: Effects,
    accounts: AccountChanges,
    next_transaction: i64,
}

async fn in_transaction<T, E, F>(
    connection: &mut SqliteConnection,
    accounts: &AccountTable,
    next_transaction: i64,
    work: F,
) -> Result<(T, Committed), Failure<E>>
where
    F: for<'t, 'c> FnOnce(&'t mut WriteTx<'c>) -> BoxFuture<'t, Result<T, E>>,
{
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(Failure::Database)?;
    let mut write = WriteTx {
        connection: &mut transaction,
        effects: Effects::default(),
        accounts: Accounts::on(accounts),
        next_transaction,
        disk_failed: false,
    };
    let value = match work(&mut write).await {
        Ok(value) => value,
        Err(error) => {
            let disk_failed = write.disk_failed;
            return Err(Failure::Work { error, disk_failed });
        }
    };
    let committed = Committed {
        effects: write.effects,
        accounts: write.accounts.into_changes(),
        next_transaction: write.next_transaction,
    };
    transaction.commit().await.map_err(Failure::Database)?;
    Ok((value, committed))
}
