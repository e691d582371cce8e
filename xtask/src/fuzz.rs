//! `cargo xtask fuzz`: libFuzzer over every target of `tests/fuzz`, on the stable compiler.
//!
//! What cargo-fuzz passes to a nightly compiler for a run without sanitizers is passed here: LLVM's
//! coverage pass is part of stable ones too (docs/adr/0012).

use crate::run::{cargo, step, target_folder};
use anyhow::{Context, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread::available_parallelism,
};

/// LLVM's counters of edges, and its traces of comparisons, which libFuzzer reads.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
    "-Ccodegen-units=1",
];

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only these targets.
    targets: Vec<String>,
}

/// Builds the fuzzer and runs it; fails on the first input that breaks a promise.
pub fn fuzz(root: &Path, options: &Options) -> anyhow::Result<()> {
    let seeds = root.join("tests/fuzz/corpus");
    let known = names(&seeds)?;
    if let Some(unknown) = options.targets.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    let chosen = known
        .iter()
        .filter(|name| options.targets.is_empty() || options.targets.contains(name));
    let folder = target_folder(root)?.join("fuzz");
    let program = build(root, &folder)?;
    let chosen: Vec<&String> = chosen.collect();
    for side_by_side in chosen.chunks(available_parallelism().map_or(1, usize::from)) {
        let mut running = Vec::new();
        for name in side_by_side {
            println!("\n── fuzz {name} for {} s", options.seconds);
            let mut fuzzer = fuzzer(&program, &folder, &seeds, name, options.seconds)?;
            running.push((name, fuzzer.spawn().context("the fuzzer did not start")?));
        }
        // All are waited for, so that one that fails leaves none behind.
        let mut failed = Vec::new();
        for (name, mut fuzzer) in running {
            if !fuzzer.wait().context("waiting for the fuzzer")?.success() {
                failed.push(name.as_str());
            }
        }
        if !failed.is_empty() {
            bail!(
                "these targets found an input that breaks a promise: {}",
                failed.join(", ")
            );
        }
    }
    println!("\nfuzz: no promise was broken");
    Ok(())
}

/// One target's run: what it learns and what it finds goes to `folder`.
fn fuzzer(program: &Path, folder: &Path, seeds: &Path, name: &str, seconds: u32) -> anyhow::Result<Command> {
    let (grown, found) = (folder.join("corpus").join(name), folder.join("found"));
    fs::create_dir_all(&grown).context("a folder for the corpus")?;
    fs::create_dir_all(&found).context("a folder for what is found")?;
    let mut fuzzer = Command::new(program);
    fuzzer
        .env("HAITHE_FUZZ_TARGET", name)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", found.display()))
        .args([
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            "-verbosity=0",
        ])
        .arg(&grown)
        .arg(seeds.join(name));
    Ok(fuzzer)
}

/// The targets, by the folders of their seeds.
fn names(seeds: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(seeds).context("the folder of seeds")? {
        let name = entry?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds into a folder of its own: instrumented code is of no use to anybody else. With an explicit
/// target, build scripts and macros are not instrumented.
fn build(root: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let host = host()?;
    let flags = COVERAGE.join("\u{1f}");
    let arguments = [
        "build",
        "--release",
        "--locked",
        "--package",
        "haithe-fuzz",
        "--features",
        "libfuzzer",
        "--bin",
        "haithe-fuzz",
        "--target",
        &host,
    ];
    let mut command = cargo(root);
    command
        .args(arguments)
        .env("CARGO_TARGET_DIR", folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env_remove("RUSTFLAGS");
    step("build the fuzzer", &mut command)?;
    Ok(folder.join(host).join("release/haithe-fuzz"))
}

/// The compiler's own platform.
fn host() -> anyhow::Result<String> {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .arg("-vV")
        .output()
        .context("rustc did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}
