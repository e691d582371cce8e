//! Write transactions: run to their end, and run again when a concurrent transaction is in their way.

use crate::{
    db::{Db, Statement},
    retry::{Attempt, blames_the_data, is_conflict, is_duplicate, repeated},
};
use futures::future::BoxFuture;
use haithe_kernel::StoreError;
use sqlx::{Postgres, Transaction, postgres::PgRow};
use std::sync::atomic::{AtomicBool, Ordering};

/// How a write transaction is isolated from concurrent ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// As if every transaction ran alone (`SERIALIZABLE`).
    Serializable,
    /// Each statement sees what is committed when it begins (`READ COMMITTED`). For work whose first statement
    /// locks a row that all concurrent work on the same data locks, too.
    Locking,
}

impl Isolation {
    const fn begin(self) -> &'static str {
        match self {
            Self::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            Self::Locking => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }
}

/// A write transaction. What it means for this process is applied after its commit.
pub(crate) struct WriteTx {
    transaction: Transaction<'static, Postgres>,
    /// The error of the first statement that failed: after it the database accepts nothing but the end.
    failure: Option<FailedStatement>,
    /// Whether a duplicate may be a conflict with a concurrent transaction, which another attempt shows.
    repeats_duplicates: bool,
    directory_changed: bool,
}

enum FailedStatement {
    Conflict(sqlx::Error),
    Other,
}

impl WriteTx {
    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = statement.execute(&mut *self.transaction).await;
        done.map(|done| done.rows_affected())
            .map_err(|error| self.failed(error))
    }

    /// Runs a statement; returns its rows.
    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<PgRow>, StoreError> {
        let rows = statement.fetch_all(&mut *self.transaction).await;
        rows.map_err(|error| self.failed(error))
    }

    /// Runs a statement; returns its first row.
    pub(crate) async fn optional(&mut self, statement: Statement) -> Result<Option<PgRow>, StoreError> {
        let row = statement.fetch_optional(&mut *self.transaction).await;
        row.map_err(|error| self.failed(error))
    }

    /// Runs a statement that returns exactly one row.
    pub(crate) async fn one(&mut self, statement: Statement) -> Result<PgRow, StoreError> {
        let row = statement.fetch_one(&mut *self.transaction).await;
        row.map_err(|error| self.failed(error))
    }

    /// Something that [`haithe_orgs::ports::Directory`] could return changes here.
    pub(crate) fn directory_changed(&mut self) {
        self.directory_changed = true;
    }

    fn failed(&mut self, error: sqlx::Error) -> StoreError {
        if is_conflict(&error) || (self.repeats_duplicates && is_duplicate(&error)) {
            self.failure = Some(FailedStatement::Conflict(error));
            return StoreError::new("the transaction conflicts with a concurrent one");
        }
        self.failure = Some(FailedStatement::Other);
        StoreError::new(error)
    }

    /// Logs the change of the directory for other instances.
    async fn log_changes(&mut self) -> Result<(), StoreError> {
        if self.directory_changed {
            let log = sqlx::query("INSERT INTO change_log (topic) VALUES ('directory')");
            self.execute(log).await?;
        }
        Ok(())
    }
}

/// The work of a write transaction on its input. It may be run several times.
pub(crate) type WriteWork<I, T, E> = for<'t> fn(&'t mut WriteTx, &'t I) -> BoxFuture<'t, Result<T, E>>;

impl Db {
    /// Runs `work` in a write transaction that is serializable. It runs to its end even when the caller leaves.
    pub(crate) async fn write<I, T, E>(&self, input: I, work: WriteWork<I, T, E>) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.transact(Isolation::Serializable, input, work).await
    }

    /// The same for work that [locks](Isolation::Locking) before it decides.
    pub(crate) async fn write_locking<I, T, E>(&self, input: I, work: WriteWork<I, T, E>) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.transact(Isolation::Locking, input, work).await
    }

    async fn transact<I, T, E>(
        &self,
        isolation: Isolation,
        input: I,
        work: WriteWork<I, T, E>,
    ) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let db = self.clone();
        let transaction = tokio::spawn(async move {
            let _running = db.running_write();
            let first = AtomicBool::new(true);
            let run = || async {
                let is_first = first.swap(false, Ordering::Relaxed);
                let attempt = db.attempt((isolation, is_first), &input, work).await;
                db.counted(attempt)
            };
            let result = repeated(run).await;
            result.unwrap_or_else(|error| Err(StoreError::new(error).into()))
        });
        let ended = || StoreError::new("the database transaction panicked and was rolled back");
        transaction.await.unwrap_or_else(|_| Err(ended().into()))
    }

    async fn attempt<I, T, E>(
        &self,
        (isolation, is_first): (Isolation, bool),
        input: &I,
        work: WriteWork<I, T, E>,
    ) -> Attempt<Result<T, E>>
    where
        E: From<StoreError>,
    {
        let transaction = match self.pool().begin_with(isolation.begin()).await {
            Ok(transaction) => transaction,
            Err(error) => {
                self.note_write(false);
                return Attempt::Over(Err(StoreError::new(error).into()));
            }
        };
        let mut write = WriteTx {
            transaction,
            failure: None,
            repeats_duplicates: isolation == Isolation::Serializable && is_first,
            directory_changed: false,
        };
        let mut result = work(&mut write, input).await;
        if result.is_ok()
            && let Err(error) = write.log_changes().await
        {
            result = Err(error.into());
        }
        match write.failure {
            Some(FailedStatement::Conflict(error)) => return Attempt::Conflict(error),
            // The database would answer a commit with a rollback, and no error.
            Some(FailedStatement::Other) if result.is_ok() => {
                let error = StoreError::new("a statement failed and its transaction went on");
                return Attempt::Over(Err(error.into()));
            }
            Some(FailedStatement::Other) | None => {}
        }
        if result.is_err() {
            return Attempt::Over(result);
        }
        let directory_changed = write.directory_changed;
        match write.transaction.commit().await {
            Ok(()) => {
                self.note_write(true);
                if directory_changed {
                    self.directory_changed();
                }
                Attempt::Over(result)
            }
            Err(error) if is_conflict(&error) => Attempt::Conflict(error),
            Err(error) => {
                // A deferred constraint may refuse the data at the commit.
                self.note_write(blames_the_data(&error));
                Attempt::Over(Err(StoreError::new(error).into()))
            }
        }
    }
}
