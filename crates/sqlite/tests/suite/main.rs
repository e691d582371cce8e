//! The SQLite adapter against real files.
//!
//! What every database must do is tested by the port suites. Here stands what is SQLite's own: the
//! file and its lock, group commits that fail, crashes, facts of the chain in every order, and the
//! ledger's memory against its postings.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop with a panic"
)]

mod chain;
mod contention;
mod crashes;
mod failures;
mod files;
mod fixture;
mod random;
mod rewinds;
mod settlement;
mod withdrawals;
