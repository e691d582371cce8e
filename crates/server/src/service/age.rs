//! How long ago something happened, whatever is done to the time of day meanwhile.

use haithe_kernel::{Clock, MonotonicTime, Timestamp};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The age of the newest of a row of moments, such as the times of indexed blocks.
///
/// The moment is compared with the time of day once, when it is first seen; from then on its age grows with
/// monotonic time. So a step of the time of day back does not make a standing index look fresh, and a step
/// forward does not make the moment that is known already look old.
pub struct Age {
    clock: Arc<dyn Clock>,
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    moment: Timestamp,
    /// How old it was then.
    age: Duration,
    at: MonotonicTime,
}

impl Age {
    /// No moment was seen yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            seen: Mutex::default(),
        }
    }

    /// The age of `moment`; zero for one that was in the future when it was first seen.
    pub fn of(&self, moment: Timestamp) -> Duration {
        let now = self.clock.monotonic();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.filter(|seen| seen.moment == moment).unwrap_or_else(|| Seen {
            moment,
            age: self.clock.now().since(moment),
            at: now,
        });
        *seen = Some(known);
        known.age.saturating_add(now.since(known.at))
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Age").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::FixedClock;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_step_of_the_time_of_day_changes_no_age() {
        let noon = Timestamp::from_seconds(1_700_000_000);
        let clock = Arc::new(FixedClock::at(noon));
        let age = Age::new(clock.clone());
        let block = noon.minus(Duration::from_secs(5));
        assert_eq!(age.of(block), Duration::from_secs(5));
        clock.advance(Duration::from_secs(10));
        clock.set(clock.now().minus(HOUR));
        assert_eq!(age.of(block), Duration::from_secs(15));
        clock.set(clock.now().plus(5 * HOUR));
        assert_eq!(age.of(block), Duration::from_secs(15));
        clock.advance(HOUR);
        assert_eq!(age.of(block), HOUR + Duration::from_secs(15));
    }

    #[test]
    fn a_new_moment_has_an_age_of_its_own() {
        let noon = Timestamp::from_seconds(1_700_000_000);
        let clock = Arc::new(FixedClock::at(noon));
        let age = Age::new(clock.clone());
        age.of(noon.minus(HOUR));
        assert_eq!(age.of(noon), Duration::ZERO);
        let ahead = noon.plus(Duration::from_secs(3));
        assert_eq!(age.of(ahead), Duration::ZERO, "the chain's clock is ahead");
        clock.advance(Duration::from_secs(7));
        assert_eq!(age.of(ahead), Duration::from_secs(7));
    }
}
