//! Failures that are remembered, so that work which fails is not repeated for every call.
//!
//! Work on a creator's input is free for whoever causes it. An input that failed is therefore refused
//! with the same error for a while, and for longer each time that it fails again.

use haithe_kernel::MonotonicTime;
use moka::future::Cache;
use std::{hash::Hash, time::Duration};

/// How long a failure is remembered: `first`, then twice as long for each repetition, up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pauses {
    pub first: Duration,
    pub longest: Duration,
}

impl Pauses {
    /// The pause after failure number `count`, which begins at 1.
    fn after(self, count: u32) -> Duration {
        let factor = 2_u32.saturating_pow(count.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[derive(Clone)]
struct Failed<E> {
    count: u32,
    until: MonotonicTime,
    error: E,
}

/// The failures of one kind of work, by what was worked on. Bounded in number.
pub(crate) struct Failures<K, E> {
    kept: Cache<K, Failed<E>>,
    pauses: Pauses,
}

impl<K, E> Failures<K, E>
where
    K: Hash + Eq + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Remembers at most `most` failures; those that nobody asks for are evicted first.
    pub(crate) fn new(pauses: Pauses, most: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(most)
            // A failure that is over still counts for the next pause, but not forever.
            .time_to_live(pauses.longest.saturating_mul(2))
            .build();
        Self { kept, pauses }
    }

    /// The error with which this work is refused now, if it is.
    pub(crate) async fn current(&self, key: &K, now: MonotonicTime) -> Option<E> {
        let failed = self.kept.get(key).await?;
        (now < failed.until).then_some(failed.error)
    }

    /// Remembers that this work failed at `now`; returns for how long it is refused.
    pub(crate) async fn remember(&self, key: K, error: E, now: MonotonicTime) -> Duration {
        let before = self.kept.get(&key).await.map_or(0, |failed| failed.count);
        let count = before.saturating_add(1);
        let pause = self.pauses.after(count);
        let until = now.plus(pause);
        let failed = Failed { count, until, error };
        self.kept.insert(key, failed).await;
        pause
    }

    /// The work succeeded: its next failure is the first one again.
    pub(crate) async fn forget(&self, key: &K) {
        if self.kept.contains_key(key) {
            self.kept.invalidate(key).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses {
        first: Duration::from_secs(10),
        longest: Duration::from_secs(60),
    };

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime::from_start(Duration::from_secs(seconds))
    }

    #[tokio::test]
    async fn each_repeated_failure_is_remembered_for_twice_as_long_up_to_a_limit() {
        let failures = Failures::new(PAUSES, 10);
        let mut now = 1_000;
        for pause in [10, 20, 40, 60, 60] {
            failures.remember("a", "broken", at(now)).await;
            assert_eq!(failures.current(&"a", at(now + pause - 1)).await, Some("broken"));
            assert_eq!(failures.current(&"a", at(now + pause)).await, None);
            now += pause;
        }
        assert_eq!(failures.current(&"b", at(now)).await, None);
    }

    #[tokio::test]
    async fn a_success_resets_the_pause() {
        let failures = Failures::new(PAUSES, 10);
        failures.remember("a", "broken", at(0)).await;
        failures.remember("a", "broken", at(10)).await;
        failures.forget(&"a").await;
        failures.remember("a", "broken", at(30)).await;
        assert_eq!(failures.current(&"a", at(39)).await, Some("broken"));
        assert_eq!(failures.current(&"a", at(40)).await, None);
    }

    #[tokio::test]
    async fn the_number_of_remembered_failures_is_bounded() {
        let failures = Failures::new(PAUSES, 10);
        for number in 0..1_000_u32 {
            failures.remember(number, "broken", at(0)).await;
        }
        failures.kept.run_pending_tasks().await;
        assert!(failures.kept.entry_count() <= 10);
    }
}
