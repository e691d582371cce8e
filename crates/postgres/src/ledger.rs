//! The ledger's rows: accounts with their balances, and entries that move money between them.

pub(crate) mod accounts;
pub(crate) mod entries;
