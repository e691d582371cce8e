//! Every port that a database implements, on one PostgreSQL database, shared by any number of instances.
//!
//! ```text
//!   PgSessionStore, PgProductStore… ──► Db ──┬─ core        ┐
//!                                            ├─ public      ├─ connections ──► PostgreSQL 15 or newer
//!                                            └─ background  ┘
//! ```
//!
//! [`open`] opens the database and fills a [`Stores`](haithe_stores::Stores). [`Db::open`] checks the server and the
//! schema, migrates it (`migrations/postgres`, embedded; one instance at a time), and starts a task that follows what
//! other instances change. Each store is a small struct over a [`Db`] handle: `PgSessionStore::new(&db)` and so on.
//! Requests without a credential and background tasks have connections of their own ([`Db::for_public`],
//! [`Db::for_background`]), so that they cannot keep logins and paid calls waiting.
//!
//! **Writing.** What one statement decides by its row locks is one statement, which is a transaction by itself.
//! What reads before it writes is a [transaction](write) that is `SERIALIZABLE`, or that first locks a row which all
//! concurrent work on the same data locks, too. What the database aborts because of a concurrent transaction
//! (`40001`, `40P01`) is [run again](retry) whole, a bounded number of times. A write transaction runs to its end
//! even when its caller leaves.
//!
//! **Money.** All rules are `haithe_billing`'s. A step of the chain's index, sealing and dissolving lock the one row of
//! the index first, then the [books](ledger::accounts) of the organizations that they change, as captures do.
//!
//! **Plain SQL.** No extension, stored procedure, trigger, advisory lock or session state, so that connection
//! poolers and distributed engines that speak PostgreSQL's protocol can run it. Rows are read by the names of their
//! columns.
//!
//! **Several instances.** A transaction that changes the directory also raises its version, by a row of `change_log`.
//! The instance that makes the change acts on it at once; every other one reads the version twice a second.
//! Money is decided in the database: the [`PgLedger`] of each process runs its callers' holds, captures and releases
//! in groups, each one transaction under locks on the organizations that pay. What a process writes for calls in
//! flight and for background work carries the epoch of its [`PgInstance`], and is refused once that is raised.
//!
//! **Secrets.** What must be read again (bots' tokens, webhooks' secrets, kept answers) is stored through a
//! [`SealedBox`](haithe_encryption::SealedBox).
//!
//! **Values.** As on SQLite: times are microseconds UTC, money nano-USDT, chain amounts decimal text, addresses and
//! hashes bytes. A row that breaks an invariant is `inconsistent data in table.column`, never a panic. The crate must
//! never know of HTTP, of a node, or of another adapter.

mod books;
mod chain;
mod columns;
mod control;
mod conversations;
mod db;
mod directory;
mod earnings;
mod identity;
mod instances;
mod lease;
mod ledger;
mod marketplace;
mod open;
mod outbox;
mod reads;
mod retry;
mod settlement;
mod stores;
mod treasury;
mod usage;
mod webhooks;
mod write;

pub use books::PgBooks;
pub use chain::{Alarm, PgChainIndex, PgChainStats};
pub use conversations::PgConversationStore;
pub use db::Db;
pub use directory::{
    PgAcceptedProjectStore, PgAuditStore, PgBotStore, PgDirectory, PgOrgMemberStore, PgOrgModelStore,
    PgOrgSettingsStore, PgOrgStore, PgProjectStore, PgRoleStore, PgStandingStore,
};
pub use earnings::PgEarningsStore;
pub use identity::{PgApiKeyStore, PgChallengeStore, PgIdempotencyStore, PgSessionStore, PgWaitlist};
pub use instances::{InstanceEpoch, PgInstance, StaleEpoch};
pub use ledger::PgLedger;
pub use marketplace::{PgContentStore, PgCreatorStore, PgProductStore};
pub use open::{OpenError, PgConfig};
pub use outbox::PgTxOutbox;
pub use settlement::PgSettlementStore;
pub use stores::{open, open_read_only, stores};
pub use treasury::PgTreasuryStore;
pub use usage::PgUsageStore;
pub use webhooks::{PgWebhookInbox, PgWebhookStore};
