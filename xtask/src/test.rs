//! `cargo xtask test`: the rules on mocked ports, and everything that touches a disk or a socket.

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
    match scope {
        Scope::Unit => {
            let domains = DOMAINS.iter().flat_map(|name| ["-p", name]);
            let mut command = cargo(root);
            command.args(runner).arg("--locked").args(domains);
            step("rules on mocked ports", &mut command)?;
        }
        // One selection, so that no dependency is built twice with other features.
        Scope::All => {
            let mut command = cargo(root);
            command.args(runner).args(["--locked", "--workspace"]);
            step("rules, adapters, contracts and end to end", &mut command)?;
        }
    }
    println!("\ntest: all good");
    Ok(())
}
