//! The conditions that are active now.

use super::{Condition, Severity};
use haithe_kernel::{Clock, Timestamp};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Active conditions, by what they are about. Shared by everything that detects one and by everything that reports
/// them. The log has one line when one begins and one when it ends.
pub struct Conditions {
    clock: Arc<dyn Clock>,
    active: Mutex<BTreeMap<(Condition, String), Begun>>,
    /// How many are active, so that clearing nothing takes no lock.
    count: AtomicUsize,
}

struct Begun {
    since: Timestamp,
    message: String,
}

/// A condition that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCondition {
    /// Which.
    pub condition: Condition,
    /// What it is about, such as a provider's name; empty when there is only one such thing.
    pub subject: String,
    /// When it was detected.
    pub since: Timestamp,
    /// What is wrong, for operators; contains no secret.
    pub message: String,
}

impl Conditions {
    /// None is active.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            active: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    /// Raises a condition about `subject` (empty: there is only one), or replaces the message of one that is active.
    /// The message must not contain secrets: readiness shows it to unauthenticated clients.
    pub fn raise(&self, condition: Condition, subject: &str, message: impl Into<String>) {
        let message = message.into();
        let mut active = self.lock();
        match active.entry((condition, subject.to_owned())) {
            Entry::Occupied(mut entry) => entry.get_mut().message = message,
            Entry::Vacant(entry) => {
                tracing::error!(
                    condition = condition.name(),
                    subject,
                    severity = condition.severity().as_str(),
                    reason = message,
                    remedy = condition.remedy(),
                    "readiness condition raised"
                );
                entry.insert(Begun {
                    since: self.clock.now(),
                    message,
                });
            }
        }
        self.count.store(active.len(), Ordering::Release);
    }

    /// Ends a condition about `subject`, if it is active.
    pub fn clear(&self, condition: Condition, subject: &str) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut active = self.lock();
        if let Some(begun) = active.remove(&(condition, subject.to_owned())) {
            tracing::info!(
                condition = condition.name(),
                subject,
                since = %begun.since,
                "readiness condition cleared"
            );
        }
        self.count.store(active.len(), Ordering::Release);
    }

    /// Raises the condition with this message, or ends it.
    pub fn set(&self, condition: Condition, subject: &str, message: Option<String>) {
        match message {
            Some(message) => self.raise(condition, subject, message),
            None => self.clear(condition, subject),
        }
    }

    /// All that are active, in the order of [`Condition::ALL`] and by subject.
    pub fn active(&self) -> Vec<ActiveCondition> {
        let active = self.lock();
        active
            .iter()
            .map(|((condition, subject), begun)| ActiveCondition {
                condition: *condition,
                subject: subject.clone(),
                since: begun.since,
                message: begun.message.clone(),
            })
            .collect()
    }

    /// Whether this condition is active about anything.
    pub fn is_active(&self, condition: Condition) -> bool {
        self.lock().keys().any(|(active, _)| *active == condition)
    }

    /// The most severe of those that are active.
    pub fn severity(&self) -> Option<Severity> {
        self.lock()
            .keys()
            .map(|(condition, _)| condition.severity())
            .min()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Condition, String), Begun>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.active()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::FixedClock;
    use std::time::Duration;

    const KEYS: Condition = Condition::ProviderCredentialsRejected;

    fn board() -> (Arc<FixedClock>, Conditions) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        (clock.clone(), Conditions::new(clock))
    }

    #[test]
    fn a_condition_keeps_its_beginning_while_its_message_changes() {
        let (clock, board) = board();
        board.raise(KEYS, "a", "first");
        clock.advance(Duration::from_secs(60));
        board.raise(KEYS, "a", "second");
        let [active] = board.active().try_into().unwrap();
        assert_eq!(active.since, Timestamp::from_seconds(1_000));
        assert_eq!(
            (active.subject.as_str(), active.message.as_str()),
            ("a", "second")
        );
    }

    #[test]
    fn a_condition_ends_when_its_last_subject_recovers_and_begins_anew_later() {
        let (clock, board) = board();
        board.clear(KEYS, "a");
        board.raise(KEYS, "a", "rejected");
        board.raise(KEYS, "b", "rejected");
        board.clear(KEYS, "a");
        assert!(board.is_active(KEYS));
        board.set(KEYS, "b", None);
        assert!(!board.is_active(KEYS));
        assert_eq!(board.severity(), None);
        clock.advance(Duration::from_secs(5));
        board.set(KEYS, "b", Some("again".to_owned()));
        assert_eq!(board.active()[0].since, Timestamp::from_seconds(1_005));
    }

    #[test]
    fn the_most_severe_condition_decides() {
        let (_, board) = board();
        board.raise(Condition::LedgerDifference, "", "a difference");
        assert_eq!(board.severity(), Some(Severity::Degraded));
        board.raise(Condition::DatabaseUnwritable, "", "the disk is full");
        assert_eq!(board.severity(), Some(Severity::Unready));
        board.clear(Condition::DatabaseUnwritable, "");
        assert_eq!(board.severity(), Some(Severity::Degraded));
    }
}
