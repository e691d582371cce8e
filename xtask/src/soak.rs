//! `cargo xtask soak`: the proofs in their deep form, in chunks whose results are appended to one file.

use crate::run::{cargo, step, target_folder};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// How much of the deep form, and where its results go.
#[derive(clap::Args)]
pub struct Options {
    /// Seeds, the second one left out; 10,000 are the deep form.
    #[arg(long, value_name = "FROM..TO", default_value = "0..10000")]
    seeds: String,
    /// The chunk ends after so many minutes, with the seeds that ran.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// One line of JSON is appended for each program; `target/soak.jsonl` by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Run nothing; add the lines of the file up.
    #[arg(long)]
    summary: bool,
    /// Count only the lines of these commits, as git names a range (`v1..HEAD`).
    #[arg(long, requires = "summary")]
    commits: Option<String>,
}

/// Runs a chunk, or adds chunks up; fails on the first program that finds a violation.
pub fn soak(root: &Path, options: &Options) -> anyhow::Result<()> {
    let arguments = ["build", "--release", "--locked", "--package", "haithe-simulation"];
    step("build the simulation", cargo(root).args(arguments))?;
    let target = target_folder(root)?;
    let out = options.out.clone().unwrap_or_else(|| target.join("soak.jsonl"));
    let mut simulation = Command::new(target.join("release/haithe-simulation"));
    simulation.current_dir(root);
    if options.summary {
        simulation.arg("summary").arg(&out);
        if let Some(commits) = &options.commits {
            simulation.args(["--commits", commits]);
        }
        return step("summary", &mut simulation);
    }
    let minutes = options.minutes.to_string();
    simulation
        .args(["run", "--seeds", &options.seeds, "--minutes", &minutes])
        .arg("--out")
        .arg(&out);
    step("simulated histories of the money core", &mut simulation)?;
    println!("\nsoak: no violation; results are in {}", out.display());
    Ok(())
}
