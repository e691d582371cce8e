//! What keys and projects spent in the windows that somebody asks about.
//!
//! A window's sum is read once from the usage records and kept up to date from then on. The reading
//! happens beside running captures, so a window remembers up to which record it must count
//! (`counted_to`) and collects everything decided later, or decided and not yet stored, in `since_then`.

use haithe_billing::hold::BudgetSubject;
use haithe_kernel::Timestamp;
use std::collections::HashMap;

/// Windows kept per subject; the one asked for longest ago goes first.
const WINDOWS_PER_SUBJECT: usize = 4;
/// Subjects kept; above, all that hold nothing are forgotten and read again when asked for.
const SUBJECTS: usize = 20_000;

#[derive(Debug)]
struct Window {
    since: Timestamp,
    counted_to: i64,
    counted: Option<i128>,
    since_then: i128,
}

#[derive(Debug, Default)]
struct Budget {
    held: i128,
    windows: Vec<Window>,
}

/// A window whose usage records must be summed: those of `subject` from `since` on, up to number `counted_to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) subject: BudgetSubject,
    pub(crate) since: Timestamp,
    pub(crate) counted_to: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Budgets {
    subjects: HashMap<BudgetSubject, Budget>,
}

impl Budgets {
    /// Captured since then plus held now, or which records to read first.
    ///
    /// `stored` is the newest stored usage record, `unstored` what is decided for this window and not stored.
    pub(crate) fn used(
        &mut self,
        subject: BudgetSubject,
        since: Timestamp,
        stored: i64,
        unstored: impl FnOnce() -> i128,
    ) -> Result<i128, Unread> {
        if self.subjects.len() > SUBJECTS {
            self.subjects.retain(|_, budget| budget.held != 0);
        }
        let budget = self.subjects.entry(subject).or_default();
        if let Some(at) = budget.windows.iter().position(|window| window.since == since) {
            let window = budget.windows.remove(at);
            let (counted, counted_to, since_then) = (window.counted, window.counted_to, window.since_then);
            budget.windows.push(window);
            let unread = Unread {
                subject,
                since,
                counted_to,
            };
            return counted
                .map(|counted| counted + since_then + budget.held)
                .ok_or(unread);
        }
        if budget.windows.len() == WINDOWS_PER_SUBJECT {
            budget.windows.remove(0);
        }
        budget.windows.push(Window {
            since,
            counted_to: stored,
            counted: None,
            since_then: unstored(),
        });
        Err(Unread {
            subject,
            since,
            counted_to: stored,
        })
    }

    /// The sum that [`Unread`] asked for.
    pub(crate) fn read(&mut self, unread: Unread, sum: i128) {
        let windows = self
            .subjects
            .get_mut(&unread.subject)
            .map(|budget| &mut budget.windows);
        let is_it = |window: &&mut Window| {
            window.since == unread.since && window.counted_to == unread.counted_to && window.counted.is_none()
        };
        if let Some(window) = windows.and_then(|windows| windows.iter_mut().find(is_it)) {
            window.counted = Some(sum);
        }
    }

    /// Sets aside (or gives back, when negative).
    pub(crate) fn hold(&mut self, subject: BudgetSubject, amount: i128) {
        self.subjects.entry(subject).or_default().held += amount;
    }

    /// A charge decided (or taken back, when negative) at this time.
    pub(crate) fn charge(&mut self, subject: BudgetSubject, at: Timestamp, amount: i128) {
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

    const KEY: BudgetSubject = BudgetSubject::ApiKey(ApiKeyId(1));
    const MIDNIGHT: Timestamp = Timestamp::from_seconds(86_400);

    #[test]
    fn a_window_counts_what_was_read_what_followed_and_what_is_held() {
        let mut budgets = Budgets::default();
        let unread = budgets.used(KEY, MIDNIGHT, 10, || 3).unwrap_err();
        budgets.charge(KEY, MIDNIGHT.plus(std::time::Duration::from_secs(1)), 4);
        budgets.charge(KEY, MIDNIGHT.minus(std::time::Duration::from_secs(1)), 1000);
        budgets.hold(KEY, 50);
        budgets.read(unread, 100);
        budgets.read(unread, 999);
        assert_eq!(budgets.used(KEY, MIDNIGHT, 77, || 0), Ok(157));
    }

    #[test]
    fn the_oldest_window_is_forgotten_and_read_again() {
        let mut budgets = Budgets::default();
        for day in 0..6 {
            let unread = budgets
                .used(KEY, Timestamp::from_seconds(day), 0, || 0)
                .unwrap_err();
            budgets.read(unread, 1);
        }
        assert!(budgets.used(KEY, Timestamp::from_seconds(5), 0, || 0).is_ok());
        assert!(budgets.used(KEY, Timestamp::from_seconds(0), 0, || 0).is_err());
    }
}
