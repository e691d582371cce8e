//! The contracts' active time: block time less all time spent paused.
//!
//! A withdrawal's window is counted in it. A series of pauses ends by itself after [`MAX_PAUSE`], without an
//! event; a pause set after that end begins a new series (`ExpiringPause.sol`).

use super::{ChainEvent, EventBody};
use haithe_kernel::Timestamp;
use std::time::Duration;

/// The longest series of pauses, as the contracts say.
pub const MAX_PAUSE: Duration = Duration::from_secs(7 * 86_400);

/// The active time at `now`, after these pauses in the order of the chain.
pub fn active_time<'a>(now: Timestamp, pauses: impl IntoIterator<Item = &'a ChainEvent>) -> Timestamp {
    let mut paused = PauseClock::default();
    for event in pauses {
        paused.see(event);
    }
    now.minus(paused.until(now))
}

/// Time spent paused so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PauseClock {
    before: Duration,
    series: Option<Timestamp>,
    running: Option<Timestamp>,
}

impl PauseClock {
    /// Takes the next event of the chain in; anything but the beginning and the end of a pause changes nothing.
    pub fn see(&mut self, event: &ChainEvent) {
        match event.body {
            EventBody::Paused => self.begin(event.block_time),
            EventBody::Unpaused => self.end(event.block_time),
            _ => {}
        }
    }

    fn begin(&mut self, at: Timestamp) {
        self.end(at);
        if self.series.is_none_or(|since| at >= since.plus(MAX_PAUSE)) {
            self.series = Some(at);
        }
        self.running = Some(at);
    }

    fn end(&mut self, at: Timestamp) {
        self.before += self.length(at);
        self.running = None;
    }

    /// Time spent paused up to `at`, which is not before what was seen last.
    pub fn until(&self, at: Timestamp) -> Duration {
        self.before + self.length(at)
    }

    /// When the pause that is in force at `at` ends by itself, if one is.
    pub fn ends_at(&self, at: Timestamp) -> Option<Timestamp> {
        self.running?;
        self.series
            .map(|series| series.plus(MAX_PAUSE))
            .filter(|end| *end > at)
    }

    fn length(&self, at: Timestamp) -> Duration {
        let (Some(since), Some(series)) = (self.running, self.series) else {
            return Duration::ZERO;
        };
        at.min(series.plus(MAX_PAUSE)).since(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn day(day: i64) -> Timestamp {
        Timestamp::from_seconds(day * 86_400)
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_pause_counts_until_it_is_lifted() {
        let mut paused = PauseClock::default();
        paused.begin(day(10));
        assert_eq!(paused.until(day(12)), 2 * DAY);
        assert_eq!(paused.ends_at(day(12)), Some(day(17)));
        assert_eq!(paused.ends_at(day(17)), None);
        paused.end(day(13));
        assert_eq!(paused.until(day(20)), 3 * DAY);
        assert_eq!(paused.ends_at(day(14)), None);
    }

    #[test]
    fn active_time_leaves_pauses_out() {
        let pauses = [(10, EventBody::Paused), (12, EventBody::Unpaused)].map(|(at, body)| ChainEvent {
            block_time: day(at),
            ..crate::chain::tests::event(1, 0, body)
        });
        assert_eq!(active_time(day(20), &pauses), day(18));
        assert_eq!(active_time(day(11), &pauses[..1]), day(10));
        assert_eq!(active_time(day(20), &[]), day(20));
    }

    #[test]
    fn a_series_of_pauses_runs_out_after_seven_days() {
        let mut paused = PauseClock::default();
        paused.begin(day(10));
        paused.end(day(12));
        paused.begin(day(15));
        assert_eq!(
            paused.until(day(30)),
            4 * DAY,
            "two days, and from the 15th to the 17th"
        );
        paused.begin(day(40));
        assert_eq!(
            paused.until(day(60)),
            11 * DAY,
            "a new series lasts seven days again"
        );
    }
}
