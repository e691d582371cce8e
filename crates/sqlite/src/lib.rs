//! Every port of identity, orgs and billing, and inference's stores, on one SQLite file.
//!
//! ```text
//!   SqliteLedger ── decides in memory ──┐                      ┌─ SqliteBooks      ┐
//!   SqliteChainIndex                    ├─► queue ─► writer ─► │  haithe.db (WAL)  │
//!   SqliteOrgStore, SqliteSessionStore… ┘     (one task)       └─ readers, by class ┘
//! ```
//!
//! [`Db::open`] takes the file for this process alone, migrates it (`migrations/sqlite`, embedded),
//! compares the ledger's balances with its postings, and starts the writer. Each store is a small
//! struct over a [`Db`] handle, and [`open()`] puts all of them into one
//! [`Stores`](haithe_stores::Stores). Reads for requests without a credential
//! and for background tasks run on connections of their own ([`Db::for_public`], [`Db::for_background`]), so
//! that they cannot keep logins and paid calls waiting. [`ReadOnlyDb`] reads beside a running server.
//!
//! **Writing.** One task owns the one writing connection; every transaction begins `IMMEDIATE` and
//! is synced (`synchronous=FULL`) before anybody hears of it. Captures that wait together are stored
//! in one transaction. A write runs to its end even when its caller goes away, and what it means for
//! the memory is applied after its commit and before its answer. While nothing can be written, new
//! holds are refused; when the writer is gone, everything is.
//!
//! **Money.** Billing's ledger decides, on a state in memory under one short lock: balances, holds, daily
//! caps, budgets. The writer keeps every account's stored balance, so that billing computes new ones in the
//! order of storage and statements store values only. On disk a ledger transaction is a list of transfers from one account to another, so that
//! its postings sum to zero by construction; transactions, transfers, usage records and receipts are
//! append-only by triggers. Holds live in memory only: a crash forgets them with their calls.
//!
//! **The chain.** Facts are never refused: an amount out of range, or an event about something
//! unknown, harms only its own row, and what must not be raises an [`Alarm`]. Every effect of a block
//! can be undone, and any way through the chain ends in the same state.
//!
//! **Secrets.** What must be read again (a bot's token) is sealed by `haithe-encryption`; of what must only be
//! recognized, a hash is stored.
//!
//! **Values.** Times are microseconds UTC, money nano-USDT, chain amounts decimal text, addresses
//! and hashes bytes. A row that breaks an invariant is `inconsistent data in table.column`, never a
//! panic. The crate must never know of HTTP, of a node, or of another adapter.

mod books;
mod chain;
mod columns;
mod control;
mod conversations;
mod db;
mod directory;
mod earnings;
mod identity;
mod ledger;
mod lock;
mod marketplace;
mod open;
mod outbox;
mod settlement;
mod stores;
mod treasury;
mod usage;
mod webhooks;
mod writer;

pub use books::SqliteBooks;
pub use chain::{Alarm, SqliteChainIndex, SqliteChainStats};
pub use conversations::SqliteConversationStore;
pub use db::{Db, ReadOnlyDb};
pub use directory::{
    SqliteAcceptedProjectStore, SqliteAuditStore, SqliteBotStore, SqliteDirectory, SqliteOrgStore,
    SqliteProjectStore, SqliteRoleStore,
};
pub use earnings::SqliteEarningsStore;
pub use identity::{
    SqliteApiKeyStore, SqliteChallengeStore, SqliteIdempotencyStore, SqliteSessionStore, SqliteWaitlist,
};
pub use ledger::SqliteLedger;
pub use marketplace::{SqliteContentStore, SqliteCreatorStore, SqliteProductStore};
pub use open::{DbConfig, OpenError};
pub use outbox::SqliteTxOutbox;
pub use settlement::SqliteSettlementStore;
pub use stores::{open, open_read_only, stores};
pub use treasury::SqliteTreasuryStore;
pub use usage::SqliteUsageStore;
pub use webhooks::{SqliteWebhookInbox, SqliteWebhookStore};
