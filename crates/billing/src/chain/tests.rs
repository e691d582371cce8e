//! The index in memory, and what must hold whatever the chain does.

mod memory;
mod properties;
mod story;

use super::{ChainEvent, EventBody};
use haithe_kernel::Timestamp;

/// Seconds from block to block.
const BLOCK_SECONDS: u64 = 40_000;

/// The time of a block.
pub(super) fn time_of(block: u64) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(block * BLOCK_SECONDS).unwrap())
}

/// An event in a transaction of its own.
pub(super) fn event(block: u64, log_index: u64, body: EventBody) -> ChainEvent {
    let mut tx = [0; 32];
    tx[..8].copy_from_slice(&block.to_be_bytes());
    tx[8..16].copy_from_slice(&log_index.to_be_bytes());
    ChainEvent {
        block,
        block_hash: [u8::try_from(block % 250).unwrap(); 32],
        block_time: time_of(block),
        tx,
        log_index,
        body,
    }
}
