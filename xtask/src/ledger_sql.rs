//! Money rules stay out of SQL: the domain computes postings, balances and amounts, and names the accounts.
//!
//! A trigger on a table of the ledger may only spread one inserted row over tables. It may not calculate, compare
//! amounts or name an account by its number. Triggers that only count for statistics are listed here. No
//! statement of an adapter computes a balance from the stored one.

use crate::edges::rust_files;
use anyhow::{Context, bail};
use std::{collections::BTreeMap, fs, path::Path};

/// Tables, and views, of the ledger.
const LEDGER: &[&str] = &[
    "ledger_accounts",
    "ledger_transactions",
    "ledger_transfers",
    "captures",
    "usage_records",
    "charge_lines",
    "receipts",
    "org_books",
    "deposits",
    "withdrawals",
    "batches",
    "batch_lines",
    "batch_credits",
    "batch_payouts",
    "batch_carry",
    "settlement_carry",
];

/// Triggers that count usage for reports. Nothing decides over money from what they write.
const STATISTICS: &[&str] = &["usage_records_count", "charge_lines_count", "charge_lines_total"];

/// Words that calculate or decide.
const RULES: &[&str] = &[
    "iif", "case", "min", "max", "sum", "total", "count", "avg", "abs", "round", "between", "coalesce",
    "cast",
];

/// Fails with every trigger and statement that contains a rule about money.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    for database in folders(&root.join("migrations"))? {
        let mut triggers = BTreeMap::new();
        for path in sorted(&database)? {
            let sql = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            read_triggers(&sql, &mut triggers);
        }
        for (name, tokens) in &triggers {
            if let Some(rule) = rule_in(name, tokens) {
                let place = database
                    .strip_prefix(root)
                    .unwrap_or(&database)
                    .display()
                    .to_string();
                broken.push(format!(
                    "{place}: the trigger {name} contains `{rule}`; compute the value in billing::ledger and insert it"
                ));
            }
        }
    }
    for krate in folders(&root.join("crates"))? {
        for path in rust_files(&krate.join("src"))? {
            let source = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            if computes_a_balance(&source) {
                let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                broken.push(format!(
                    "{place}: a statement computes a balance; store the one that billing::ledger::post gives"
                ));
            }
        }
    }
    if broken.is_empty() {
        println!("ledger sql: no trigger and no statement contains a rule about money");
        return Ok(());
    }
    for line in &broken {
        eprintln!("ledger sql: {line}");
    }
    bail!("{} rule(s) about money in SQL", broken.len())
}

fn sorted(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn folders(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    Ok(sorted(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn computes_a_balance(source: &str) -> bool {
    let words: Vec<&str> = source.split_whitespace().collect();
    let source = words.join(" ").to_lowercase();
    ["set balance = balance", ", balance = balance"]
        .iter()
        .any(|update| source.contains(update))
}

/// Adds the triggers that a script creates, and removes those that it drops.
fn read_triggers(sql: &str, triggers: &mut BTreeMap<String, Vec<String>>) {
    let tokens = tokens(sql);
    let mut rest = tokens.as_slice();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first.as_str(), after) {
            ("create", [keyword, body @ ..]) if keyword == "trigger" => {
                let end = end_of(body);
                let (body, after) = body.split_at(end);
                rest = after;
                if let Some(name) = name(body) {
                    triggers.insert(name.to_owned(), body.to_vec());
                }
            }
            ("drop", [keyword, body @ ..]) if keyword == "trigger" => {
                if let Some(name) = name(body) {
                    triggers.remove(name);
                }
            }
            _ => {}
        }
    }
}

fn name(body: &[String]) -> Option<&str> {
    body.iter()
        .map(String::as_str)
        .find(|word| !["if", "not", "exists"].contains(word))
}

/// Where a trigger ends: behind the `END` that belongs to no `CASE`.
fn end_of(body: &[String]) -> usize {
    let mut cases = 0usize;
    for (at, token) in body.iter().enumerate() {
        match token.as_str() {
            "case" => cases += 1,
            "end" if cases == 0 => return at + 1,
            "end" => cases -= 1,
            _ => {}
        }
    }
    body.len()
}

/// The first token of a trigger on the ledger that is a rule.
fn rule_in<'t>(name: &str, tokens: &'t [String]) -> Option<&'t str> {
    let is_of_the_ledger = tokens.iter().any(|token| LEDGER.contains(&token.as_str()));
    if !is_of_the_ledger || STATISTICS.contains(&name) {
        return None;
    }
    let mut before = "";
    for token in tokens {
        let is_number = token.starts_with(|first: char| first.is_ascii_digit());
        let picks_a_field = before == "->>" || before == "->";
        let is_operator = [
            "+", "-", "*", "/", "%", "<", ">", "<=", ">=", "<>", "!=", "<<", ">>", "||",
        ]
        .contains(&token.as_str());
        if is_operator || RULES.contains(&token.as_str()) || (is_number && !picks_a_field) {
            return Some(token.as_str());
        }
        before = token;
    }
    None
}

