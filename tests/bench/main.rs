//! The benchmark: what the gateway adds to an upstream that answers at once.
//!
//! `cargo xtask bench` builds everything in release and starts this program. Authentication, hold and
//! fsynced capture are on. Each figure is the median of the rounds.

mod anonymous;
mod bars;
mod load;
mod mock;
mod process;
mod stage;

use crate::{
    bars::Bars,
    load::{Run, Target, run},
    stage::{Stage, direct},
};
use clap::Parser;
use std::{path::PathBuf, time::Duration};

#[derive(Parser)]
#[command(about = "Measures the server over a mock upstream")]
struct Arguments {
    /// The server's release binary.
    #[arg(long)]
    server: PathBuf,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Rounds, of which the median is printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of the soak, which shows whether memory grows; 0 leaves it out.
    #[arg(long, default_value_t = 600)]
    soak: u64,
    /// Only the load of this kind and this many callers, `stream:1` say, and no more: for a profiler.
    #[arg(long, value_parser = one_load)]
    only: Option<(bool, usize)>,
    /// Only measures logins and paid calls alone and beside anonymous clients, for each public operation.
    #[arg(long)]
    anonymous: bool,
    /// Only puts the server under each load for a second, whose figures nobody wants: for its own counters.
    #[arg(long)]
    exercise: bool,
    /// The core for the server; without it, it runs anywhere.
    #[arg(long)]
    server_core: Option<usize>,
}

/// Callers at once, each of which calls again when it has its answer.
const CALLERS: [usize; 3] = [1, 32, 128];

/// One measured figure of both ways to the upstream.
pub struct Row {
    direct: Figures,
    through: Figures,
    cpu_micros: f64,
}

#[derive(Clone, Copy)]
pub struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

