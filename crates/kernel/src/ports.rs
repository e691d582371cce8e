//! Ports for what the domain cannot compute: time, chance, and work that outlives a request.

use crate::{MonotonicTime, Timestamp};
use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// The time of day, and time that only moves forward.
///
/// What is written, shown or signed has the time of day. Durations within the process (rates, pauses, ages of
/// what is cached) take [`monotonic`](Self::monotonic): a step of the time of day must not lengthen or shorten
/// them.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait Clock: Send + Sync {
    /// The time of day, UTC. An operator or a time server may set it forward or back at any moment.
    fn now(&self) -> Timestamp;
    /// Time that passes whatever happens to the time of day; it never decreases.
    fn monotonic(&self) -> MonotonicTime;
}

/// Unpredictable bytes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait Random: Send + Sync {
    /// 16 bytes from the operating system's cryptographic generator.
    fn bytes16(&self) -> [u8; 16];
    /// 32 bytes from the operating system's cryptographic generator.
    fn bytes32(&self) -> [u8; 32] {
        let mut both = [0; 32];
        let halves = [self.bytes16(), self.bytes16()];
        for (slot, byte) in both.iter_mut().zip(halves.iter().flatten()) {
            *slot = *byte;
        }
        both
    }
}

/// Work that must finish although the request that started it may be dropped, such as a capture.
///
/// A graceful stop waits for these tasks.
pub trait Tasks: Send + Sync {
    /// Starts `work`; `name` appears in logs.
    fn spawn(&self, name: &'static str, work: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Whether the service is stopping and closes callers' connections itself. A connection that
    /// closes while this is `true` does not mean that its caller left.
    fn stopping(&self) -> bool {
        false
    }
}

/// Waiting, such as between two tries.
pub trait Timer: Send + Sync {
    /// Ends after `span`. Dropping it ends the wait.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A clock that stands still until it is moved. For tests and replays.
#[derive(Debug)]
pub struct FixedClock {
    /// The time of day, in microseconds since the epoch.
    day: AtomicI64,
    /// Microseconds that have passed.
    passed: AtomicU64,
}

/// How long a [`FixedClock`]'s process has run when the clock is made.
const RUN_BEFORE: Duration = Duration::from_secs(86_400);

impl FixedClock {
    /// Stands at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self {
            day: AtomicI64::new(at.micros()),
            passed: AtomicU64::new(u64::try_from(RUN_BEFORE.as_micros()).unwrap_or(0)),
        }
    }

    /// Time passes.
    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        self.day.fetch_add(micros, Ordering::SeqCst);
        self.passed.fetch_add(micros.unsigned_abs(), Ordering::SeqCst);
    }

    /// Sets the time of day, as an operator or a time server does. No time passes.
    pub fn set(&self, at: Timestamp) {
        self.day.store(at.micros(), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.day.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> MonotonicTime {
        MonotonicTime::from_start(Duration::from_micros(self.passed.load(Ordering::SeqCst)))
    }
}

impl Timer for FixedClock {
    /// Moves the clock at once: whoever waits on it finds that the time has passed.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.advance(span);
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_time_of_day_lets_no_time_pass() {
        let noon = Timestamp::from_seconds(43_200);
        let clock = FixedClock::at(noon);
        let began = clock.monotonic();
        clock.set(noon.minus(Duration::from_secs(3_600)));
        assert_eq!(clock.monotonic(), began);
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.monotonic().since(began), Duration::from_secs(1));
        assert_eq!(noon.since(clock.now()), Duration::from_secs(3_599));
    }
}
