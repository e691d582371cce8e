//! `haithe-devchain`: a development chain on a socket.

use anyhow::Context as _;
use clap::Parser;
use haithe_devchain::{DEFAULT_CHAIN_ID, DevChain, DevChainConfig, Mining, demo_accounts};
use std::{io::Write as _, net::SocketAddr, path::PathBuf, time::Duration};
use tracing_subscriber::EnvFilter;

/// An Ethereum chain for development, in one process.
///
/// Anyone who can reach the socket can change the chain at will, and the keys of its funded
/// accounts are public: for development only.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen for JSON-RPC; port 0 chooses a free one.
    #[arg(long, default_value = "127.0.0.1:8545")]
    listen: SocketAddr,
    /// EIP-155 chain id.
    #[arg(long, default_value_t = DEFAULT_CHAIN_ID)]
    chain_id: u64,
    /// Make a block this often, empty or not: 500ms, 1s, 12s, 1m.
    #[arg(long, value_parser = duration, default_value = "1s", group = "pace")]
    block_time: Duration,
    /// Make a block as soon as a transaction arrives.
    #[arg(long, group = "pace")]
    instant: bool,
    /// Make blocks only when asked (evm_mine).
    #[arg(long, group = "pace")]
    manual: bool,
    /// Keep the chain in this file; without it, stopping forgets everything.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(long)]
    quiet: bool,
}

impl Arguments {
    fn mining(&self) -> Mining {
        match (self.instant, self.manual) {
            (true, _) => Mining::Instant,
            (_, true) => Mining::Manual,
            _ => Mining::Interval(self.block_time),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let default = if arguments.quiet { "error" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let stop = Stop::new().context("signals cannot be watched")?;
    let mining = arguments.mining();
    let config = DevChainConfig {
        chain_id: arguments.chain_id,
        mining,
        journal: arguments.state.clone(),
        ..DevChainConfig::default()
    };
    let chain = DevChain::start(config)?;
    let served = chain
        .serve(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    if !served.local_addr().ip().is_loopback() {
        tracing::warn!(
            "anyone who can reach {} can change this chain at will",
            served.local_addr()
        );
    }
    if !arguments.quiet {
        // A closed pipe is no reason to stop the chain.
        let _ = std::io::stdout()
            .lock()
            .write_all(greeting(&chain, &served.url(), mining).as_bytes());
    }

    stop.requested().await;
    served.shutdown().await;
    Ok(())
}

fn greeting(chain: &DevChain, url: &str, mining: Mining) -> String {
    let pace = match mining {
        Mining::Instant => "a block per transaction".to_owned(),
        Mining::Interval(every) => format!("a block every {every:?}"),
        Mining::Manual => "blocks on request".to_owned(),
    };
    let mut text = format!(
        "haithe-devchain listens on {url}\nchain id {}, block {}, {pace}\n\n\
         Funded accounts. Their keys are PUBLIC: never send them anything of value on a real network.\n",
        chain.chain_id(),
        chain.head().number
    );
    for account in demo_accounts() {
        text.push_str(&format!(
            "  {}  {}  {}\n",
            account.index, account.address, account.key
        ));
    }
    text
}

/// SIGINT and SIGTERM, watched from the start so that none is missed.
struct Stop {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn requested(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn requested(self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// A duration as people write it.
fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit).unwrap_or((text, ""));
    let number: u64 = number
        .parse()
        .map_err(|_| "a number and ms, s or m, such as 500ms".to_owned())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err("the unit must be ms, s or m".to_owned()),
    };
    if duration.is_zero() {
        return Err("zero is no interval: use --instant or --manual".to_owned());
    }
    Ok(duration)
}
