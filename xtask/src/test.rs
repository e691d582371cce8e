//! `cargo xtask test`: the rules on mocked ports, and everything that touches a disk or a socket.

use crate::{
    postgres,
    run::{cargo, has_nextest, step},
};
use anyhow::bail;
use std::path::Path;

/// The crates whose tests need neither disk nor network. The simulation runs the rules on a model of both.
const DOMAINS: &[&str] = &[
    "haithe-kernel",
    "haithe-identity",
    "haithe-orgs",
    "haithe-billing",
    "haithe-marketplace",
    "haithe-inference",
    "haithe-simulation",
];

/// What to run.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scope {
    /// The domains' rules on mocked ports: seconds.
    Unit,
    /// Everything: adapters, contracts, end to end.
    All,
}

/// The URL of the PostgreSQL server that tests make their databases on, and whether they may do without.
const POSTGRES: &str = "HAITHE_TEST_POSTGRES";
const POSTGRES_REQUIRED: &str = "HAITHE_REQUIRE_POSTGRES";

/// Runs the tests, with nextest where it is installed. `deep`: property tests run many more cases. A PostgreSQL server
/// is started for them and stopped with them, unless `HAITHE_TEST_POSTGRES` names one.
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
            let server = start_postgres(root)?;
            let mut command = cargo(root);
            command.args(runner).args(["--locked", "--workspace"]);
            if let Some(server) = &server {
                command.env(POSTGRES, server.url());
            }
            step("rules, adapters, contracts and end to end", &mut command)?;
            let url = server.as_ref().map(|server| server.url().to_owned());
            if let Some(url) = url.or_else(|| std::env::var(POSTGRES).ok()) {
                let mut command = cargo(root);
                command.args(runner).args(["--locked", "--workspace"]);
                command.args(on_postgres(has_nextest(root)));
                command.env(POSTGRES, url).env("HAITHE_TEST_DATABASE", "postgres");
                step("end to end on PostgreSQL", &mut command)?;
            }
        }
    }
    println!("\ntest: all good");
    Ok(())
}

/// Selects what runs the whole service on PostgreSQL: the money suites, and the stories of restarts, earnings and kept
/// answers. All of `e2e` runs there by hand: `outcome_matrix_departures` has a race that a slower capture shows.
fn on_postgres(has_nextest: bool) -> &'static [&'static str] {
    match has_nextest {
        true => &[
            "-E",
            "binary(money) or (binary(e2e) and (test(program) or test(earnings) or test(kept)))",
        ],
        false => &["--test", "money"],
    }
}

/// A PostgreSQL server for this run; `None` when the environment names one, or when there is none and the tests may do
/// without.
fn start_postgres(root: &Path) -> anyhow::Result<Option<postgres::Server>> {
    if std::env::var_os(POSTGRES).is_some() {
        return Ok(None);
    }
    let server = postgres::Server::start(root)?;
    if server.is_none() && std::env::var_os(POSTGRES_REQUIRED).is_some() {
        bail!("{POSTGRES_REQUIRED} is set, and no PostgreSQL server was found");
    }
    Ok(server)
}
