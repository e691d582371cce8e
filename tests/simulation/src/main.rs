//! `haithe-simulation`: many histories of the money core, and one of them in full.

use anyhow::bail;
use clap::{Parser, Subcommand};
use haithe_simulation::{Plan, run, shrink, soak};
use std::{ops::Range, path::PathBuf, time::Duration};

#[derive(Parser)]
#[command(about = "Deterministic simulation of the money core")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the histories of these seeds; a failing one is shrunk and printed.
    Run {
        /// Seeds, the second one left out.
        #[arg(long, value_name = "FROM..TO", value_parser = seeds)]
        seeds: Range<u64>,
        /// Ends after so many minutes, with the seeds that ran.
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// Appends one line of JSON to this file.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Run one seed and print its log.
    Show {
        /// The seed.
        seed: u64,
        /// Print only the steps that matter; the seed has to fail.
        #[arg(long)]
        short: bool,
    },
    /// Add the lines of a file up.
    Summary {
        /// The file.
        file: PathBuf,
        /// Only lines of these commits, as git names a range (`v1..HEAD`).
        #[arg(long)]
        commits: Option<String>,
    },
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("two numbers with .. between them")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    Ok(number(from)?..number(to)?)
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run { seeds, minutes, out } => {
            let chunk = soak::chunk(seeds.clone(), Duration::from_secs(minutes * 60));
            println!(
                "{} histories, {} charges, {} batches, {} steps; {:.0} × real time; {} violations",
                chunk.histories,
                chunk.charges,
                chunk.batches,
                chunk.turns,
                chunk.speed(),
                chunk.failed.len()
            );
            if let Some(out) = out {
                soak::append(&out, &seeds, &chunk)?;
            }
            if !chunk.failed.is_empty() {
                bail!("these seeds break an invariant: {:?}", chunk.failed);
            }
        }
        Command::Show { seed, short: false } => {
            let plan = Plan::of(seed);
            for step in &plan.steps {
                println!("plan {step}");
            }
            let outcome = run(&plan, None, true);
            println!("{}", outcome.log.join("\n"));
            println!("{:?}", outcome.violation);
        }
        Command::Show { seed, short: true } => match shrink(&Plan::of(seed), None) {
            Some(shrunk) => println!("{shrunk}"),
            None => println!("seed {seed} breaks no invariant"),
        },
        Command::Summary { file, commits } => {
            let commits = commits.map(|range| soak::commits(&range)).transpose()?;
            println!("{}", soak::summary(&file, commits.as_deref())?);
        }
    }
    Ok(())
}
