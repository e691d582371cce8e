//! `cargo xtask dev`: the whole product on this machine, from nothing to a `curl` that answers.
//!
//! Builds, starts the development chain and the server, deploys the contracts, seeds a demo
//! organization with money, and stops everything on Ctrl-C. State stays in `.haithe/dev`, so that a
//! second run continues where the first ended.

mod banner;
mod keys;
mod ports;
mod process;

use crate::{
    postgres,
    run::{cargo, step, target_folder},
};
use anyhow::{Context, bail};
use keys::{Account, Secrets};
use process::{Program, Stop};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How it shall run.
#[derive(clap::Args)]
pub struct Options {
    /// The server's port; another free one is taken when it is busy.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The chain's port; another free one is taken when it is busy.
    #[arg(long, default_value_t = 8545)]
    chain_port: u16,
    /// The port of the metrics; another free one is taken when it is busy.
    #[arg(long, default_value_t = 9090)]
    metrics_port: u16,
    /// Forget the state of earlier runs first.
    #[arg(long)]
    fresh: bool,
    /// Use PostgreSQL instead of SQLite: a server that is started for this run and removed with it, so that every
    /// run begins from nothing.
    #[arg(long)]
    postgres: bool,
    /// Stop when everything is up (for checks).
    #[arg(long, hide = true)]
    once: bool,
}

/// How long a program may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until Ctrl-C, or until a program ends by itself.
pub fn dev(root: &Path, options: &Options) -> anyhow::Result<()> {
    let programs = [
        "build",
        "--locked",
        "-p",
        "haithe-server",
        "-p",
        "haithe-devchain",
        "--bins",
    ];
    step("build", cargo(root).args(programs))?;
    let built = target_folder(root)?.join("debug");
    let folder = root.join(match options.postgres {
        true => ".haithe/dev-postgres",
        false => ".haithe/dev",
    });
    if (options.fresh || options.postgres) && folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;

    let stop = Stop::watch()?;
    let postgres = options.postgres.then(|| database_server(root)).transpose()?;
    let database = match &postgres {
        Some(server) => server.url().to_owned(),
        None => format!("sqlite://{}", folder.join("haithe.db").display()),
    };
    let chain_at = ports::free(options.chain_port)?;
    println!("\n── chain on {chain_at}");
    let mut chain = Chain::start(&built, &folder, chain_at, &stop)?;
    let ran = Stage {
        root,
        built,
        folder,
        stop: &stop,
        database,
        chain_at,
        accounts: &chain.accounts,
    }
    .run(options, &mut chain.program);
    println!("\n── stopping");
    chain.program.end();
    ran
}

/// A PostgreSQL server for this run.
fn database_server(root: &Path) -> anyhow::Result<postgres::Server> {
    postgres::Server::start(root)?.context("`--postgres` needs an installation of PostgreSQL")
}

struct Chain {
    program: Program,
    accounts: Vec<Account>,
}

impl Chain {
    fn start(built: &Path, folder: &Path, at: SocketAddr, stop: &Stop) -> anyhow::Result<Self> {
        let mut command = Command::new(built.join("haithe-devchain"));
        command
            .args(["--listen", &at.to_string(), "--block-time", "1s", "--state"])
            .arg(folder.join("chain.journal"));
        let mut program = Program::start("haithe-devchain", &mut command, true)?;
        let greeting = program.lines_until(|line| line.trim_start().starts_with("9 "))?;
        program.answers(at, None, PATIENCE, stop)?;
        Ok(Self {
            accounts: keys::accounts(&greeting)?,
            program,
        })
    }
}

struct Stage<'a> {
    root: &'a Path,
    built: PathBuf,
    folder: PathBuf,
    stop: &'a Stop,
    /// The URL of the database.
    database: String,
    chain_at: SocketAddr,
    accounts: &'a [Account],
}

