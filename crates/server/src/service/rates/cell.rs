//! One subject's requests: GCRA.

use super::table::Meter;
use haithe_kernel::MonotonicTime;
use std::time::Duration;

const MINUTE_NANOS: i128 = 60_000_000_000;

/// How fast a quota comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refill {
    /// The quota, which may also come at once.
    burst: i128,
    /// Nanoseconds for one, rounded up: never more than the quota comes back in a minute.
    interval: i128,
}

impl Refill {
    /// `None` for no limit (0).
    pub fn per_minute(quota: u32) -> Option<Self> {
        let burst = i128::from(quota);
        (burst > 0).then(|| Self {
            burst,
            interval: (MINUTE_NANOS + burst - 1) / burst,
        })
    }
}

/// Where a quota stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What may still be taken at once.
    pub left: u64,
    /// Until all of it may be.
    pub full_in: Duration,
}

/// When the quota will be full again, in nanoseconds of monotonic time: the "theoretical arrival time".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cell(i128);

fn nanos(at: MonotonicTime) -> i128 {
    i128::try_from(at.since_start().as_nanos()).unwrap_or(i128::MAX)
}

fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

impl Cell {
    /// Takes `amount`, or says how long until it can be taken.
    pub(super) fn take(
        &mut self,
        refill: Refill,
        amount: u64,
        now: MonotonicTime,
    ) -> Result<Standing, (Standing, Duration)> {
        let now = nanos(now);
        let debt = (self.0 - now).max(0);
        let amount = i128::from(amount);
        let fits = amount.min(refill.burst) * refill.interval;
        let room = refill.burst * refill.interval - debt;
        if fits > room {
            return Err((standing(refill, debt), duration(fits - room)));
        }
        let debt = debt + amount * refill.interval;
        self.0 = now + debt;
        Ok(standing(refill, debt))
    }

    /// Undoes a take of the same moment: nothing of it has come back by itself.
    pub(super) fn undo(&mut self, refill: Refill, amount: u64, now: MonotonicTime) {
        self.0 = (self.0 - i128::from(amount) * refill.interval).max(nanos(now));
    }
}

impl Meter for Cell {
    fn whole_in(&self, now: MonotonicTime) -> Duration {
        duration(self.0 - nanos(now))
    }
}

fn standing(refill: Refill, debt: i128) -> Standing {
    let room = (refill.burst * refill.interval - debt).max(0);
    Standing {
        left: u64::try_from(room / refill.interval).unwrap_or(0),
        full_in: duration(debt),
    }
}
