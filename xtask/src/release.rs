//! `cargo xtask release`: the program as it should be run, optimized and laid out by what a load showed
//! it to use (docs/adr/0015).
//!
//! The program is built with counters, the benchmark puts it under load for some seconds, and it is
//! built again by the counts (rustc book, "Profile-guided Optimization"). What was never counted is built
//! for size and kept apart, so that it is not in memory.

use crate::run::{cargo, step, target_folder};
use anyhow::{Context, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};

/// Builds the program; gives where it is.
///
/// # Errors
/// When a step fails. Without LLVM's tools it says so and builds without a profile.
pub fn release(root: &Path, plain: bool) -> anyhow::Result<PathBuf> {
    let program = if plain {
        build_plain(root)?
    } else {
        match profdata() {
            Ok(tool) => build_profiled(root, &tool)?,
            Err(problem) => {
                println!("release: {problem:#}; building without a profile");
                build_plain(root)?
            }
        }
    };
    println!("\nrelease: {}", program.display());
    Ok(program)
}

/// Builds the benchmark; gives where it is.
///
/// # Errors
/// When it does not build.
pub fn benchmark(root: &Path) -> anyhow::Result<PathBuf> {
    build(root, "haithe-tests", "haithe-bench", &[], None)
}

/// By itself, as it is built to be run: together with the tests it would have features that only they ask
/// for, and be larger.
fn build_plain(root: &Path) -> anyhow::Result<PathBuf> {
    build(root, "haithe-server", "haithe", &[], None)
}

fn build_profiled(root: &Path, tool: &Path) -> anyhow::Result<PathBuf> {
    let target = target_folder(root)?;
    let counting = Profile {
        folder: target.join("counting"),
        flag: "-Cprofile-generate".into(),
    };
    let counted = build(
        root,
        "haithe-server",
        "haithe",
        &["with counters"],
        Some(&counting),
    )?;
    // Named for what was counted, so that cargo knows whether the program is built by it already.
    let changed = fs::metadata(&counted)?.modified()?.duration_since(UNIX_EPOCH)?;
    let profile = target.join(format!("counting/{}.profdata", changed.as_nanos()));
    if !profile.exists() {
        count(root, tool, &counted, &profile)?;
    }
    let profiled = Profile {
        folder: target.join("profiled"),
        flag: format!("-Cprofile-use={}", profile.display()),
    };
    build(
        root,
        "haithe-server",
        "haithe",
        &["by the counts"],
        Some(&profiled),
    )
}

/// Puts the program under load, and merges what it counted into `profile`.
fn count(root: &Path, tool: &Path, counted: &Path, profile: &Path) -> anyhow::Result<()> {
    let benchmark = benchmark(root)?;
    let counts = profile.with_extension("counts");
    fs::create_dir_all(&counts)?;
    let mut load = Command::new(benchmark);
    load.current_dir(root)
        .env("LLVM_PROFILE_FILE", counts.join("%p.profraw"))
        .arg("--server")
        .arg(counted)
        .arg("--exercise");
    step("count under load", &mut load)?;
    let mut merge = Command::new(tool);
    merge.args(["merge", "-o"]).arg(profile).arg(&counts);
    step("merge the counts", &mut merge)?;
    fs::remove_dir_all(&counts).context("the counts could not be removed")
}

/// A build in a folder of its own, since its flags are every crate's.
struct Profile {
    folder: PathBuf,
    flag: String,
}

fn build(
    root: &Path,
    package: &str,
    program: &str,
    how: &[&str],
    profile: Option<&Profile>,
) -> anyhow::Result<PathBuf> {
    let mut command = cargo(root);
    command.args(["build", "--release", "--locked", "-p", package, "--bin", program]);
    let built = if let Some(profile) = profile {
        // Named, so that the flags are not those of build scripts and macros.
        let host = rustc(&["--print", "host-tuple"])?;
        command
            .args(["--target", &host, "--target-dir"])
            .arg(&profile.folder)
            .env("CARGO_ENCODED_RUSTFLAGS", with_flag(&profile.flag));
        profile.folder.join(host)
    } else {
        target_folder(root)?
    };
    step(
        &format!("build {program} in release {}", how.join(" ")),
        &mut command,
    )?;
    let built = built.join("release").join(program);
    if !built.exists() {
        bail!("the build left no program at {}", built.display());
    }
    Ok(built)
}

/// The flags that the environment has for the compiler, and this one, as cargo takes them.
fn with_flag(flag: &str) -> String {
    const BETWEEN: &str = "\x1f";
    let others = env::var("CARGO_ENCODED_RUSTFLAGS").ok().or_else(|| {
        let flags = env::var("RUSTFLAGS").ok()?;
        Some(flags.split_whitespace().collect::<Vec<_>>().join(BETWEEN))
    });
    match others {
        Some(others) if !others.is_empty() => format!("{others}{BETWEEN}{flag}"),
        _ => flag.to_owned(),
    }
}

/// The tool that merges counts. It must be of the compiler's own version of LLVM, so it is rustup's.
fn profdata() -> anyhow::Result<PathBuf> {
    let folder = PathBuf::from(rustc(&["--print", "target-libdir"])?);
    let tool = folder.with_file_name("bin").join("llvm-profdata");
    if !tool.exists() {
        step(
            "install LLVM's tools",
            Command::new("rustup").args(["component", "add", "llvm-tools"]),
        )?;
    }
    if !tool.exists() {
        bail!("{} is not there", tool.display());
    }
    Ok(tool)
}

fn rustc(arguments: &[&str]) -> anyhow::Result<String> {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program)
        .args(arguments)
        .output()
        .context("rustc did not start")?;
    if !output.status.success() {
        bail!("rustc {} failed ({})", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
