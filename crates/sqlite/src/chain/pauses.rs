//! The contracts' active time: block time less all time spent paused.
//!
//! A withdrawal's window is counted in it. A series of pauses ends by itself after `MAX_PAUSE`,
//! without an event; a pause set after that end begins a new series (`ExpiringPause.sol`).

use super::{read_event, select_events, step::Indexing};
use haithe_billing::chain::{ChainEvent, EventBody};
use haithe_kernel::{StoreError, Timestamp};
use std::time::Duration;

/// The longest series of pauses, as the contracts say.
const MAX_PAUSE: Duration = Duration::from_secs(7 * 86_400);

/// The active time of the newest remembered block up to `block`.
pub(super) async fn active_time(
    indexing: &mut Indexing<'_, '_>,
    block: i64,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(now) = indexing.write.time_at(block).await? else {
        return Ok(None);
    };
    let pauses =
        select_events!("WHERE kind IN ('paused', 'unpaused') AND block <= ? ORDER BY block, log_index");
    let mut paused = Paused::default();
    for row in indexing.write.all(sqlx::query(pauses).bind(block)).await? {
        paused.see(&read_event(&row)?.event);
    }
    Ok(Some(now.minus(paused.until(now))))
}

/// Time spent paused so far.
#[derive(Default)]
pub(crate) struct Paused {
    before: Duration,
    series: Option<Timestamp>,
    running: Option<Timestamp>,
}

impl Paused {
    /// What came next on chain; anything but the beginning and the end of a pause changes nothing.
    pub(crate) fn see(&mut self, event: &ChainEvent) {
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
    pub(crate) fn until(&self, at: Timestamp) -> Duration {
        self.before + self.length(at)
    }

    /// When the pause that is in force at `at` ends by itself, if one is.
    pub(crate) fn ends_at(&self, at: Timestamp) -> Option<Timestamp> {
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
        let mut paused = Paused::default();
        paused.begin(day(10));
        assert_eq!(paused.until(day(12)), 2 * DAY);
        assert_eq!(paused.ends_at(day(12)), Some(day(17)));
        assert_eq!(paused.ends_at(day(17)), None);
        paused.end(day(13));
        assert_eq!(paused.until(day(20)), 3 * DAY);
        assert_eq!(paused.ends_at(day(14)), None);
    }

    #[test]
    fn a_series_of_pauses_runs_out_after_seven_days() {
        let mut paused = Paused::default();
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
