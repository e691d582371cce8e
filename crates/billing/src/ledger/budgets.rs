//! What API keys and projects spent in the windows of their budgets.
//!
//! A window's sum is read once from the stored captures and kept up to date from then on. The reading may happen
//! beside running captures, so a window remembers up to which mark of the store it must count and collects
//! everything decided later, or decided and not yet stored.

use crate::hold::BudgetSubject;
use haithe_kernel::Timestamp;
use std::collections::HashMap;

/// Windows kept per subject; the least recently used one is evicted first.
const WINDOWS_PER_SUBJECT: usize = 4;
/// Subjects kept; above, all that hold nothing are evicted and read again when they are needed.
const SUBJECTS: usize = 20_000;

/// A position in the store's order of captures. Only the store can interpret it: the ledger passes it back, so
/// that the store sums exactly the captures it had stored at that position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreMark(pub i64);

/// A budget window that the ledger needs before it can decide: the sum of the captures of `subject` that ended at
/// `since` or later, among those stored up to the mark `stored`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadBudget {
    /// The key or project whose captures are summed.
    pub subject: BudgetSubject,
    /// The start of the window.
    pub since: Timestamp,
    /// The last capture to count.
    pub stored: StoreMark,
}

#[derive(Debug, Clone, PartialEq)]
struct Window {
    since: Timestamp,
    stored: StoreMark,
    read: Option<i128>,
    since_then: i128,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Budget {
    held: i128,
    windows: Vec<Window>,
}

impl Budget {
    /// The window from `since` on, as the most recently used one.
    fn window(&mut self, since: Timestamp) -> Option<&mut Window> {
        let at = self.windows.iter().position(|window| window.since == since)?;
        let window = self.windows.remove(at);
        self.windows.push(window);
        self.windows.last_mut()
    }

    fn open(&mut self, window: Window) {
        if self.windows.len() == WINDOWS_PER_SUBJECT {
            self.windows.remove(0);
        }
        self.windows.push(window);
    }
}

/// Budgets in use. Amounts are nano-USDT.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Budgets {
    subjects: HashMap<BudgetSubject, Budget>,
}

impl Budgets {
    /// Captured since then plus held now, or which captures must be read first.
    ///
    /// `stored` is the mark of the newest stored capture, `unstored` what is decided for this window and not stored.
    pub(super) fn used(
        &mut self,
        subject: BudgetSubject,
        since: Timestamp,
        stored: StoreMark,
        unstored: impl FnOnce() -> i128,
    ) -> Result<i128, UnreadBudget> {
        if self.subjects.len() > SUBJECTS {
            self.subjects.retain(|_, budget| budget.held != 0);
        }
        let budget = self.subjects.entry(subject).or_default();
        let held = budget.held;
        let stored = match budget.window(since) {
            Some(window) => {
                if let Some(read) = window.read {
                    return Ok(read + window.since_then + held);
                }
                window.stored
            }
            None => {
                budget.open(Window {
                    since,
                    stored,
                    read: None,
                    since_then: unstored(),
                });
                stored
            }
        };
        Err(UnreadBudget {
            subject,
            since,
            stored,
        })
    }

    /// The sum that [`UnreadBudget`] asked for. One that is not, or no longer, needed is ignored.
    pub(super) fn read(&mut self, unread: UnreadBudget, sum: i128) {
        let windows = self
            .subjects
            .get_mut(&unread.subject)
            .map(|budget| &mut budget.windows);
        let is_it = |window: &&mut Window| {
            window.since == unread.since && window.stored == unread.stored && window.read.is_none()
        };
        if let Some(window) = windows.and_then(|windows| windows.iter_mut().find(is_it)) {
            window.read = Some(sum);
        }
    }

    /// Sets aside (or gives back, when negative).
    pub(super) fn hold(&mut self, subject: BudgetSubject, amount: i128) {
        self.subjects.entry(subject).or_default().held += amount;
    }

    /// A charge decided (or taken back, when negative) at this time.
    pub(super) fn charge(&mut self, subject: BudgetSubject, at: Timestamp, amount: i128) {
        if let Some(budget) = self.subjects.get_mut(&subject) {
            for window in budget.windows.iter_mut().filter(|window| window.since <= at) {
                window.since_then += amount;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_identity::api_key::ApiKeyId;
    use std::time::Duration;

    const KEY: BudgetSubject = BudgetSubject::ApiKey(ApiKeyId(1));
    const MIDNIGHT: Timestamp = Timestamp::from_seconds(86_400);

    #[test]
    fn a_window_counts_what_was_read_what_followed_and_what_is_held() {
        let mut budgets = Budgets::default();
        let unread = budgets.used(KEY, MIDNIGHT, StoreMark(10), || 3).unwrap_err();
        budgets.charge(KEY, MIDNIGHT.plus(Duration::from_secs(1)), 4);
        budgets.charge(KEY, MIDNIGHT.minus(Duration::from_secs(1)), 1000);
        budgets.hold(KEY, 50);
        let again = budgets.used(KEY, MIDNIGHT, StoreMark(12), || 1000).unwrap_err();
        assert_eq!(again, unread, "a window keeps its mark until it is read");
        budgets.read(unread, 100);
        budgets.read(unread, 999);
        assert_eq!(budgets.used(KEY, MIDNIGHT, StoreMark(77), || 0), Ok(157));
    }

    #[test]
    fn the_least_recently_used_window_is_evicted_and_read_again() {
        let mut budgets = Budgets::default();
        let day = Timestamp::from_seconds;
        for number in 0..6 {
            let unread = budgets.used(KEY, day(number), StoreMark(0), || 0).unwrap_err();
            budgets.read(unread, 1);
        }
        assert!(budgets.used(KEY, day(5), StoreMark(0), || 0).is_ok());
        assert!(budgets.used(KEY, day(0), StoreMark(0), || 0).is_err());
    }
}
