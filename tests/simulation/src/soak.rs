//! Many histories: a chunk of seeds, its line of JSON, and the sum of many chunks.

use crate::{Plan, run, shrink};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    ops::Range,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What a chunk came to.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Histories that ran.
    pub histories: u64,
    /// Charges in all of them.
    pub charges: u64,
    /// Batches.
    pub batches: u64,
    /// Steps of the executor.
    pub turns: u64,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Real time.
    pub real_time: Duration,
    /// Seeds that broke an invariant.
    pub failed: Vec<u64>,
}

impl Chunk {
    /// Virtual time by real time.
    pub fn speed(&self) -> f64 {
        self.virtual_time.as_secs_f64() / self.real_time.as_secs_f64().max(1e-9)
    }
}

/// Runs the histories of these seeds until the time is over; prints every failing one as a short history.
pub fn chunk(seeds: Range<u64>, most: Duration) -> Chunk {
    let began = Instant::now();
    let mut chunk = Chunk::default();
    for seed in seeds {
        if began.elapsed() >= most {
            break;
        }
        let plan = Plan::of(seed);
        let outcome = run(&plan, None, false);
        chunk.histories += 1;
        chunk.charges += outcome.charges;
        chunk.batches += outcome.batches;
        chunk.turns += outcome.turns;
        chunk.virtual_time += outcome.virtual_time;
        chunk.real_time += outcome.real_time;
        if outcome.violation.is_some() {
            chunk.failed.push(seed);
            if let Some(shrunk) = shrink(&plan, None) {
                println!("{shrunk}");
            }
        }
    }
    chunk
}

/// The commit of the working tree, with `+` when it has changes.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let is_clean =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty());
    if is_clean { head } else { format!("{head}+") }
}

/// Appends a chunk to a file as one line of JSON.
///
/// # Errors
/// The file cannot be written.
pub fn append(file: &Path, seeds: &Range<u64>, chunk: &Chunk) -> anyhow::Result<()> {
    let line = json!({
        "program": "simulation",
        "commit": commit(),
        "from": seeds.start,
        "to": seeds.start + chunk.histories,
        "histories": chunk.histories,
        "charges": chunk.charges,
        "batches": chunk.batches,
        "turns": chunk.turns,
        "virtual_seconds": chunk.virtual_time.as_secs(),
        "real_seconds": chunk.real_time.as_secs_f64(),
        "violations": chunk.failed.len(),
        "failed_seeds": chunk.failed,
    });
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .context("the file of results")?;
    writeln!(file, "{line}").context("writing the results")
}

/// The commits that a summary counts: all those from `from` to `to`, the second included.
///
/// # Errors
/// git does not know the range.
pub fn commits(range: &str) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["rev-list", range])
        .output()
        .context("git did not start")?;
    if !output.status.success() {
        bail!(
            "git does not know the commits {range}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Adds the lines of a file up, those of the given commits or all; seeds that several lines name count once.
///
/// # Errors
/// The file cannot be read, or a line is not one that [`append`] writes.
pub fn summary(file: &Path, commits: Option<&[String]>) -> anyhow::Result<Value> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let (mut chunks, mut violations, mut seeds) = (0u64, 0u64, std::collections::BTreeSet::new());
    let (mut charges, mut virtual_seconds, mut real_seconds) = (0u64, 0u64, 0f64);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).context("a line of results")?;
        let commit = line["commit"].as_str().unwrap_or_default().trim_end_matches('+');
        if line["program"] != "simulation"
            || commits.is_some_and(|known| !known.iter().any(|known| known == commit))
        {
            continue;
        }
        let number = |key: &str| {
            line[key]
                .as_u64()
                .with_context(|| format!("a line without {key}"))
        };
        chunks += 1;
        violations += number("violations")?;
        charges += number("charges")?;
        virtual_seconds += number("virtual_seconds")?;
        real_seconds += line["real_seconds"].as_f64().unwrap_or(0.0);
        seeds.extend(number("from")?..number("to")?);
    }
    Ok(json!({
        "program": "simulation",
        "chunks": chunks,
        "different_seeds": seeds.len(),
        "charges": charges,
        "virtual_seconds": virtual_seconds,
        "real_seconds": real_seconds,
        "speed": virtual_seconds as f64 / real_seconds.max(1e-9),
        "violations": violations,
    }))
}
