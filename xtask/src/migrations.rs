//! Migrations are append-only: numbers without gaps, one subject for each number in every database, and files that
//! never change once they are listed in `migrations/checksums.txt`.
//!
//! The list has the format of `sha256sum`, so that `sha256sum --check checksums.txt` in its folder verifies it, too. A
//! new migration adds its line at the end of its database's lines; lines of a release are never changed or removed,
//! which is compared with the list of the newest release tag.

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

const LIST: &str = "migrations/checksums.txt";

/// The files of each database, by the folder's name: each file's name and the SHA-256 of its content, in order.
type Databases = BTreeMap<String, Vec<(String, String)>>;

/// Fails with every gap, every number whose subject differs between databases, and every changed or missing file.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let databases = read(&root.join("migrations"))?;
    let list = fs::read_to_string(root.join(LIST)).with_context(|| format!("reading {LIST}"))?;
    let mut broken = numbers(&databases);
    broken.extend(subjects(&databases));
    broken.extend(checksums(&databases, &list));
    if let Some((tag, released)) = released(root) {
        let kept: Vec<&str> = list.lines().collect();
        for line in released.lines().filter(|line| !kept.contains(line)) {
            broken.push(format!("{LIST} lacks this line of the release {tag}: {line}"));
        }
    }
    if broken.is_empty() {
        println!("migrations: numbers have no gaps, and no released file has changed");
        return Ok(());
    }
    for line in &broken {
        eprintln!("migrations: {line}");
    }
    bail!("{} problem(s) with migrations", broken.len())
}

fn read(folder: &Path) -> anyhow::Result<Databases> {
    let mut databases = Databases::new();
    for path in entries(folder)?.iter().filter(|path| path.is_dir()) {
        let mut files = Vec::new();
        for file in entries(path)? {
            let content = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            let digest = Sha256::digest(&content);
            let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            files.push((name(&file), digest));
        }
        databases.insert(name(path), files);
    }
    Ok(databases)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Files must be `0001_subject.sql`, `0002_subject.sql` and so on.
fn numbers(databases: &Databases) -> Vec<String> {
    let mut broken = Vec::new();
    for (database, files) in databases {
        for ((file, _), number) in files.iter().zip(1u32..) {
            if !file.starts_with(&format!("{number:04}_")) || !file.ends_with(".sql") {
                broken.push(format!(
                    "{database}/{file} must be {number:04}_<subject>.sql: numbers have no gaps"
                ));
                break;
            }
        }
    }
    broken
}

/// Every database must have the same files. One that needs nothing for a subject has a file with a comment.
fn subjects(databases: &Databases) -> Vec<String> {
    let mut broken = Vec::new();
    for (database, files) in databases {
        for (other, others) in databases.iter().filter(|(other, _)| *other != database) {
            let is_missing = |file: &str| !others.iter().any(|(name, _)| name == file);
            for (file, _) in files.iter().filter(|(file, _)| is_missing(file)) {
                broken.push(format!("{database}/{file} has no counterpart in {other}"));
            }
        }
    }
    broken
}

/// Every file must be in the list as it is, and every line of the list must have its file.
fn checksums(databases: &Databases, list: &str) -> Vec<String> {
    let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
    let mut broken = Vec::new();
    for line in list.lines() {
        match line.split_once("  ") {
            Some((digest, file)) if listed.insert(file, digest).is_none() => {}
            _ => broken.push(format!("{LIST}: invalid or repeated line: {line}")),
        }
    }
    for (database, files) in databases {
        for (file, digest) in files {
            let file = format!("{database}/{file}");
            match listed.remove(file.as_str()) {
                Some(known) if known == digest => {}
                Some(_) => broken.push(format!(
                    "{file} was changed after it was listed; append a migration instead"
                )),
                None => broken.push(format!(
                    "{file} is not listed; add this line to {LIST}:\n{digest}  {file}"
                )),
            }
        }
    }
    let missing = listed.keys().map(|file| format!("{file} is listed and missing"));
    broken.extend(missing);
    broken
}

/// The newest release tag (`v…`) before this commit and its list; `None` without one, or without git.
fn released(root: &Path) -> Option<(String, String)> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root).output().ok()?;
        let text = output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).ok());
        text.flatten()
    };
    let tag = git(&["describe", "--tags", "--abbrev=0", "--match", "v*"])?
        .trim()
        .to_owned();
    let list = git(&["show", &format!("{tag}:{LIST}")])?;
    Some((tag, list))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases(folders: &[(&str, &[&str])]) -> Databases {
        let files = |names: &[&str]| {
            let file = |name: &&str| ((*name).to_owned(), format!("digest of {name}"));
            names.iter().map(file).collect()
        };
        folders
            .iter()
            .map(|(folder, names)| ((*folder).to_owned(), files(names)))
            .collect()
    }

    #[test]
    fn numbers_without_gaps_pass() {
        let good = databases(&[("sqlite", &["0001_identity.sql", "0002_ledger.sql"])]);
        assert!(numbers(&good).is_empty());
    }

    #[test]
    fn rejects_gaps_and_filled_gaps() {
        for files in [
            &["0002_ledger.sql"][..],
            &["0001_identity.sql", "0003_ledger.sql"],
            &["0001_identity.sql", "0001_ledger.sql"],
            &["0001_identity.sql", "2_ledger.sql"],
            &["0001_identity.sql", "0002_ledger.txt"],
        ] {
            assert_eq!(numbers(&databases(&[("sqlite", files)])).len(), 1, "{files:?}");
        }
        // A gap that is filled later moves no file, but adds one in front of listed ones.
        let filled = databases(&[(
            "sqlite",
            &["0001_identity.sql", "0002_late.sql", "0002_ledger.sql"],
        )]);
        assert_eq!(numbers(&filled).len(), 1);
    }

    #[test]
    fn rejects_subjects_that_differ_between_databases() {
        let same = databases(&[
            ("postgres", &["0001_identity.sql"]),
            ("sqlite", &["0001_identity.sql"]),
        ]);
        assert!(subjects(&same).is_empty());
        let other = databases(&[
            ("postgres", &["0001_identity.sql", "0002_ledger.sql"]),
            ("sqlite", &["0001_identity.sql", "0002_usage.sql"]),
        ]);
        assert_eq!(
            subjects(&other),
            [
                "postgres/0002_ledger.sql has no counterpart in sqlite",
                "sqlite/0002_usage.sql has no counterpart in postgres"
            ]
        );
    }

    #[test]
    fn rejects_changed_unlisted_and_missing_files() {
        let two = databases(&[("sqlite", &["0001_identity.sql", "0002_ledger.sql"])]);
        let first = "digest of 0001_identity.sql  sqlite/0001_identity.sql";
        let second = "digest of 0002_ledger.sql  sqlite/0002_ledger.sql";
        let count = |list: &str| checksums(&two, list).len();
        assert_eq!(count(&format!("{first}\n{second}\n")), 0);
        assert_eq!(count(&format!("{first}\n")), 1, "unlisted");
        assert_eq!(
            count(&format!("{first}\nother  sqlite/0002_ledger.sql\n")),
            1,
            "changed"
        );
        assert_eq!(
            count(&format!("{first}\n{second}\nother  sqlite/0003_usage.sql\n")),
            1,
            "missing"
        );
        assert_eq!(count(&format!("{first}\n{first}\n{second}\n")), 1, "repeated");
    }
}
