//! Sums of captures by API key and by project, as a store keeps them in rows beside the captures.

use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{OrgId, ProjectId, Timestamp};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Whose captures are summed. Its `Display` form is its name in storage, and reads back with `FromStr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpendingSubject {
    /// Calls with an API key.
    ApiKey(ApiKeyId),
    /// Calls of a project that an organization paid for.
    Project(OrgId, ProjectId),
}

impl fmt::Display for SpendingSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(key) => write!(f, "key/{}", key.0),
            Self::Project(org, project) => write!(f, "org/{}/project/{}", org.0, project.0),
        }
    }
}

/// The text is not the name of a [`SpendingSubject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name of a spending subject")]
pub struct SpendingSubjectError;

impl FromStr for SpendingSubject {
    type Err = SpendingSubjectError;

    /// Reads what `Display` writes.
    fn from_str(name: &str) -> Result<Self, SpendingSubjectError> {
        let number = |text: &str| text.parse().map_err(|_| SpendingSubjectError);
        let mut parts = name.split('/');
        let parts = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        );
        match parts {
            (Some("key"), Some(key), None, _, _) => Ok(Self::ApiKey(ApiKeyId(number(key)?))),
            (Some("org"), Some(org), Some("project"), Some(project), None) => {
                Ok(Self::Project(OrgId(number(org)?), ProjectId(number(project)?)))
            }
            _ => Err(SpendingSubjectError),
        }
    }
}

/// A sum of captures that a store keeps: those of `subject` that ended at `since` or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendingSum {
    /// Whose captures.
    pub subject: SpendingSubject,
    /// The start of a budget's window; `None` for all time.
    pub since: Option<Timestamp>,
    /// Nano-USDT.
    pub nano: i128,
}

/// The sums of the subjects that a group of commands is about. Every subject has one of all time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpendingSums {
    sums: BTreeMap<(SpendingSubject, Option<Timestamp>), (i128, bool)>,
}

impl SpendingSums {
    /// Adds a sum as it is stored.
    pub fn add(&mut self, sum: SpendingSum) {
        self.sums.insert((sum.subject, sum.since), (sum.nano, false));
    }

    /// Adds a sum that is not stored yet.
    pub fn add_new(&mut self, sum: SpendingSum) {
        self.sums.insert((sum.subject, sum.since), (sum.nano, true));
    }

    /// The sum, in nano-USDT; `None` when it is not there.
    pub fn get(&self, subject: SpendingSubject, since: Option<Timestamp>) -> Option<i128> {
        self.sums.get(&(subject, since)).map(|(nano, _)| *nano)
    }

    /// The sums of all time.
    pub(super) fn all_time(&self) -> impl Iterator<Item = SpendingSum> + '_ {
        let all_time = self.sums.iter().filter(|((_, since), _)| since.is_none());
        all_time.map(|((subject, since), (nano, _))| SpendingSum {
            subject: *subject,
            since: *since,
            nano: *nano,
        })
    }

    /// Counts a capture that ended at `at` in every sum of the subject.
    pub fn charge(&mut self, subject: SpendingSubject, at: Timestamp, nano: i128) {
        if nano == 0 {
            return;
        }
        self.sums.entry((subject, None)).or_insert((0, true));
        let of_subject = self.sums.iter_mut().filter(|((other, _), _)| *other == subject);
        for ((_, since), (sum, changed)) in of_subject {
            if since.is_none_or(|since| since <= at) {
                *sum += nano;
                *changed = true;
            }
        }
    }

    /// The sums that must be stored.
    pub fn changed(&self) -> impl Iterator<Item = SpendingSum> + '_ {
        let changed = self.sums.iter().filter(|(_, (_, changed))| *changed);
        changed.map(|((subject, since), (nano, _))| SpendingSum {
            subject: *subject,
            since: *since,
            nano: *nano,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const KEY: SpendingSubject = SpendingSubject::ApiKey(ApiKeyId(7));
    const PROJECT: SpendingSubject = SpendingSubject::Project(OrgId(1), ProjectId(2));
    const NOON: Timestamp = Timestamp::from_seconds(43_200);

    #[test]
    fn every_subject_reads_back_from_its_name() {
        for subject in [KEY, PROJECT] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        for name in [
            "",
            "key",
            "key/x",
            "key/1/2",
            "org/1/project",
            "org/1/project/2/3",
            "project/1",
        ] {
            assert_eq!(
                name.parse::<SpendingSubject>(),
                Err(SpendingSubjectError),
                "{name}"
            );
        }
    }

    #[test]
    fn a_capture_counts_for_all_time_and_in_the_windows_that_began_before_it() {
        let sum = |subject, since, nano| SpendingSum { subject, since, nano };
        let later = NOON.plus(Duration::from_secs(1));
        let mut sums = SpendingSums::default();
        sums.add(sum(KEY, None, 100));
        sums.add(sum(KEY, Some(NOON), 10));
        sums.add(sum(KEY, Some(later), 1));
        sums.charge(KEY, NOON, 5);
        sums.charge(PROJECT, NOON, 3);
        sums.charge(PROJECT, NOON, 0);
        assert_eq!(sums.get(KEY, None), Some(105));
        assert_eq!(sums.get(KEY, Some(later)), Some(1));
        let changed: Vec<_> = sums.changed().collect();
        let expected = [
            sum(KEY, None, 105),
            sum(KEY, Some(NOON), 15),
            sum(PROJECT, None, 3),
        ];
        assert_eq!(changed, expected);
    }
}
