//! The database of the service, and the backups of it.

use super::values;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{fmt, path::PathBuf, time::Duration};
use url::Url;

/// Which database, by the scheme of `database.url`. Displayed without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:`: a file.
    Sqlite(PathBuf),
    /// `postgres:` or `postgresql:`: a database of a server.
    Postgres(PostgresUrl),
}

/// The URL of a PostgreSQL database. It may contain a password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Url);

impl PostgresUrl {
    /// `None` unless it names a host and a database.
    pub(super) fn new(url: Url) -> Option<Self> {
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let has_database = !url.path().trim_start_matches('/').is_empty();
        (has_host && has_database).then_some(Self(url))
    }

    /// The whole URL, with the password.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for PostgresUrl {
    /// Host, port and database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().unwrap_or(5432);
        write!(f, "postgres://{host}:{port}{}", self.0.path())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

/// `[database]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Database {
    #[serde(deserialize_with = "values::database_url")]
    pub url: DatabaseUrl,
    #[serde(deserialize_with = "values::encryption_key")]
    pub encryption_key: SecretString,
}

impl Database {
    pub(super) fn key_is_one_of(&self, others: [&SecretString; 2]) -> bool {
        let own = self.encryption_key.expose_secret();
        others.iter().any(|other| other.expose_secret() == own)
    }
}

/// `[backup]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Backup {
    #[serde(rename = "max_age_hours", deserialize_with = "values::optional_hours")]
    pub max_age: Option<Duration>,
    #[serde(deserialize_with = "values::optional_path")]
    pub marker: Option<PathBuf>,
}
