//! Whether the last backup is recent enough.
//!
//! Whatever makes a backup writes its time to the *marker file* when the backup is complete: one line with the RFC
//! 3339 time at which the backup was begun, such as `2026-01-31T12:00:00Z`. The server only reads it.

use haithe_kernel::Timestamp;
use std::{fs::File, io::Read, path::Path, path::PathBuf, time::Duration};

/// A marker is read up to this many bytes.
const MARKER_BYTES: u64 = 64;

/// Which backups are recent enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupRule {
    /// The marker file; `None` when no place is known for it.
    pub marker: Option<PathBuf>,
    /// A backup may be this old.
    pub max_age: Duration,
}

/// What the marker file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastBackup {
    /// There is no marker file.
    Unknown,
    /// It cannot be read, or its first line is not an RFC 3339 time.
    Unreadable,
    /// The last backup was begun then.
    At(Timestamp),
}

impl BackupRule {
    /// Why no backup is recent enough at `now`, if so. Reads the marker file.
    pub(super) fn problem(&self, now: Timestamp) -> Option<String> {
        let last = self.marker.as_deref().map_or(LastBackup::Unknown, read);
        self.stale(last, now)
    }

    fn stale(&self, last: LastBackup, now: Timestamp) -> Option<String> {
        let hours = self.max_age.as_secs() / 3_600;
        match last {
            LastBackup::Unknown => Some("no backup was ever recorded".to_owned()),
            LastBackup::Unreadable => {
                Some("the marker of the last backup is not a readable RFC 3339 time".to_owned())
            }
            LastBackup::At(at) => (now.since(at) > self.max_age).then(|| {
                let at = at.rfc3339();
                format!("the last backup is of {at}, which is more than {hours} hours ago")
            }),
        }
    }
}

fn read(marker: &Path) -> LastBackup {
    let mut text = String::new();
    match File::open(marker).and_then(|file| file.take(MARKER_BYTES).read_to_string(&mut text)) {
        Ok(_) => parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => LastBackup::Unknown,
        Err(_) => LastBackup::Unreadable,
    }
}

fn parse(text: &str) -> LastBackup {
    let line = text.lines().next().unwrap_or_default().trim();
    line.parse().map_or(LastBackup::Unreadable, LastBackup::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn rule(marker: Option<PathBuf>) -> BackupRule {
        BackupRule {
            marker,
            max_age: 24 * HOUR,
        }
    }

    #[test]
    fn a_backup_is_stale_after_its_age_and_not_before() {
        let at = Timestamp::from_seconds(1_800_000_000);
        let stale = |now| rule(None).stale(LastBackup::At(at), now);
        assert_eq!(stale(at.plus(24 * HOUR)), None);
        assert_eq!(stale(at.minus(HOUR)), None, "a marker of a clock that runs ahead");
        let problem = stale(at.plus(24 * HOUR + Duration::from_secs(1))).unwrap();
        assert!(
            problem.contains(&at.rfc3339()) && problem.contains("24 hours"),
            "{problem}"
        );
        assert!(rule(None).stale(LastBackup::Unknown, at).is_some());
        assert!(rule(None).stale(LastBackup::Unreadable, at).is_some());
    }

    #[test]
    fn a_marker_holds_one_time_on_its_first_line() {
        let at = LastBackup::At(Timestamp::from_seconds(1_769_860_800));
        assert_eq!(parse("2026-01-31T12:00:00Z\n"), at);
        assert_eq!(parse("2026-01-31T13:00:00+01:00\nmore"), at);
        for wrong in ["", "\n", "yesterday", "2026-01-31"] {
            assert_eq!(parse(wrong), LastBackup::Unreadable, "{wrong}");
        }
    }

    #[test]
    fn the_marker_file_is_read_again_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let rule = rule(Some(dir.path().join("marker")));
        let now = Timestamp::from_seconds(1_769_860_800);
        assert!(rule.problem(now).unwrap().contains("ever recorded"));
        std::fs::write(dir.path().join("marker"), "2026-01-31T11:59:00Z\n").unwrap();
        assert_eq!(rule.problem(now), None);
        std::fs::write(dir.path().join("marker"), [0xff, 0xfe]).unwrap();
        assert!(rule.problem(now).unwrap().contains("RFC 3339"));
        assert!(self::rule(None).problem(now).is_some());
    }
}
