//! `docs/SECURITY.md`: every test that it names exists, and every line of it names a test.

use std::{collections::BTreeSet, fs, path::PathBuf};

fn root() -> PathBuf {
    haithe_tests::here().join("..")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/SECURITY.md")).unwrap()
}

/// The texts in backquotes that name a test: `folder/module::name`.
fn references(text: &str) -> Vec<(String, String)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|quoted| quoted.split_once("::"))
        .filter(|(module, name)| {
            module.contains('/') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
        .map(|(module, name)| (module.to_owned(), name.to_owned()))
        .collect()
}

/// The rows of tables, without their heads.
fn rows(document: &str) -> Vec<&str> {
    let lines: Vec<&str> = document.lines().collect();
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| {
            let head = lines.get(at + 1).is_some_and(|next| next.starts_with("|--"));
            line.starts_with('|') && !line.starts_with("|--") && !head
        })
        .map(|(_, line)| *line)
        .collect()
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let named = references(&document());
    assert!(
        named.len() > 90,
        "the threat model names its tests: {}",
        named.len()
    );
    let mut missing = Vec::new();
    for (module, name) in named {
        let folder = if module.starts_with("crates/") {
            ""
        } else {
            "tests"
        };
        let file = root().join(folder).join(format!("{module}.rs"));
        let code = fs::read_to_string(&file).unwrap_or_default();
        if !code.contains(&format!("fn {name}(")) {
            missing.push(format!("{module}::{name}"));
        }
    }
    assert!(
        missing.is_empty(),
        "docs/SECURITY.md names tests that do not exist: {missing:#?}"
    );
}

#[test]
fn every_line_of_the_threat_model_names_a_test_and_an_entry_of_owasp() {
    let document = document();
    let mut entries = BTreeSet::new();
    for row in rows(&document) {
        assert!(!references(row).is_empty(), "no test: {row}");
        let entry = (1..=10).find(|number| row.contains(&format!("| API{number} |")));
        entries.insert(entry.unwrap_or_else(|| panic!("no entry of OWASP: {row}")));
    }
    assert_eq!(entries, (1..=10).collect(), "each entry has a line");
}

#[test]
fn every_finding_of_the_audit_has_its_line() {
    let document = document();
    let (_, findings) = document.split_once("## Findings of the audit").unwrap();
    let numbers: Vec<u32> = rows(findings)
        .iter()
        .filter_map(|row| row.split('|').nth(1)?.trim().parse().ok())
        .collect();
    assert_eq!(numbers, (1..=24).collect::<Vec<_>>());
}