/// The words, numbers and operators of a script, in lower case, without comments and texts.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '\'' {
            rest.get(1..)
                .and_then(|text| text.find('\''))
                .map_or(rest.len(), |end| end + 2)
        } else if first.is_alphanumeric() || first == '_' {
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
            let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            tokens.extend(rest.get(..end).map(str::to_lowercase));
            end
        } else {
            let operators = ["->>", "->", "<=", ">=", "<>", "!=", "<<", ">>", "||"];
            let operator = operators.iter().find(|operator| rest.starts_with(**operator));
            let end = operator.map_or(first.len_utf8(), |operator| operator.len());
            if !first.is_whitespace() {
                tokens.extend(rest.get(..end).map(str::to_owned));
            }
            end
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(scripts: &[&str]) -> Vec<(String, String)> {
        let mut triggers = BTreeMap::new();
        for sql in scripts {
            read_triggers(sql, &mut triggers);
        }
        triggers
            .iter()
            .filter_map(|(name, tokens)| Some((name.clone(), rule_in(name, tokens)?.to_owned())))
            .collect()
    }

    #[test]
    fn a_trigger_that_spreads_a_row_passes() {
        let spread = "CREATE TRIGGER captures_store INSTEAD OF INSERT ON captures
            BEGIN
                -- 3 + 4 in a comment; append-only in a text
                INSERT INTO ledger_transfers SELECT new.id, value ->> 0, value->>1 FROM json_each(new.transfers);
                UPDATE ledger_accounts SET balance = changed.value ->> 1 FROM json_each(new.balances) AS changed
                WHERE ledger_accounts.id = changed.value ->> 0;
            END;
            CREATE TRIGGER receipts_stay BEFORE UPDATE ON receipts
            BEGIN SELECT RAISE(ABORT, 'receipts are append-only: 1 < 2'); END;
            CREATE INDEX some ON receipts (id) WHERE id > 4;";
        assert!(rules(&[spread]).is_empty());
    }

    #[test]
    fn rejects_arithmetic_comparisons_and_account_numbers() {
        let trigger =
            |body: &str| format!("CREATE TRIGGER t AFTER INSERT ON usage_records BEGIN {body} END;");
        for (body, rule) in [
            ("UPDATE ledger_accounts SET balance = balance + new.charged;", "+"),
            ("UPDATE ledger_accounts SET balance = new.b WHERE id = 3;", "3"),
            ("INSERT INTO x SELECT new.a WHERE new.lost > new.held;", ">"),
            ("INSERT INTO x SELECT iif(new.a, new.b, new.c);", "iif"),
            (
                "INSERT INTO x SELECT CASE new.a WHEN new.b THEN new.c END;",
                "case",
            ),
        ] {
            let expected = [("t".to_owned(), rule.to_owned())];
            assert_eq!(rules(&[&trigger(body)]), expected, "{body}");
        }
    }

    #[test]
    fn triggers_of_statistics_of_other_tables_and_dropped_ones_pass() {
        let counts = "CREATE TRIGGER usage_records_count AFTER INSERT ON usage_records
            BEGIN UPDATE usage_days SET calls = calls + 1; END;
            CREATE TRIGGER chats_counted AFTER INSERT ON chats BEGIN UPDATE counts SET n = n + 1; END;
            CREATE TRIGGER IF NOT EXISTS old AFTER INSERT ON receipts
            BEGIN SELECT CASE WHEN new.id = 1 THEN 2 END; SELECT 1 + 1; END;";
        assert_eq!(rules(&[counts]), [("old".to_owned(), "case".to_owned())]);
        assert!(rules(&[counts, "DROP TRIGGER IF EXISTS old;"]).is_empty());
    }

    #[test]
    fn a_statement_must_not_compute_a_balance() {
        assert!(computes_a_balance(
            "\"UPDATE ledger_accounts SET balance =\n   balance - ?\""
        ));
        assert!(!computes_a_balance("SET balance = changed.value ->> 1"));
        assert!(!computes_a_balance("row.balance = balance;"));
    }
}
