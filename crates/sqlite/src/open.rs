//! Opening a database: the lock, the version checks, the migrations, the connections.

use crate::{
    db::{Db, ReadOnlyDb, Readers},
    ledger::load::{self, LoadError},
    lock::{self, ProcessLock},
    writer::Writer,
};
use haithe_kernel::{Clock, Decimals};
use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::PathBuf, sync::Arc, thread::available_parallelism, time::Duration};

/// The schema's versions, in order, inside the program.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// `PRAGMA application_id` of our files: "HAIT".
const APPLICATION_ID: i64 = 0x4841_4954;

/// The oldest SQLite whose WAL is safe: earlier ones can corrupt it when connections write and
/// checkpoint at the same moment (sqlite.org/wal.html#walresetbug).
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// How long a statement waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that read for logins and paid calls, one for each core within these bounds. Each connection has
/// a page cache of 1 MB at most, the writer's of 4 MB.
const FEWEST_READERS: usize = 2;
const MOST_READERS: usize = 4;
/// Connections that read for requests without a credential, and those for background tasks. They are opened when
/// they are first needed.
const PUBLIC_READERS: u32 = 3;
const BACKGROUND_READERS: u32 = 2;
const READER_CACHE_KIB: &str = "-1024";
const WRITER_CACHE_KIB: &str = "-4096";

/// Pages in the write-ahead log after which it is copied into the database file.
const CHECKPOINT_PAGES: &str = "4000";

/// Where the database is and what it counts in.
#[derive(Clone)]
pub struct DbConfig {
    /// The database file; made when it is not there. `<path>.lock` beside it keeps a second server out.
    pub path: PathBuf,
    /// Decimals of the payment token. A database belongs to one choice for ever.
    pub decimals: Decimals,
    /// Tells the day, for the daily caps.
    pub clock: Arc<dyn Clock>,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open for writing.
    #[error(
        "the database {} is in use by another server; stop that one first, or give this one its own file",
        .path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("the database has schema version {found}, this program knows {known}: use the newer program")]
    Newer {
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// It has not been migrated to this program's version, and reading alone cannot do it.
    #[error("the database has schema version {found}, this program needs {known}: start the server once")]
    Older {
        /// The version in the file.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// Not a database of ours.
    #[error("the file {} is a database of another program", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The SQLite inside this program is too old.
    #[error("SQLite {found} is too old: at least 3.51.3 is needed")]
    Sqlite {
        /// Its version.
        found: String,
    },
    /// The books do not add up. Nothing is repaired silently: look with `haithe ledger check`.
    #[error("the ledger's stored balances differ from its postings: {}; see `haithe ledger check`, and restore a backup",
        .accounts.join(", "))]
    Drifted {
        /// The accounts that differ.
        accounts: Vec<String>,
    },
    /// Opened with other decimals than before.
    #[error("the database counts a token of {found} decimals, the configuration says {configured}")]
    Decimals {
        /// In the database.
        found: u8,
        /// In the configuration.
        configured: u8,
    },
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be used", .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A migration failed; the database is as it was before it.
    #[error("the database could not be brought to this program's version")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// SQLite failed.
    #[error("the database {} cannot be opened", .path.display())]
    Sqlx {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A row makes no sense.
    #[error("the database cannot be read")]
    Store(#[source] haithe_kernel::StoreError),
}

impl Db {
    /// Opens the database for the one process that writes to it, migrates it and loads the ledger.
    /// Must be called inside a Tokio runtime, on which the writer then runs.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub async fn open(config: DbConfig) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlx {
            path: config.path.clone(),
            source,
        };
        let lock = ProcessLock::take(&config.path)?;
        lock::make_private(&config.path)?;
        let mut connection = writing(&config.path).connect().await.map_err(failed)?;
        check_sqlite(&mut connection).await.map_err(failed)??;
        match found_version(&mut connection).await.map_err(failed)? {
            Found::Foreign => return Err(OpenError::Foreign { path: config.path }),
            Found::Version(found) if found > known_version() => {
                return Err(OpenError::Newer {
                    found,
                    known: known_version(),
                });
            }
            Found::Version(_) => {}
        }
        MIGRATIONS
            .run(&mut connection)
            .await
            .map_err(OpenError::Migration)?;
        let loaded = load::load(&mut connection, config.decimals)
            .await
            .map_err(|error| match error {
                LoadError::Drifted(accounts) => OpenError::Drifted { accounts },
                LoadError::Decimals { found, configured } => OpenError::Decimals { found, configured },
                LoadError::Store(error) => OpenError::Store(error),
            })?;
        let readers = readers(&config.path).await.map_err(failed)?;
        let reader = |pool| ReadOnlyDb::new(pool, Arc::clone(&config.clock));
        let readers = Readers {
            core: reader(readers),
            public: reader(later_readers(&config.path, PUBLIC_READERS)),
            background: reader(later_readers(&config.path, BACKGROUND_READERS)),
        };
        Ok(Writer::start(connection, lock, loaded, readers, &config))
    }
}

