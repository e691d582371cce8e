//! Every port of identity, orgs and billing, on one SQLite file.

mod books;
mod chain;
mod columns;
mod db;
mod directory;
mod identity;
mod ledger;
mod lock;
mod open;
mod outbox;
mod settlement;
mod writer;

pub use books::SqliteBooks;
pub use chain::{Alarm, SqliteChainIndex};
pub use db::{Db, ReadOnlyDb};
pub use directory::{SqliteDirectory, SqliteOrgStore, SqliteProjectStore};
pub use identity::{SqliteApiKeyStore, SqliteChallengeStore, SqliteSessionStore};
pub use ledger::SqliteLedger;
pub use open::{DbConfig, OpenError};
pub use outbox::SqliteTxOutbox;
pub use settlement::SqliteSettlementStore;
