//! `cargo xtask check`: everything that must hold before a change lands, except the tests.

use crate::{
    abi, edges, ledger_sql, migrations,
    run::{cargo, step},
};
use std::path::Path;

/// Edges, migrations, SQL without money rules, artifacts, formatting and lints, cheapest first.
pub fn check(root: &Path) -> anyhow::Result<()> {
    println!("── edges");
    edges::check(root)?;
    println!("── migrations");
    migrations::check(root)?;
    println!("── ledger sql");
    ledger_sql::check(root)?;
    println!("── abi");
    abi::check_fresh(root)?;
    step("fmt", cargo(root).args(["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        cargo(root).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    println!("\ncheck: all good");
    Ok(())
}
