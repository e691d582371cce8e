//! The adapter against a whole chain in process, and against anvil where it is installed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod deployment;
mod fixture;
