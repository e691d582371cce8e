//! Opening a database: the checks, the migrations, the connections.

use crate::db::{Db, Pools, Shared};
use haithe_kernel::{Decimals, StoreError};
use haithe_stores::{SchemaMigration, SchemaState};
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool, Row,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

/// The schema's versions, in order, inside the program.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// The oldest PostgreSQL that is supported, as `server_version_num`.
const OLDEST: i32 = 150_000;
const MIGRATION_LOCK: &str = "
    CREATE TABLE IF NOT EXISTS haithe_migration_lock (id BIGINT PRIMARY KEY CHECK (id = 1))";
/// How long a statement waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is tested before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);
/// How often the versions of what other instances change are read.
const REFRESH: Duration = Duration::from_millis(500);

/// Where the database is and what it counts in.
#[derive(Clone)]
pub struct PgConfig {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: String,
    /// Decimals of the payment token. A database belongs to one choice for ever.
    pub decimals: Decimals,
    /// Connections for logins and paid calls at most.
    pub core_connections: u32,
    /// Connections for requests without a credential at most, and as many for background tasks.
    pub other_connections: u32,
}

impl PgConfig {
    /// The usual numbers of connections: 16, 4 and 4.
    pub fn new(url: impl Into<String>, decimals: Decimals) -> Self {
        Self {
            url: url.into(),
            decimals,
            core_connections: 16,
            other_connections: 4,
        }
    }
}

impl fmt::Debug for PgConfig {
    /// Without the URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgConfig")
            .field("decimals", &self.decimals)
            .field("core_connections", &self.core_connections)
            .field("other_connections", &self.other_connections)
            .finish_non_exhaustive()
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL does not name a PostgreSQL database.
    #[error("the database URL must have the form postgres://user:password@host:port/database")]
    Url(#[source] sqlx::Error),
    /// The server is older than PostgreSQL 15.
    #[error("PostgreSQL {found} is too old: version 15 or newer is required")]
    Server {
        /// Its version.
        found: String,
    },
    /// A newer program has removed what this one uses.
    #[error("the database requires schema version {oldest}, this program has {known}: use the newer program")]
    Newer {
        /// The oldest version that may use the database.
        oldest: i64,
        /// The newest version known here.
        known: i64,
    },
    /// An unreleased version wrote it, whose schema cannot be upgraded.
    #[error(
        "the database was created by an unreleased version of this program and cannot be upgraded (its migration \
         {version} is unknown). To start anew, set `database.url` to an empty database. Keep the old one: only the \
         version that created it can still serve its receipts"
    )]
    Unreleased {
        /// The first migration in the database that this program does not know.
        version: i64,
    },
    /// An older program wrote it, and it is opened for reading only.
    #[error(
        "the database has schema version {found}, this program reads {known}: run `haithe migrate` first"
    )]
    Older {
        /// The version in the database.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// It counts another token.
    #[error(
        "the database counts a token of {found} decimals, and {configured} are configured; use another database"
    )]
    Decimals {
        /// The decimals in the database.
        found: u8,
        /// The decimals that are configured.
        configured: u8,
    },
    /// The database belongs to another program.
    #[error("the database contains tables of another program; create an empty database for haithe")]
    Foreign,
    /// A migration failed; the database is as it was before it.
    #[error("the database could not be migrated to this program's version")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// PostgreSQL failed.
    #[error("the database cannot be opened")]
    Sqlx(#[source] sqlx::Error),
    /// A row breaks an invariant.
    #[error("the database cannot be read")]
    Store(#[source] StoreError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

impl Db {
    /// Opens the database and migrates it. Several instances may do so at the same moment; one of them migrates.
    /// Must be called inside a Tokio runtime, on which a task then follows what other instances change.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub async fn open(config: &PgConfig) -> Result<Self, OpenError> {
        let options = options(config)?;
        migrate(&options).await?;
        let shared = shared(&options, config).await?;
        shared.refresh().await.map_err(OpenError::Store)?;
        tokio::spawn(follow(Arc::downgrade(&shared)));
        Ok(Self::new(shared))
    }

    /// Opens the database, which must have this program's version, for statements that only read. It does not
    /// follow what other instances change.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub async fn open_read_only(config: &PgConfig) -> Result<Self, OpenError> {
        let options = options(config)?;
        let mut connection = options.connect().await?;
        check_server(&mut connection).await?;
        let state = check_schema(&mut connection).await?;
        connection.close().await?;
        if let SchemaState::Behind { found } = state {
            let known = known_migrations().last().map_or(0, |newest| newest.version);
            return Err(OpenError::Older { found, known });
        }
        Ok(Self::new(shared(&options, config).await?))
    }
}

fn options(config: &PgConfig) -> Result<PgConnectOptions, OpenError> {
    let options: PgConnectOptions = config.url.parse().map_err(OpenError::Url)?;
    Ok(options.application_name("haithe").disable_statement_logging())
}

