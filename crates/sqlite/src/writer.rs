//! The one writer: a task that owns the writing connection.
//!
//! Everything that writes comes through its queue. Captures that wait together are stored in one
//! transaction with one fsync (group commit); there is no timer, so that a capture that comes alone
//! waits for nobody. Everything else gets a transaction of its own, in the order it came.
//!
//! While nothing can be written (the disk is full, or somebody else keeps the file locked) new holds
//! are refused, so that no call is served that could not be charged; the writer tries again once a
//! second. When its connection or the task itself is gone, everything is refused for good.

use crate::{
    db::{Db, Readers, WriteTx},
    ledger::{
        accounts::{AccountChanges, AccountTable},
        bulk::MOST_ROWS,
        capture::SealedCapture,
        load::Loaded,
        memory::Money,
        store::CaptureStatements,
    },
    lock::ProcessLock,
    open::DbConfig,
};
use futures::future::BoxFuture;
use haithe_billing::ledger::{OrgFacts, OrgMoney, Transfer};
use haithe_kernel::{OrgId, StoreError, Timestamp};
use sqlx::{Connection, SqliteConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Captures stored in one transaction at most: one statement's.
const GROUP: usize = MOST_ROWS;
/// Waiting writes; beyond, callers wait for a place.
const QUEUE: usize = 1024;
/// How long to wait before writing is tried again after it has failed.
const RETRY: Duration = Duration::from_secs(1);
/// Changes nothing, but needs the lock, the log and the disk.
const PROBE: &str = "UPDATE ledger_accounts SET name = name WHERE name = 'platform'";

/// Something to write.
pub(crate) enum Work {
    /// A capture, stored together with those beside it.
    Capture(Box<SealedCapture>),
    /// Anything else.
    Write(Job),
    /// Finish, close and say so.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// A transaction of its own.
pub(crate) type Job = Box<dyn for<'w> FnOnce(&'w mut Writer) -> BoxFuture<'w, ()> + Send>;

/// What a committed transaction means for the memory.
#[derive(Default)]
pub(crate) struct Effects {
    /// Something that [`haithe_orgs::ports::Directory`] could tell has changed.
    pub(crate) directory: bool,
    /// Calls that existed before have got a batch, or lost it.
    pub(crate) placements: bool,
    /// Transfers that were booked.
    pub(crate) transfers: Vec<Transfer>,
    /// Organizations seen for the first time.
    pub(crate) new_orgs: Vec<(OrgId, OrgMoney)>,
    /// What the chain now says about organizations.
    pub(crate) facts: Vec<(OrgId, OrgFacts)>,
    /// The time of the newest block, where that may have changed.
    pub(crate) chain_time: Option<Timestamp>,
}

/// The task's state.
pub(crate) struct Writer {
    connection: SqliteConnection,
    money: Arc<Money>,
    directory: Arc<AtomicU64>,
    next_transaction: i64,
    accounts: AccountTable,
    statements: CaptureStatements,
    is_failing: bool,
    is_gone: bool,
    // Given up after the connection is closed: fields are dropped in order.
    _lock: ProcessLock,
}

impl Writer {
    pub(crate) fn start(
        connection: SqliteConnection,
        lock: ProcessLock,
        loaded: Loaded,
        readers: Readers,
        config: &DbConfig,
    ) -> Db {
        let money = Arc::new(Money::new(loaded.state, Arc::clone(&config.clock)));
        let directory = Arc::new(AtomicU64::new(1));
        let (queue, work) = mpsc::channel(QUEUE);
        let writer = Self {
            connection,
            money: Arc::clone(&money),
            directory: Arc::clone(&directory),
            next_transaction: loaded.next_transaction,
            accounts: loaded.accounts,
            statements: CaptureStatements::new(),
            is_failing: false,
            is_gone: false,
            _lock: lock,
        };
        tokio::spawn(writer.run(work));
        Db::new(queue, readers, money, directory, config.decimals)
    }

    async fn run(mut self, mut work: mpsc::Receiver<Work>) {
        // However this ends, nothing may be promised afterwards.
        let end = EndOfWriting(Arc::clone(&self.money));
        let mut waiting = Vec::with_capacity(GROUP);
        while !self.is_gone {
            if self.is_failing {
                let next = tokio::time::timeout(RETRY, work.recv_many(&mut waiting, GROUP)).await;
                match next {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(_) => {
                        let _ = self.probe_and_note().await;
                        continue;
                    }
                }
            } else if work.recv_many(&mut waiting, GROUP).await == 0 {
                return;
            }
            let mut captures = Vec::with_capacity(waiting.len());
            let mut rest = Vec::new();
            for item in waiting.drain(..) {
                match item {
                    Work::Capture(capture) => captures.push(*capture),
                    other => rest.push(other),
                }
            }
            if !captures.is_empty() {
                self.store_captures(captures).await;
            }
            for item in rest {
                match item {
                    Work::Write(job) => job(&mut self).await,
                    Work::Close(answer) => {
                        work.close();
                        drop(end);
                        self.close(answer).await;
                        return;
                    }
                    Work::Capture(capture) => self.store_captures(vec![*capture]).await,
                }
            }
        }
    }

    async fn store_captures(&mut self, captures: Vec<SealedCapture>) {
        let Self {
            connection,
            statements,
            next_transaction,
            accounts,
            ..
        } = self;
        let failure = statements
            .store(connection, next_transaction, accounts, captures)
            .await;
        self.outcome(failure.as_deref());
    }

    /// [`PROBE`] in a transaction of its own, whose outcome is noted.
    pub(crate) async fn probe_and_note(&mut self) -> sqlx::Result<()> {
        let probed = self.probe().await;
        self.outcome(probed.as_ref().err());
        probed
    }

    async fn probe(&mut self) -> sqlx::Result<()> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(PROBE).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// Notes that the database cannot be written.
    pub(crate) fn cannot_write(&mut self) {
        self.note(true);
    }

    /// Notes whether the database can be written, from how a transaction ended.
    pub(crate) fn outcome(&mut self, failure: Option<&sqlx::Error>) {
        let is_failing = failure.is_some_and(|error| !blames_the_data(error));
        self.is_gone |= matches!(failure, Some(sqlx::Error::WorkerCrashed));
        self.note(is_failing);
    }

    fn note(&mut self, is_failing: bool) {
        if is_failing != self.is_failing {
            self.is_failing = is_failing;
            self.money.lock_anyway().failing = is_failing;
            if is_failing {
                tracing::error!("the database cannot be written: new holds are refused");
            } else {
                tracing::info!("the database can be written again");
            }
        }
    }

    async fn close(self, answer: oneshot::Sender<Result<(), StoreError>>) {
        let Self {
            connection, _lock, ..
        } = self;
        let closed = connection.close().await.map_err(StoreError::new);
        drop(_lock);
        let _ = answer.send(closed);
    }

    pub(crate) fn parts(&mut self) -> (&mut SqliteConnection, &AccountTable, i64) {
        (&mut self.connection, &self.accounts, self.next_transaction)
    }

    /// Brings the memory to what was committed.
    pub(crate) fn committed(&mut self, effects: Effects, accounts: AccountChanges, next_transaction: i64) {
        self.next_transaction = next_transaction;
        self.accounts.apply(accounts);
        let mut memory = self.money.lock_anyway();
        for (org, money) in effects.new_orgs {
            memory.ledger.add_organization(org, money);
        }
        memory.ledger.apply(effects.transfers);
        for (org, facts) in effects.facts {
            memory.ledger.set_facts(org, facts);
        }
        if let Some(time) = effects.chain_time {
            memory.ledger.set_chain_time(time);
        }
        drop(memory);
        if effects.directory {
            self.directory.fetch_add(1, Ordering::AcqRel);
        }
        if effects.placements {
            self.money.placed();
        }
    }
}

impl WriteTx<'_> {
    /// Something that [`haithe_orgs::ports::Directory`] could tell changes here.
    pub(crate) fn directory_changed(&mut self) {
        self.effects.directory = true;
    }

    /// Calls that existed before get a batch here, or lose it.
    pub(crate) fn calls_placed(&mut self) {
        self.effects.placements = true;
    }
}

