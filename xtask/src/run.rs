//! Starting other programs and saying what they did.

use anyhow::{Context, bail};
use std::{path::Path, process::Command};

/// A cargo command in the workspace.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root);
    command
}

/// Runs a step to its end, with its output on the terminal.
pub fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    println!("\n── {name}");
    let status = command
        .status()
        .with_context(|| format!("{name}: {:?} did not start", command.get_program()))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Whether `cargo nextest` is installed.
pub fn has_nextest(root: &Path) -> bool {
    cargo(root)
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
