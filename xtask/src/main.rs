//! The project's chores, in Rust: `cargo xtask <command>`.
//!
//! Links neither the EVM nor the server: it reads files and starts programs.

mod abi;
mod bench;
mod check;
mod dev;
mod edges;
mod fuzz;
mod ledger_sql;
mod migrations;
mod openapi;
mod postgres;
mod release;
mod run;
mod soak;
mod test;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start chain, contracts, server and a funded demo organization; Ctrl-C stops everything.
    Dev(dev::Options),
    /// Run the tests: the rules on mocked ports first, then the rest.
    Test {
        /// How much of them.
        #[arg(value_enum, default_value = "all")]
        scope: test::Scope,
        /// Run property tests with many more cases: 10,000 histories of the sealer, for example.
        #[arg(long)]
        deep: bool,
    },
    /// Prove edges, artifacts, the OpenAPI document, formatting and lints.
    Check,
    /// Write docs/openapi.json, the copy of the document that the server makes of its routes.
    Openapi,
    /// Build the program to run: in release, by the profile of a load.
    Release(Build),
    /// Measure that program on one core over a mock upstream.
    Bench {
        #[command(flatten)]
        build: Build,
        /// For the benchmark: `--seconds 4 --rounds 3`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzz everything that strangers' bytes reach, guided by coverage.
    Fuzz(fuzz::Options),
    /// Run the proofs in their deep form: thousands of simulated histories of the money core.
    Soak(soak::Options),
    /// Compile abi/src with npm's solc and write the artifacts in abi/ (needs Node).
    Abi {
        /// Write nothing; fail if the artifacts differ from what the sources compile to.
        #[arg(long)]
        check: bool,
    },
}

#[derive(clap::Args)]
struct Build {
    /// Without a profile: half the time to build.
    #[arg(long)]
    plain: bool,
}

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> anyhow::Result<()> {
    let root = workspace_root()?;
    match Cli::parse().command {
        Command::Dev(options) => dev::dev(&root, &options),
        Command::Test { scope, deep } => test::test(&root, scope, deep),
        Command::Check => check::check(&root),
        Command::Openapi => openapi::generate(&root),
        Command::Release(build) => release::release(&root, build.plain).map(drop),
        Command::Bench { build, arguments } => bench::bench(&root, build.plain, &arguments),
        Command::Fuzz(options) => fuzz::fuzz(&root, &options),
        Command::Soak(options) => soak::soak(&root, &options),
        Command::Abi { check: false } => abi::generate(&root),
        Command::Abi { check: true } => abi::check_recompile(&root),
    }
}

/// The folder that holds the workspace's manifest. Cargo says at run time where this crate is; what it said
/// when the crate was built is another checkout's folder for those who share a target folder.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .map(Path::to_path_buf)
        .context("the xtask crate has no parent folder")
}