/// Whether what was to be stored, and not the database, is at fault.
pub(crate) fn blames_the_data(error: &sqlx::Error) -> bool {
    // SQLite's extended codes carry the primary one in their lowest byte.
    const CONSTRAINT: u32 = 19;
    if matches!(error, sqlx::Error::Encode(_)) {
        return true;
    }
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == CONSTRAINT)
}

/// Whether the disk or the file, and neither the statement nor its data, is at fault.
pub(crate) fn blames_the_disk(error: &sqlx::Error) -> bool {
    // READONLY, IOERR, CORRUPT, FULL, CANTOPEN and NOTADB of sqlite.org/rescode.html.
    const OF_THE_DISK: [u32; 6] = [8, 10, 11, 13, 14, 26];
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| OF_THE_DISK.contains(&(code & 0xff)))
}

/// Marks the memory as dead when the writer ends, by closing, by a panic or with its runtime.
struct EndOfWriting(Arc<Money>);

impl Drop for EndOfWriting {
    fn drop(&mut self) {
        self.0.lock_anyway().stopped = true;
        tracing::info!("the database writer has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Executor, sqlite::SqliteConnectOptions};

    #[tokio::test]
    async fn a_full_or_read_only_file_is_the_disks_fault_and_a_constraint_is_not() {
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        connection
            .execute("CREATE TABLE rows (number INTEGER NOT NULL)")
            .await
            .unwrap();
        let constraint = connection
            .execute("INSERT INTO rows VALUES (NULL)")
            .await
            .unwrap_err();
        assert!(blames_the_data(&constraint) && !blames_the_disk(&constraint));
        let unknown = connection
            .execute("INSERT INTO nowhere VALUES (1)")
            .await
            .unwrap_err();
        assert!(!blames_the_disk(&unknown));

        connection.execute("PRAGMA max_page_count = 2").await.unwrap();
        let full = connection
            .execute("CREATE TABLE more (number INTEGER)")
            .await
            .unwrap_err();
        assert!(blames_the_disk(&full), "{full}");
        connection.execute("PRAGMA query_only = 1").await.unwrap();
        let read_only = connection
            .execute("INSERT INTO rows VALUES (1)")
            .await
            .unwrap_err();
        assert!(blames_the_disk(&read_only), "{read_only}");
    }
}
