//! Opening a database: the lock, the version checks, the migrations, the connections.

use crate::{
    db::{Db, ReadOnlyDb, Readers},
    ledger::load::{self, LoadError},
    lock::{self, ProcessLock},
    writer::Writer,
};
use haithe_kernel::{Clock, Decimals};
use haithe_stores::{SchemaMigration, SchemaState};
use sqlx::{
    ConnectOptions, Row, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

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
    /// A newer program has removed what this one uses.
    #[error("the database requires schema version {oldest}, this program has {known}: use the newer program")]
    Newer {
        /// The oldest version that may use the database.
        oldest: i64,
        /// The newest version known here.
        known: i64,
    },
    /// It has not been migrated to this program's version, and reading alone cannot do it.
    #[error("the database has schema version {found}, this program needs {known}: run `haithe migrate`")]
    Older {
        /// The version in the file.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// An unreleased version wrote it, whose schema cannot be upgraded.
    #[error(
        "the database {} was created by an unreleased version of this program and cannot be upgraded (its migration \
         {version} is unknown). To start anew, set `database.url` to a new file. Keep the old file: only the version \
         that created it can still serve its receipts",
        .path.display()
    )]
    Unreleased {
        /// The file.
        path: PathBuf,
        /// The first migration in the file that this program does not know; 0 when the file does not record any.
        version: i64,
    },
    /// The database belongs to another program.
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
        let state = schema_state(&mut connection).await.map_err(failed)?;
        check_schema(state, &config.path)?;
        migrate(&mut connection).await?;
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
        let state = schema_state(&mut connection).await.map_err(failed)?;
        check_schema(state, &path)?;
        if let Some(SchemaState::Behind { found }) = state {
            let known = known_version();
            return Err(OpenError::Older { found, known });
        }
        drop(connection);
        Ok(Self::new(pool, clock))
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

/// What the file's schema means to this program; `None` when another program wrote the file.
async fn schema_state(connection: &mut SqliteConnection) -> sqlx::Result<Option<SchemaState>> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let ours = application == APPLICATION_ID;
    let others = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(others).fetch_one(&mut *connection).await?;
    if !ours && (application != 0 || tables > 0) {
        return Ok(None);
    }
    let recorded = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let recorded: i64 = sqlx::query_scalar(recorded).fetch_one(&mut *connection).await?;
    let applied = match recorded {
        0 => Vec::new(),
        _ => applied(connection).await?,
    };
    if ours && applied.is_empty() {
        return Ok(Some(SchemaState::Unknown { version: 0 }));
    }
    let known: Vec<SchemaMigration> = MIGRATIONS
        .iter()
        .map(|migration| SchemaMigration {
            version: migration.version,
            checksum: migration.checksum.to_vec(),
        })
        .collect();
    let state = SchemaState::of(&known, &applied, None);
    if !matches!(state, SchemaState::Ahead { .. }) {
        return Ok(Some(state));
    }
    // The database has all of our tables.
    let oldest = sqlx::query_scalar("SELECT oldest_version FROM schema_compatibility")
        .fetch_optional(connection)
        .await?;
    Ok(Some(SchemaState::of(&known, &applied, oldest)))
}

/// The migrations that were applied to the file, in order.
async fn applied(connection: &mut SqliteConnection) -> sqlx::Result<Vec<SchemaMigration>> {
    let rows = sqlx::query("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SchemaMigration {
                version: row.try_get("version")?,
                checksum: row.try_get("checksum")?,
            })
        })
        .collect()
}

/// Refuses a file that this program cannot use.
fn check_schema(state: Option<SchemaState>, path: &Path) -> Result<(), OpenError> {
    let path = || path.to_owned();
    match state {
        None => Err(OpenError::Foreign { path: path() }),
        Some(SchemaState::Unknown { version }) => Err(OpenError::Unreleased {
            path: path(),
            version,
        }),
        Some(SchemaState::TooNew { oldest }) => Err(OpenError::Newer {
            oldest,
            known: known_version(),
        }),
        Some(SchemaState::Ahead { found }) => {
            tracing::info!(
                found,
                known = known_version(),
                "a newer version has migrated the database"
            );
            Ok(())
        }
        Some(SchemaState::Current | SchemaState::Behind { .. }) => Ok(()),
    }
}

/// Applies the migrations that the file does not have. Those that a newer version appended stay.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator.run(connection).await.map_err(OpenError::Migration)
}

fn known_version() -> i64 {
    MIGRATIONS.iter().next_back().map_or(0, |newest| newest.version)
}