impl Stage<'_> {
    fn run(&self, options: &Options, chain: &mut Program) -> anyhow::Result<()> {
        let deployment = self.deploy()?;
        let at = ports::free(options.port)?;
        let metrics = ports::free(options.metrics_port)?;
        println!("── server on {at}, metrics on {metrics}");
        let mut command = self.server(at, metrics, &deployment)?;
        let mut server = Program::start("haithe", &mut command, false)?;
        let ran = self.serve(options, (at, metrics), &mut server, chain);
        server.end();
        ran
    }

    fn serve(
        &self,
        options: &Options,
        (at, metrics): (SocketAddr, SocketAddr),
        server: &mut Program,
        chain: &mut Program,
    ) -> anyhow::Result<()> {
        server.answers(at, Some("/health"), PATIENCE, self.stop)?;
        println!("── demo organization");
        let seeded = self.seed(at)?;
        println!(
            "{}",
            banner::of(
                [at, metrics, self.chain_at],
                &seeded,
                (&self.folder, &self.built.join("haithe")),
                match options.postgres {
                    true => "begins anew",
                    false => "continues",
                }
            )
        );
        while !options.once && !self.stop.requested() {
            for program in [&mut *server, &mut *chain] {
                if let Some(status) = program.ended()? {
                    bail!(
                        "{} ended by itself ({status}); its last lines are above",
                        program.name()
                    );
                }
            }
            self.stop.wait(Duration::from_millis(200));
        }
        Ok(())
    }

    fn account(&self, index: usize) -> anyhow::Result<&Account> {
        self.accounts
            .get(index)
            .with_context(|| format!("the chain shows no account {index}"))
    }

    /// Account 0 settles, account 1 governs and mints, account 2 is the demo wallet.
    fn deploy(&self) -> anyhow::Result<Value> {
        println!("── contracts");
        let mut command = Command::new(self.built.join("haithe"));
        command
            .args([
                "chain",
                "deploy",
                "--chain-id",
                "133717",
                "--server",
                &self.account(0)?.address,
            ])
            .env("BLOCKCHAIN_PROVIDER_URL", format!("http://{}", self.chain_at))
            .env("DEPLOYER_PVT_KEY", &self.account(1)?.key);
        process::json(&mut command, "haithe chain deploy")
    }

    fn server(&self, at: SocketAddr, metrics: SocketAddr, deployment: &Value) -> anyhow::Result<Command> {
        let secrets = Secrets::kept(&self.folder, &self.built.join("haithe"))?;
        let fact = |name: &str| match deployment.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Ok(other.to_string()),
            None => bail!("`haithe chain deploy` printed no {name}"),
        };
        let rpc = format!("http://{}", self.chain_at);
        let settings = [
            ("HAITHE_PROFILE", "dev".to_owned()),
            (
                "HAITHE_CONFIG_DIR",
                self.root.join("config").display().to_string(),
            ),
            ("PORT", at.port().to_string()),
            ("HAITHE__METRICS__ADDRESS", metrics.to_string()),
            ("DATABASE_URL", self.database.clone()),
            ("BLOCKCHAIN_PROVIDER_URL", rpc.clone()),
            ("HAITHE__CHAIN__PUBLIC_RPC_URL", rpc),
            ("HAITHE__CHAIN__ORCHESTRATOR", fact("orchestrator")?),
            ("HAITHE__CHAIN__START_BLOCK", fact("start_block")?),
            ("SERVER_PVT_KEY", self.account(0)?.key.clone()),
            ("JWT_SECRET", secrets.jwt),
            ("API_KEY_SIGNING_KEY", secrets.api_keys),
            ("DATABASE_ENCRYPTION_KEY", secrets.database),
            ("ENCLAVE_KEY", secrets.enclave),
        ];
        // For `haithe ledger check` and its like, beside the running server.
        let lines: String = settings
            .iter()
            .map(|(name, value)| format!("export {name}='{value}'\n"))
            .collect();
        fs::write(self.folder.join("haithe.env"), lines).context("writing haithe.env")?;
        let mut command = Command::new(self.built.join("haithe"));
        command.arg("serve").envs(settings);
        Ok(command)
    }

    fn seed(&self, at: SocketAddr) -> anyhow::Result<Value> {
        let mut command = Command::new(self.built.join("haithe"));
        command
            .args([
                "dev",
                "seed",
                "--base-url",
                &format!("http://{at}/api"),
                "--state",
            ])
            .arg(self.folder.join("demo.json"))
            .env("DEMO_WALLET_PVT_KEY", &self.account(2)?.key)
            .env("DEPLOYER_PVT_KEY", &self.account(1)?.key);
        process::json(&mut command, "haithe dev seed")
    }
}
