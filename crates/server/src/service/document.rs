//! `docs/OPERATIONS.md` against the program: what operators watch for is in it, and nothing else.

use super::{
    conditions::{Condition, Severity},
    metrics::CATALOGUE,
};
use haithe_billing::chain::AlarmKind;
use haithe_orgs::AuditAction;
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

const DOCUMENT: &str = include_str!("../../../../docs/OPERATIONS.md");

/// The rows of the tables under a heading, until the next one.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let mut lines = DOCUMENT.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "there is no {heading}");
    let level = heading.split(' ').next().unwrap();
    let mut lines: Vec<_> = lines
        .take_while(|line| {
            let depth = line.chars().take_while(|c| *c == '#').count();
            depth == 0 || depth > level.len()
        })
        .collect();
    lines.retain(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    lines.into_iter().map(cells).collect()
}

fn names(heading: &str) -> BTreeSet<String> {
    rows(heading).into_iter().map(|row| row[0].clone()).collect()
}

/// All code of the product, without tests that stand beside it.
fn sources(crates: &[&str]) -> String {
    fn read(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let tests = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !tests {
                read(&path, text);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !tests {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let house = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this")).join("..");
    let mut text = String::new();
    for name in crates {
        read(&house.join(name).join("src"), &mut text);
    }
    text
}

/// The texts in quotes that follow `before` in the code.
fn quoted_after(text: &str, before: &str) -> BTreeSet<String> {
    let parts = text.split(before).skip(1);
    let quoted = |part: &str| {
        let rest = part.trim_start().strip_prefix('"')?;
        Some(rest.split('"').next()?.to_owned())
    };
    parts.filter_map(quoted).collect()
}

#[test]
fn every_metric_is_explained_as_the_program_does() {
    let documented: BTreeSet<_> = rows("## Metrics")
        .into_iter()
        .filter(|row| row.len() == 3 && ["counter", "gauge", "histogram"].contains(&row[1].as_str()))
        .collect();
    let known: BTreeSet<_> = CATALOGUE
        .iter()
        .map(|(name, kind, what)| vec![(*name).to_owned(), (*kind).to_owned(), (*what).to_owned()])
        .collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/OPERATIONS.md lacks {missing:?} and has too much: {stale:?}"
    );
}

#[test]
fn every_condition_is_explained_with_its_status() {
    let known: Vec<_> = Condition::ALL
        .iter()
        .map(|condition| {
            let status = match condition.severity() {
                Severity::Unready => "503",
                Severity::Degraded => "200",
            };
            (condition.name().to_owned(), status.to_owned())
        })
        .collect();
    let documented: Vec<_> = rows("### Conditions")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert_eq!(documented, known);
    // Each has an alert, or shares one with others of its status.
    for name in known.iter().map(|(name, _)| name) {
        assert!(
            DOCUMENT.matches(name.as_str()).count() >= 2,
            "{name} has no alert rule"
        );
    }
}

#[test]
fn every_alarm_watches_a_metric_that_exists() {
    for name in DOCUMENT.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        // The adapter's name is a log target there, and no metric.
        let target = name.starts_with(concat!("haithe", "_evm"));
        if name.starts_with("haithe_") && !target {
            assert!(
                CATALOGUE.iter().any(|(known, ..)| *known == name),
                "{name} is no metric"
            );
        }
    }
}

#[test]
fn every_log_target_is_explained() {
    let code = sources(&[
        "kernel",
        "identity",
        "orgs",
        "billing",
        "marketplace",
        "inference",
        "sqlite",
        "evm",
        "llm-providers",
        "egress",
        "server",
    ]);
    let mut documented = names("## Logs");
    documented.retain(|name| name.starts_with("haithe::"));
    let mut used = quoted_after(&code, "target:");
    used.retain(|name| name.starts_with("haithe"));
    assert_eq!(used, documented);
}

#[test]
fn every_security_event_is_explained() {
    let code = include_str!("../http/security.rs");
    let names_of_events = code.split("const fn name(").nth(1).unwrap();
    let names_of_events = names_of_events.split("const fn outcome(").next().unwrap();
    assert_eq!(quoted_after(names_of_events, "=>"), names("### Security events"));
}

#[test]
fn every_action_of_the_audit_is_explained() {
    let known: BTreeSet<_> = AuditAction::ALL
        .iter()
        .map(|action| action.as_str().to_owned())
        .collect();
    assert_eq!(known, names("### Audit"));
}

#[test]
fn every_alarm_of_the_index_and_of_the_sender_is_explained() {
    let kinds: BTreeSet<_> = AlarmKind::ALL
        .iter()
        .map(|kind| kind.as_str().to_owned())
        .collect();
    assert_eq!(kinds, names("### Of the chain's index"));

    let code = include_str!("../../../evm/src/sender/health.rs");
    let body = code.split("pub enum Alarm {").nth(1).unwrap();
    let body = body.split("\n}\n").next().unwrap();
    let variants: BTreeSet<_> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"))
        .map(str::to_owned)
        .collect();
    assert_eq!(variants, names("### Of the sender"));
}
