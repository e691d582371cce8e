//! What time it is on the chain, in seconds since 1970.

use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The chain's clock: the machine's plus what time travel added, or one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Clock {
    /// The machine's clock, so many seconds ahead of it (or behind, when negative).
    Machine { ahead: i64 },
    /// A clock that stands still except for blocks and time travel.
    Own { now: u64 },
}

impl Clock {
    /// The clock's reading. A block is later than its parent even when the clock is not.
    pub fn now(&self) -> u64 {
        match self {
            Self::Machine { ahead } => machine().saturating_add_signed(*ahead),
            Self::Own { now } => *now,
        }
    }

    /// Moves to a moment, which may lie in the past.
    pub fn set(&mut self, moment: u64) {
        match self {
            Self::Machine { ahead } => {
                *ahead = i64::try_from(i128::from(moment) - i128::from(machine())).unwrap_or(i64::MAX);
            }
            Self::Own { now } => *now = moment,
        }
    }

    /// A block was made at `timestamp`: a clock of its own is not behind it.
    pub fn not_before(&mut self, timestamp: u64) {
        if let Self::Own { now } = self {
            *now = timestamp.max(*now);
        }
    }
}

/// The machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a development chain keeps real time; it is outside the product"
)]
pub(crate) fn machine() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
