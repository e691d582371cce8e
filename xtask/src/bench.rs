//! `cargo xtask bench`: builds everything in release and measures the server on one core.

use crate::run::{cargo, step, target_folder};
use anyhow::bail;
use std::{path::Path, process::Command};

/// Runs the benchmark with further arguments for it (`--seconds`, `--rounds`).
pub fn bench(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "haithe-server",
        "-p",
        "haithe-tests",
        "--bins",
    ];
    step("build in release", cargo(root).args(build))?;
    let release = target_folder(root)?.join("release");
    let server = release.join("haithe");
    let program = release.join("haithe-bench");
    if !server.exists() || !program.exists() {
        bail!("the release build left no programs in {}", release.display());
    }
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
