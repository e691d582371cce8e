//! The choice of the database, by the scheme of `database.url`: the only module that names one.

use crate::{Config, config::DatabaseUrl};
use haithe_encryption::EncryptionKey;
use haithe_kernel::Clock;
use haithe_postgres::PgConfig;
use haithe_sqlite::DbConfig;
use haithe_stores::{ReadOnlyStores, Stores};
use std::{path::PathBuf, sync::Arc};

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The SQLite file cannot be opened.
    #[error(transparent)]
    Sqlite(#[from] haithe_sqlite::OpenError),
    /// The PostgreSQL database cannot be opened.
    #[error(transparent)]
    Postgres(#[from] haithe_postgres::OpenError),
}

/// Opens the database for writing, which migrates it.
pub(super) async fn open_database(
    config: &Config,
    key: &EncryptionKey,
    clock: Arc<dyn Clock>,
) -> Result<Stores, DatabaseError> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            let config = DbConfig {
                path: path.clone(),
                decimals: config.chain.decimals,
                clock,
            };
            Ok(haithe_sqlite::open(config, key).await?)
        }
        DatabaseUrl::Postgres(url) => {
            let config = PgConfig::new(url.expose(), config.chain.decimals);
            Ok(haithe_postgres::open(&config, key).await?)
        }
    }
}

/// Where the time of the last backup is written unless `backup.marker` says otherwise: `<database>.last-backup` beside
/// a database that is a file.
pub(super) fn backup_marker(config: &Config) -> Option<PathBuf> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            let mut marker = path.clone().into_os_string();
            marker.push(".last-backup");
            Some(marker.into())
        }
        // Its backups are made by its own tools: `backup.marker` names what they write.
        DatabaseUrl::Postgres(_) => None,
    }
}

/// Opens the database for reading only, also beside a running server.
pub(super) async fn open_read_only(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ReadOnlyStores, DatabaseError> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => Ok(haithe_sqlite::open_read_only(path, clock).await?),
        DatabaseUrl::Postgres(url) => {
            let config = PgConfig::new(url.expose(), config.chain.decimals);
            Ok(haithe_postgres::open_read_only(&config).await?)
        }
    }
}
