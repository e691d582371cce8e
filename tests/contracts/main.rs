//! The contracts on the embedded development chain.
//!
//! [`world`] deploys them with a cast of people; the other modules are one subject each. What concerns money runs with
//! a token of 18 decimals, one of 6, and one that returns nothing from `transfer` as USDT does. [`operations`] lets
//! people do anything in any order and compares the chain with a model after each step.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test whose scene cannot be set should fail"
)]

mod artifacts;
mod bindings;
mod cast;
mod clones;
mod creators;
mod daily_cap;
mod escrow;
mod gas;
mod gas_bound;
mod governance;
mod line_gas;
mod operations;
mod payout_addresses;
mod people;
mod products;
mod receipts;
mod reentrancy;
mod registry;
mod regressions;
mod scene;
mod sealer;
mod settlement;
mod signatures;
mod skipped_lines;
mod strays;
mod withdrawals;
mod world;
