//! Every port of identity, orgs and billing, on one SQLite file.

mod columns;
mod db;
mod directory;
mod identity;
mod ledger;
mod lock;
mod open;
mod writer;

pub use db::{Db, ReadOnlyDb};
pub use directory::{SqliteDirectory, SqliteOrgStore, SqliteProjectStore};
pub use identity::{SqliteApiKeyStore, SqliteChallengeStore, SqliteSessionStore};
pub use ledger::SqliteLedger;
pub use open::{DbConfig, OpenError};
