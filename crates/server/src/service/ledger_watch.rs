//! When the ledger was last compared with the chain, and what came of it.

use serde::Serialize;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use utoipa::ToSchema;

/// Watches the periodic ledger check: a check that cannot be made is as dangerous as one that fails.
#[derive(Debug)]
pub struct LedgerWatch {
    /// A completed check may be this old.
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last completed check; before the first, the start of the process.
    since: Instant,
    completed: bool,
    clean: bool,
    /// When the last alarm about an overdue check was raised.
    raised: Option<Instant>,
}

/// The comparison of the ledger with the chain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerHealth)]
pub struct LedgerView {
    /// The last check found no difference, and a check was completed recently enough.
    ok: bool,
    /// Age of the last completed check; `null` before the first.
    #[schema(required = true)]
    checked_seconds_ago: Option<u64>,
}

impl LedgerView {
    pub(super) const fn is_ok(&self) -> bool {
        self.ok
    }
}

impl LedgerWatch {
    /// Raises an alarm when no check was completed for `limit`.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                since: Instant::now(),
                completed: false,
                clean: true,
                raised: None,
            }),
        }
    }

    /// A check was completed; `clean` says whether it found nothing.
    pub fn completed(&self, clean: bool) {
        let mut state = self.lock();
        *state = State {
            since: Instant::now(),
            completed: true,
            clean,
            raised: None,
        };
    }

    /// Whether the last completed check found no difference; `true` before the first.
    pub fn found_no_difference(&self) -> bool {
        self.lock().clean
    }

    /// How long no check was completed, where that is longer than the limit and an alarm is due: one
    /// when the limit is passed, then one per limit.
    pub fn overdue(&self) -> Option<Duration> {
        let mut state = self.lock();
        let due = state.raised.unwrap_or(state.since).elapsed() > self.limit;
        due.then(|| {
            state.raised = Some(Instant::now());
            state.since.elapsed()
        })
    }

    /// Age of the last completed check; before the first, of the process.
    pub fn age(&self) -> Duration {
        self.lock().since.elapsed()
    }

    /// For the health route.
    pub fn view(&self) -> LedgerView {
        let state = self.lock();
        let age = state.since.elapsed();
        LedgerView {
            ok: state.clean && age <= self.limit,
            checked_seconds_ago: state.completed.then_some(age.as_secs()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn raises_one_alarm_per_limit_until_a_check_is_completed() {
        let watch = LedgerWatch::new(Duration::ZERO);
        assert!(watch.overdue().is_some(), "nothing was ever completed");
        watch.completed(true);
        let patient = LedgerWatch::new(LONG);
        assert!(patient.overdue().is_none());
        assert!(patient.view().is_ok());
        assert_eq!(patient.view().checked_seconds_ago, None);
    }

    #[test]
    fn a_difference_is_not_ok_until_a_clean_check() {
        let watch = LedgerWatch::new(LONG);
        watch.completed(false);
        assert!(!watch.view().is_ok());
        watch.completed(true);
        assert!(watch.view().is_ok());
        assert_eq!(watch.view().checked_seconds_ago, Some(0));
    }
}
