//! What the chain does, seen from outside: through alloy, through JSON-RPC, through HTTP and
//! through the program.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken expectation is how a test fails, in what the tests share as well"
)]

mod alloy;
mod blocks;
mod calls;
mod faults;
mod fees;
mod garbage;
mod http;
mod journal;
mod logs;
mod mining;
mod pool;
mod program;
mod reorg;
mod snapshots;
mod support;
mod time;