impl From<&Run> for Figures {
    fn from(run: &Run) -> Self {
        let micros = |share| run.quantile(share).as_secs_f64() * 1e6;
        Self {
            rate: run.rate(),
            p50: micros(0.5),
            p99: micros(0.99),
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let upstream = mock::start().await?;
    let stage = Stage::set(&arguments.server, arguments.server_core, upstream).await?;
    if arguments.exercise {
        return exercise(stage).await;
    }
    if arguments.anonymous {
        anonymous::compare(&stage, Duration::from_secs(arguments.seconds)).await?;
        return stage.strike();
    }
    let fsync = process::fsync_time(&std::env::temp_dir())?;
    println!(
        "fsync of 4 KiB here: {:.0} µs (median of 200)",
        fsync.as_secs_f64() * 1e6
    );
    println!("idle memory of the server: {:.1} MB", mb(stage.idle_kib));
    println!(
        "median of {} rounds, {} s each; times in µs\n",
        arguments.rounds, arguments.seconds
    );
    println!("{HEADER}");
    let mut bars = Bars::new(fsync);
    bars.idle(stage.idle_kib);
    for (name, streamed) in [("json", false), ("stream, first event", true)] {
        for callers in CALLERS {
            if arguments.only.is_some_and(|only| only != (streamed, callers)) {
                continue;
            }
            let row = measure(
                &arguments,
                &stage,
                &direct(upstream, streamed),
                &stage.target(streamed),
                callers,
            )
            .await?;
            print_row(name, callers, &row);
            bars.row(streamed, callers, &row);
        }
    }
    if arguments.only.is_some() {
        return stage.strike();
    }
    bars.streams(many_streams(&stage).await?);
    if arguments.soak > 0 {
        bars.soak(&soak(&stage, Duration::from_secs(arguments.soak)).await?);
    }
    println!("\n{bars}");
    stage.strike()
}

async fn exercise(stage: Stage) -> anyhow::Result<()> {
    let target = [false, true].map(|streamed| stage.target(streamed));
    for target in &target {
        for callers in CALLERS {
            run(target, callers, Duration::ZERO, Duration::from_secs(1)).await?;
        }
    }
    many_streams(&stage).await?;
    stage.strike()
}

/// `json:32` or `stream:1`.
fn one_load(text: &str) -> Result<(bool, usize), String> {
    let (kind, callers) = text
        .split_once(':')
        .ok_or("a kind and a number of callers: json:32")?;
    let streamed = match kind {
        "json" => false,
        "stream" => true,
        _ => return Err("the kind is json or stream".to_owned()),
    };
    match callers.parse() {
        Ok(callers @ (1 | 32 | 128)) => Ok((streamed, callers)),
        _ => Err("callers are 1, 32 or 128".to_owned()),
    }
}

/// One stream of each of so many callers, all at once; any lost or reordered event is an error.
async fn many_streams(stage: &Stage) -> anyhow::Result<usize> {
    const STREAMS: usize = 1_000;
    // A closed loop of no length: each caller calls once.
    let run = run(&stage.target(true), STREAMS, Duration::ZERO, Duration::ZERO).await?;
    Ok(run.latencies.len())
}

/// Resident memory in KiB, every tenth of a load of JSON and streams that lasts `span`.
async fn soak(stage: &Stage, span: Duration) -> anyhow::Result<Vec<u64>> {
    println!(
        "\nsoak of {} s, 24 callers of JSON and 8 of streams",
        span.as_secs()
    );
    let mut memory = Vec::new();
    for _ in 0..10 {
        let (json, streams) = (stage.target(false), stage.target(true));
        tokio::try_join!(
            run(&json, 24, Duration::ZERO, span / 10),
            run(&streams, 8, Duration::ZERO, span / 10)
        )?;
        memory.push(process::resident_kib(stage.pid)?);
        println!("  memory {:>6.1} MB", mb(memory.last().copied().unwrap_or(0)));
    }
    Ok(memory)
}

fn mb(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

const HEADER: &str = "\
kind                 callers | direct req/s    p50    p99 | server req/s    p50    p99 | added p50  added p99 | CPU µs/req";

fn print_row(name: &str, callers: usize, row: &Row) {
    let Row {
        direct,
        through,
        cpu_micros,
    } = row;
    println!(
        "{name:<20} {callers:>7} | {:>12.0} {:>6.0} {:>6.0} | {:>12.0} {:>6.0} {:>6.0} | {:>9.0} {:>10.0} | {cpu_micros:>10.0}",
        direct.rate,
        direct.p50,
        direct.p99,
        through.rate,
        through.p50,
        through.p99,
        through.p50 - direct.p50,
        through.p99 - direct.p99,
    );
}

async fn measure(
    arguments: &Arguments,
    stage: &Stage,
    upstream: &Target,
    server: &Target,
    callers: usize,
) -> anyhow::Result<Row> {
    let span = Duration::from_secs(arguments.seconds);
    let warm_up = Duration::from_millis(500);
    let mut rows = Vec::new();
    for _ in 0..arguments.rounds.max(1) {
        let alone = run(upstream, callers, warm_up, span).await?;
        let before = process::cpu_time(stage.pid)?;
        // Without a warm-up inside, so that CPU and answers are counted over the same span.
        let through = run(server, callers, Duration::ZERO, span).await?;
        let used = process::cpu_time(stage.pid)? - before;
        rows.push(Row {
            direct: Figures::from(&alone),
            through: Figures::from(&through),
            cpu_micros: used.as_secs_f64() * 1e6 / through.latencies.len().max(1) as f64,
        });
    }
    let direct = rows.iter().map(|row| row.direct).collect::<Vec<_>>();
    let through = rows.iter().map(|row| row.through).collect::<Vec<_>>();
    Ok(Row {
        direct: median_figures(&direct),
        through: median_figures(&through),
        cpu_micros: median(rows.iter().map(|row| row.cpu_micros).collect()),
    })
}

fn median_figures(figures: &[Figures]) -> Figures {
    let of = |part: fn(&Figures) -> f64| median(figures.iter().map(part).collect());
    Figures {
        rate: of(|f| f.rate),
        p50: of(|f| f.p50),
        p99: of(|f| f.p99),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
