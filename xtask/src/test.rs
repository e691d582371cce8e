//! `cargo xtask test`: the rules on mocked ports first, then everything that touches a disk or a socket.

use crate::run::{cargo, has_nextest, step};
use std::path::Path;

/// The crates whose tests need neither disk nor network.
const DOMAINS: &[&str] = &[
    "haithe-kernel",
    "haithe-identity",
    "haithe-orgs",
    "haithe-billing",
    "haithe-marketplace",
    "haithe-inference",
];

/// What to run.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scope {
    /// The domains' rules on mocked ports: seconds.
    Unit,
    /// Everything: adapters, contracts, end to end.
    All,
}

/// Runs the tests, with nextest where it is installed. `deep`: property tests run many more cases.
pub fn test(root: &Path, scope: Scope, deep: bool) -> anyhow::Result<()> {
    let cargo = |root| {
        let mut command = cargo(root);
        if deep {
            command.env("HAITHE_DEEP", "1");
        }
        command
    };
    let runner: &[&str] = if has_nextest(root) {
        &["nextest", "run"]
    } else {
        &["test"]
    };
    let domains = DOMAINS.iter().flat_map(|name| ["-p", name]);
    step(
        "rules on mocked ports",
        cargo(root).args(runner).arg("--locked").args(domains),
    )?;
    if scope == Scope::All {
        let others = DOMAINS.iter().flat_map(|name| ["--exclude", name]);
        let rest = ["--locked", "--workspace"];
        step(
            "adapters, contracts and end to end",
            cargo(root).args(runner).args(rest).args(others),
        )?;
    }
    println!("\ntest: all good");
    Ok(())
}