/// The connections to a database of this program's version, if it counts the configured token.
async fn shared(options: &PgConnectOptions, config: &PgConfig) -> Result<Arc<Shared>, OpenError> {
    let pools = Pools {
        core: pool(options, config.core_connections),
        public: pool(options, config.other_connections),
        background: pool(options, config.other_connections),
    };
    let found: Option<i64> = sqlx::query_scalar("SELECT decimals FROM chain_binding")
        .fetch_optional(&pools.background)
        .await?;
    match found {
        Some(found) if found != i64::from(config.decimals.digits()) => Err(OpenError::Decimals {
            found: u8::try_from(found).unwrap_or(u8::MAX),
            configured: config.decimals.into(),
        }),
        _ => Ok(Arc::new(Shared::new(pools, config.decimals))),
    }
}

/// Connections that are opened when they are first needed.
fn pool(options: &PgConnectOptions, most: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone())
}

/// Follows what other instances change, as long as the database is open.
async fn follow(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(REFRESH).await;
        let Some(shared) = shared.upgrade().filter(|shared| !shared.is_closed()) else {
            return;
        };
        if let Err(error) = shared.refresh().await
            && !shared.is_closed()
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "versions of shared data cannot be read"
            );
        }
    }
}

/// Brings the schema to this program's version. A row lock, held in a transaction of its own, lets one instance
/// at a time do so; it needs no session and ends with its connection.
async fn migrate(options: &PgConnectOptions) -> Result<(), OpenError> {
    let mut connection = options.connect().await?;
    check_server(&mut connection).await?;
    check_owner(&mut connection).await?;
    make_lock(&mut connection).await?;
    let mut lock = connection.begin().await?;
    sqlx::query("SELECT id FROM haithe_migration_lock FOR UPDATE")
        .fetch_all(&mut *lock)
        .await?;
    let mut worker = options.connect().await?;
    check_schema(&mut worker).await?;
    // The row lock replaces sqlx's advisory lock, which poolers and distributed engines do not have.
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.set_locking(false);
    // Those that a newer version appended stay.
    migrator.set_ignore_missing(true);
    migrator.run(&mut worker).await.map_err(OpenError::Migration)?;
    worker.close().await?;
    lock.commit().await?;
    connection.close().await?;
    Ok(())
}

async fn check_server(connection: &mut PgConnection) -> Result<(), OpenError> {
    let number: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::INTEGER")
        .fetch_one(&mut *connection)
        .await?;
    if number >= OLDEST {
        return Ok(());
    }
    let found = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(connection)
        .await?;
    Err(OpenError::Server { found })
}

/// Refuses a schema in which another program keeps its tables.
async fn check_owner(connection: &mut PgConnection) -> Result<(), OpenError> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::TEXT FROM information_schema.tables WHERE table_schema = current_schema()",
    )
    .fetch_all(connection)
    .await?;
    if tables.is_empty() || tables.iter().any(|table| table == "haithe_migration_lock") {
        return Ok(());
    }
    Err(OpenError::Foreign)
}

async fn make_lock(connection: &mut PgConnection) -> Result<(), OpenError> {
    // Of several instances that create the table at the same moment, some fail, and find it the next time.
    let made = sqlx::query(MIGRATION_LOCK).execute(&mut *connection).await;
    if made.is_err() {
        sqlx::query(MIGRATION_LOCK).execute(&mut *connection).await?;
    }
    sqlx::query("INSERT INTO haithe_migration_lock (id) VALUES (1) ON CONFLICT DO NOTHING")
        .execute(connection)
        .await?;
    Ok(())
}

/// The migrations of this program, in order.
fn known_migrations() -> Vec<SchemaMigration> {
    MIGRATIONS
        .iter()
        .map(|migration| SchemaMigration {
            version: migration.version,
            checksum: migration.checksum.to_vec(),
        })
        .collect()
}

/// Refuses a schema that this program cannot use.
async fn check_schema(connection: &mut PgConnection) -> Result<SchemaState, OpenError> {
    let known = known_migrations();
    let version = known.last().map_or(0, |newest| newest.version);
    let applied = applied(connection).await?;
    let mut state = SchemaState::of(&known, &applied, None);
    if let SchemaState::Ahead { .. } = state {
        // The database has all of our tables.
        let oldest = sqlx::query_scalar("SELECT oldest_version FROM schema_compatibility")
            .fetch_optional(connection)
            .await?;
        state = SchemaState::of(&known, &applied, oldest);
    }
    match state {
        SchemaState::Unknown { version } => Err(OpenError::Unreleased { version }),
        SchemaState::TooNew { oldest } => Err(OpenError::Newer {
            oldest,
            known: version,
        }),
        SchemaState::Ahead { found } => {
            tracing::info!(
                found,
                known = version,
                "a newer version has migrated the database"
            );
            Ok(state)
        }
        SchemaState::Current | SchemaState::Behind { .. } => Ok(state),
    }
}

/// The migrations that were applied to the database, in order.
async fn applied(connection: &mut PgConnection) -> sqlx::Result<Vec<SchemaMigration>> {
    let recorded: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !recorded {
        return Ok(Vec::new());
    }
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