impl ReadOnlyDb {
    /// Opens the database for reading only, also while a server has it open.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub async fn open(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let path = path.into();
        let failed = |source| OpenError::Sqlx {
            path: path.clone(),
            source,
        };
        let pool = readers(&path).await.map_err(failed)?;
        let mut connection = pool.acquire().await.map_err(failed)?;
        check_sqlite(&mut connection).await.map_err(failed)??;
        let known = known_version();
        match found_version(&mut connection).await.map_err(failed)? {
            Found::Foreign => Err(OpenError::Foreign { path }),
            Found::Version(found) if found > known => Err(OpenError::Newer { found, known }),
            Found::Version(found) if found < known => Err(OpenError::Older { found, known }),
            Found::Version(_) => {
                drop(connection);
                Ok(Self::new(pool, clock))
            }
        }
    }
}

fn options(path: &PathBuf) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("mmap_size", "0")
        .pragma("temp_store", "MEMORY")
        .thread_name(|number| format!("sqlite-{number}"))
        .disable_statement_logging()
}

fn writing(path: &PathBuf) -> SqliteConnectOptions {
    options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", WRITER_CACHE_KIB)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
}

fn most_readers() -> u32 {
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    u32::try_from(cores.clamp(FEWEST_READERS, MOST_READERS)).unwrap_or(u32::MAX)
}

async fn readers(path: &PathBuf) -> sqlx::Result<SqlitePool> {
    pool(most_readers())
        .min_connections(1)
        .connect_with(reading(path))
        .await
}

/// Readers that are opened when they are first needed.
fn later_readers(path: &PathBuf, most: u32) -> SqlitePool {
    pool(most).connect_lazy_with(reading(path))
}

fn pool(most: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(most)
        .acquire_timeout(BUSY_TIMEOUT)
        .test_before_acquire(false)
}

fn reading(path: &PathBuf) -> SqliteConnectOptions {
    options(path)
        .read_only(true)
        .pragma("cache_size", READER_CACHE_KIB)
}

async fn check_sqlite(connection: &mut SqliteConnection) -> sqlx::Result<Result<(), OpenError>> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(connection)
        .await?;
    let parts: Vec<u32> = found.split('.').filter_map(|part| part.parse().ok()).collect();
    Ok(if parts.as_slice() >= OLDEST_SQLITE.as_slice() {
        Ok(())
    } else {
        Err(OpenError::Sqlite { found })
    })
}

enum Found {
    Version(i64),
    Foreign,
}

/// The schema version in the file; 0 for an empty one.
async fn found_version(connection: &mut SqliteConnection) -> sqlx::Result<Found> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let others = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(others).fetch_one(&mut *connection).await?;
    if application != APPLICATION_ID {
        return Ok(if application == 0 && tables == 0 {
            Found::Version(0)
        } else {
            Found::Foreign
        });
    }
    let version: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await?;
    Ok(Found::Version(version.unwrap_or(0)))
}

fn known_version() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}
