//! The gate in front of new charges: open while settlement keeps up with the chain.
//!
//! An organization's owner can take deposits out after the withdrawal delay. Whoever admits charges
//! must therefore see requests for withdrawal, and settle what was charged, well within that delay.
//! Both are watermarks in time, and each may lag by a quarter of the delay. The gate closes by itself
//! as time passes: a task that died cannot keep it open. What is reported has a time of day; its age is taken
//! once, when it is reported, and grows with monotonic time from then on, so that a step of the time of day
//! neither closes the gate nor holds it open.

use crate::hold::HoldError;
use haithe_kernel::{Clock, MonotonicTime, Timestamp};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Admits new charges while the index and settlement keep up. Cheap enough for every call.
pub struct SettlementGate {
    clock: Arc<dyn Clock>,
    limit: Duration,
    /// Microseconds of monotonic time; negative for what was before its start.
    indexed: AtomicI64,
    /// The same.
    settled: AtomicI64,
}

/// How far behind the index and settlement are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettlementLag {
    /// Since when facts of the chain may be missing.
    pub index: Duration,
    /// Age of the oldest charge that waits for settlement.
    pub settlement: Duration,
    /// At most this much of either.
    pub limit: Duration,
}

impl SettlementLag {
    /// Whether new charges are admitted.
    pub fn is_tolerable(&self) -> bool {
        self.index <= self.limit && self.settlement <= self.limit
    }
}

impl SettlementGate {
    /// Open, as if all were caught up now; `withdrawal_delay` is the contracts'.
    pub fn new(clock: Arc<dyn Clock>, withdrawal_delay: Duration) -> Self {
        let now = micros(clock.monotonic());
        Self {
            clock,
            limit: withdrawal_delay / 4,
            indexed: AtomicI64::new(now),
            settled: AtomicI64::new(now),
        }
    }

    /// # Errors
    /// [`HoldError::SettlementDelayed`] while the index or settlement lags too far.
    pub fn admit(&self) -> Result<(), HoldError> {
        if self.lag().is_tolerable() {
            Ok(())
        } else {
            Err(HoldError::SettlementDelayed)
        }
    }

    /// The lag now, for health and metrics.
    pub fn lag(&self) -> SettlementLag {
        let now = micros(self.clock.monotonic());
        let since = |mark: &AtomicI64| {
            let passed = now.saturating_sub(mark.load(Relaxed));
            Duration::from_micros(u64::try_from(passed).unwrap_or(0))
        };
        SettlementLag {
            index: since(&self.indexed),
            settlement: since(&self.settled),
            limit: self.limit,
        }
    }

    /// Everything that happened on chain until `time` is indexed.
    pub fn indexed_through(&self, time: Timestamp) {
        self.indexed.store(self.mark(time), Relaxed);
    }

    /// Everything charged before `time` is settled.
    pub fn settled_through(&self, time: Timestamp) {
        self.settled.store(self.mark(time), Relaxed);
    }

    /// Something charged at `time`, or a little before, is not settled yet.
    pub fn unsettled_since(&self, time: Timestamp) {
        self.settled.fetch_min(self.mark(time), Relaxed);
    }

    /// The moment of monotonic time that is as long ago as `time` is now.
    fn mark(&self, time: Timestamp) -> i64 {
        let age = self.clock.now().since(time).as_micros();
        micros(self.clock.monotonic()).saturating_sub(i64::try_from(age).unwrap_or(i64::MAX))
    }
}

fn micros(at: MonotonicTime) -> i64 {
    i64::try_from(at.since_start().as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Debug for SettlementGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettlementGate").field(&self.lag()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::FixedClock;

    const HOUR: Duration = Duration::from_secs(3600);

    fn gate() -> (Arc<FixedClock>, SettlementGate) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000_000)));
        let gate = SettlementGate::new(clock.clone(), 24 * HOUR);
        (clock, gate)
    }

    #[test]
    fn it_closes_by_itself_when_nobody_reports_for_a_quarter_of_the_delay() {
        let (clock, gate) = gate();
        clock.advance(6 * HOUR);
        assert!(gate.admit().is_ok());
        clock.advance(Duration::from_micros(1));
        assert!(matches!(gate.admit(), Err(HoldError::SettlementDelayed)));
    }

    #[test]
    fn it_needs_both_the_index_and_settlement() {
        let (clock, gate) = gate();
        clock.advance(7 * HOUR);
        gate.indexed_through(clock.now());
        assert!(gate.admit().is_err());
        gate.settled_through(clock.now());
        assert!(gate.admit().is_ok());
        clock.advance(7 * HOUR);
        gate.settled_through(clock.now());
        assert!(gate.admit().is_err());
    }

    #[test]
    fn an_old_charge_moves_the_mark_back_and_a_new_one_does_not_move_it_forward() {
        let (clock, gate) = gate();
        let start = clock.now();
        gate.unsettled_since(start.plus(HOUR));
        assert_eq!(gate.lag().settlement, Duration::ZERO);
        gate.unsettled_since(start.minus(5 * HOUR));
        assert_eq!(gate.lag().settlement, 5 * HOUR);
        assert!(gate.admit().is_ok());
        gate.unsettled_since(start.minus(7 * HOUR));
        assert!(gate.admit().is_err());
    }

    #[test]
    fn a_step_of_the_time_of_day_neither_closes_it_nor_holds_it_open() {
        let (clock, gate) = gate();
        gate.settled_through(clock.now().minus(HOUR));
        clock.set(clock.now().plus(100 * HOUR));
        assert_eq!(gate.lag().settlement, HOUR);
        clock.set(clock.now().minus(200 * HOUR));
        assert_eq!(gate.lag().settlement, HOUR);
        clock.advance(6 * HOUR);
        assert!(gate.admit().is_err());
    }

    #[test]
    fn what_is_older_than_the_process_keeps_its_age() {
        let (clock, gate) = gate();
        gate.unsettled_since(clock.now().minus(240 * HOUR));
        assert_eq!(gate.lag().settlement, 240 * HOUR);
    }

    #[test]
    fn a_chain_whose_clock_runs_ahead_is_no_lag() {
        let (clock, gate) = gate();
        gate.indexed_through(clock.now().plus(HOUR));
        assert_eq!(gate.lag().index, Duration::ZERO);
    }
}
