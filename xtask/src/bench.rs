//! `cargo xtask bench`: measures the program that `cargo xtask release` builds, on one core.

use crate::{release, run::step};
use std::{path::Path, process::Command};

/// Runs the benchmark with further arguments for it (`--seconds`, `--rounds`).
pub fn bench(root: &Path, plain: bool, arguments: &[String]) -> anyhow::Result<()> {
    let server = release::release(root, plain)?;
    let program = release::benchmark(root)?;
    // The server has a core of its own where there are two and `taskset` can pin.
    let pin = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
        && Command::new("taskset").arg("--version").output().is_ok();
    let mut command = if pin {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", "1"]).arg(program).args(["--server-core", "0"]);
        pinned
    } else {
        println!("not pinned: this machine has one core or no taskset");
        Command::new(program)
    };
    step(
        "measure",
        command
            .current_dir(root)
            .arg("--server")
            .arg(server)
            .args(arguments),
    )
}
