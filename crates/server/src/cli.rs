//! The command line.

mod chain;
mod check;
mod dev;
mod http;
mod keygen;
mod logging;
mod platform;
mod receipt;
mod revoke;
mod serve;

use crate::{Config, ConfigError, Sources, config::Environment, service::supervisor::describe};
use clap::{Parser, Subcommand};
use std::{error::Error, path::PathBuf, process::ExitCode};

/// Haithe: a marketplace of models and agents, paid per call and settled on chain.
#[derive(Debug, Parser)]
#[command(name = "haithe", version, arg_required_else_help = true)]
struct Cli {
    /// Folder of default.toml, <profile>.toml and models.toml. [default: config, if it is there]
    #[arg(long, global = true, env = "HAITHE_CONFIG_DIR")]
    config_dir: Option<PathBuf>,
    /// Profile: reads <profile>.toml above default.toml
    #[arg(long, global = true, env = "HAITHE_PROFILE")]
    profile: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGINT or SIGTERM
    Serve,
    /// Bring the database to this program's version
    Migrate,
    /// Configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Receipts
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// The contracts
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Revoke every API key and session issued before a time; after a backup was restored, while no
    /// server runs
    Revoke(revoke::RevokeArgs),
    /// For development
    #[command(subcommand)]
    Dev(dev::DevCommand),
    /// Print fresh secrets as environment variables
    Keygen,
    /// Print the OpenAPI document of this program's routes
    Openapi,
    /// Read a document in a process of its own; the server starts it
    #[command(name = READ_DOCUMENT, hide = true)]
    ReadDocument,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read and check everything, and start nothing
    Check,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Compare the ledger with itself and with the chain; exit code 1 when something differs
    Check,
}

/// How a command ended, beside an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// As wished.
    Good,
    /// It ran, and its finding is bad.
    Bad,
    /// It ran, and could not find out.
    Unknown,
}

type Ran = Result<Outcome, Box<dyn Error + Send + Sync>>;

/// The hidden command that reads a document.
pub(crate) const READ_DOCUMENT: &str = "read-document";

/// Runs the program.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    // Before anything is read that a document's reader has no need to know.
    if matches!(cli.command, Command::ReadDocument) {
        return haithe_documents::child::run();
    }
    match command(cli) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Ok(Outcome::Unknown) => ExitCode::from(2),
        Err(error) => {
            complain(&describe(error.as_ref()));
            ExitCode::from(1)
        }
    }
}

fn command(cli: Cli) -> Ran {
    let sources = sources(&cli);
    match cli.command {
        Command::Serve => serve::serve(load(sources)?),
        Command::Migrate => serve::migrate(load(sources)?),
        Command::Config(ConfigCommand::Check) => serve::check_config(load(sources)?),
        Command::Ledger(LedgerCommand::Check) => check::ledger(&load(sources)?),
        Command::Receipt(command) => receipt::run(command, sources),
        Command::Chain(command) => chain::run(command, sources),
        Command::Revoke(args) => revoke::run(&args, &load(sources)?),
        Command::Dev(command) => dev::run(command),
        Command::Keygen => keygen::keygen(),
        // Handled before there was anything to load.
        Command::ReadDocument => Ok(Outcome::Unknown),
        Command::Openapi => {
            say(crate::openapi::text()?.trim_end());
            Ok(Outcome::Good)
        }
    }
}

fn sources(cli: &Cli) -> Sources {
    let usual = PathBuf::from("config");
    Sources {
        dir: cli.config_dir.clone().or_else(|| usual.is_dir().then_some(usual)),
        profile: cli.profile.clone(),
        environment: Environment::of_process(),
        ..Sources::default()
    }
}

fn load(sources: Sources) -> Result<Config, ConfigError> {
    Config::load(sources)
}

/// A line for people on the standard output.
fn say(text: &str) {
    use std::io::Write;
    // A closed pipe is the reader's wish.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line for people on the standard error.
fn complain(text: &str) {
    use std::io::Write;
    // Nobody is left to tell.
    let _ = writeln!(std::io::stderr(), "haithe: {text}");
}

/// Runs a short command's future on a small runtime.
fn briefly<T>(future: impl Future<Output = T>) -> Result<T, std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}
