//! The whole service for one test: a chain, a provider, a database, and the server over them.

mod catalogue;
mod tenant;

pub use catalogue::models;
pub use tenant::{Money, Tenant, User, question, streamed_question, usdt};

use crate::{
    chain::{Chain, ChainSetup},
    client::Client,
    postgres::TestDatabase,
    upstream::Upstream,
    wallets::Wallet,
};
use async_trait::async_trait;
use catalogue::catalogue_over;
use haithe_egress::{Egress, Policy, Resolver};
use haithe_kernel::{Clock, Fetcher, FixedClock, Timestamp, Usdt};
use haithe_server::{
    Overrides, Sources,
    config::{Config, Environment},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};
use tempfile::TempDir;

/// The key that the provider expects; no answer may ever contain it.
pub const PROVIDER_KEY: &str = "sk-the-provider-s-own-secret";

/// What a test wants otherwise than usual.
#[derive(Default)]
pub struct Setup {
    /// The chain.
    pub chain: ChainSetup,
    /// Settings above the fixture's.
    pub settings: Vec<(&'static str, toml::Value)>,
    /// The service's time, where the test moves it.
    pub clock: Option<Arc<FixedClock>>,
    /// Receivers on loopback that the service may call by the name [`RECEIVER`].
    pub receivers: Vec<SocketAddr>,
}

impl Setup {
    /// With a clock that begins now and moves only when it is told to.
    pub fn on_a_clock() -> (Self, Arc<FixedClock>) {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(now)));
        let setup = Self {
            clock: Some(Arc::clone(&clock)),
            ..Self::default()
        };
        (setup, clock)
    }

    /// With this setting.
    #[must_use]
    pub fn set(mut self, path: &'static str, value: impl Into<toml::Value>) -> Self {
        self.settings.push((path, value.into()));
        self
    }
}

/// The name of every receiver; its port tells them apart.
pub const RECEIVER: &str = "receiver.example";

/// Knows [`RECEIVER`] alone.
struct OnLoopback;

#[async_trait]
impl Resolver for OnLoopback {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if name.trim_end_matches('.') == RECEIVER {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        }
        Err(io::Error::other("no such name"))
    }
}

/// The service's client for addresses that users name, which also calls these by the name [`RECEIVER`].
pub fn loopback(receivers: &[SocketAddr]) -> Arc<dyn Fetcher> {
    let egress = Egress::for_tests(Policy::default(), Arc::new(OnLoopback), receivers);
    Arc::new(egress.expect("a client"))
}

/// Everything around the server, which may be started over it many times.
pub struct Surroundings {
    /// The chain.
    pub chain: Chain,
    /// The provider behind every model but the sandbox and the spare one.
    pub upstream: Upstream,
    /// The provider behind the spare model.
    pub spare: Upstream,
    settings: Vec<(String, toml::Value)>,
    clock: Option<Arc<FixedClock>>,
    receivers: Vec<SocketAddr>,
    dir: TempDir,
    /// The database of a service on PostgreSQL, dropped with this value.
    _postgres: Option<TestDatabase>,
}

/// The database of every whole service, `sqlite` (also without it) or `postgres`.
const DATABASE: &str = "HAITHE_TEST_DATABASE";

/// Whether whole services run on SQLite. Otherwise prints that a test, which needs SQLite's file, is skipped.
pub fn on_sqlite() -> bool {
    let is_sqlite = std::env::var(DATABASE).map_or(true, |name| name == "sqlite");
    if !is_sqlite {
        println!("skipped: it opens the file of an SQLite database");
    }
    is_sqlite
}

/// An empty PostgreSQL database, if that is what this run tests.
///
/// # Panics
/// When there is no server for it, or another database is named.
async fn chosen_postgres() -> Option<TestDatabase> {
    match std::env::var(DATABASE).as_deref() {
        Err(_) | Ok("sqlite") => None,
        Ok("postgres") => Some(TestDatabase::empty().await.expect("a PostgreSQL server")),
        Ok(other) => panic!("{DATABASE} is `sqlite` or `postgres`, not `{other}`"),
    }
}

impl Surroundings {
    /// A chain with the contracts, a provider, and an empty folder for the database.
    pub async fn prepare(setup: Setup) -> Self {
        let chain = Chain::with(setup.chain).await;
        let upstream = Upstream::start().await;
        let spare = Upstream::start().await;
        let dir = tempfile::tempdir().expect("a folder for the database");
        let postgres = chosen_postgres().await;
        let database = match &postgres {
            Some(database) => database.url(),
            None => format!("sqlite://{}/haithe.db", dir.path().display()),
        };
        let catalogue = dir.path().join("models.toml");
        std::fs::write(
            &catalogue,
            catalogue_over(&upstream.base_url(), &spare.base_url()),
        )
        .expect("a writable folder");
        let text = |value: String| toml::Value::String(value);
        let number = |value: u64| toml::Value::Integer(i64::try_from(value).expect("a small number"));
        let deployment = &chain.deployment;
        let mut settings: Vec<(String, toml::Value)> = [
            ("server.port", number(0)),
            ("server.worker_threads", number(2)),
            ("server.shutdown_seconds", number(5)),
            ("log.filter", text("warn".into())),
            ("database.url", text(database)),
            (
                "database.encryption_key",
                text(Wallet::named("database").key_hex()),
            ),
            (
                "auth.jwt_secret",
                text("a secret of tests that is long enough".into()),
            ),
            (
                "auth.api_key_signing_key",
                text(Wallet::named("api keys").key_hex()),
            ),
            ("enclave.key", text(Wallet::named("enclave").key_hex())),
            ("chain.rpc_url", text(chain.rpc_url())),
            ("chain.public_rpc_url", text(chain.rpc_url())),
            ("chain.id", number(deployment.chain_id)),
            ("chain.orchestrator", text(deployment.orchestrator.to_string())),
            ("chain.start_block", number(deployment.start_block)),
            (
                "chain.token_decimals",
                number(u8::from(deployment.decimals).into()),
            ),
            ("chain.server_key", text(chain.server.key_hex())),
            ("chain.confirmations", number(1)),
            ("chain.finality", number(1)),
            ("chain.poll_milliseconds", number(50)),
            ("settlement.max_age_seconds", number(3_600)),
            ("settlement.poll_milliseconds", number(50)),
            // Every credit is paid at once; suites about small credits set their own.
            ("settlement.min_credit_usdt", text("0".into())),
            ("inference.catalogue", text(catalogue.display().to_string())),
            ("inference.sandbox", toml::Value::Boolean(true)),
            // Suites hammer one service from one address; those about limits set their own.
            ("limits.requests_per_address", number(0)),
            ("limits.logins_per_address", number(0)),
            ("chain.sponsored_per_network", number(1_000_000)),
            ("chain.faucet_grants_per_network", number(1_000_000)),
            ("server.max_connections_per_client", number(4_096)),
            ("limits.concurrent_per_organization", number(0)),
        ]
        .map(|(path, value)| (path.to_owned(), value))
        .into();
        settings.extend(
            setup
                .settings
                .into_iter()
                .map(|(path, value)| (path.to_owned(), value)),
        );
        Self {
            chain,
            upstream,
            spare,
            settings,
            clock: setup.clock,
            receivers: setup.receivers,
            dir,
            _postgres: postgres,
        }
    }

    /// The folder of the database.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// The service's own client for addresses that users name, which also calls the receivers.
    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        if self.receivers.is_empty() {
            return None;
        }
        Some(loopback(&self.receivers))
    }

    /// Changes a setting for servers started later.
    pub fn set(&mut self, path: &str, value: impl Into<toml::Value>) {
        self.settings.push((path.to_owned(), value.into()));
    }

    /// The settings as the server's own sources.
    pub fn sources(&self) -> Sources {
        let environment: Environment = [("TEST_PROVIDER_KEY", PROVIDER_KEY)].into_iter().collect();
        let sources = Sources {
            environment,
            ..Sources::default()
        };
        let settings = self.settings.iter().cloned();
        settings.fold(sources, |sources, (path, value)| sources.set(&path, value))
    }

    /// The settings as environment variables, for a server in a process of its own.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variable = |(path, value): &(String, toml::Value)| {
            let name = format!("HAITHE__{}", path.to_uppercase().replace('.', "__"));
            let text = match value {
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (name, text)
        };
        let mut variables: Vec<_> = self.settings.iter().map(variable).collect();
        variables.push(("TEST_PROVIDER_KEY".into(), PROVIDER_KEY.into()));
        variables
    }
}

/// The service in this process.
pub struct App {
    /// What is around it.
    pub around: Surroundings,
    /// The base URL, which ends in `/api`.
    pub base: String,
    server: haithe_server::App,
}

impl std::ops::Deref for App {
    type Target = Surroundings;
    fn deref(&self) -> &Surroundings {
        &self.around
    }
}

impl App {
    /// With the usual settings: every block final at once, settlement only when a test asks for it.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// With other settings.
    pub async fn with(setup: Setup) -> Self {
        Self::over(Surroundings::prepare(setup).await).await
    }

    /// Over what is there, an earlier server's database included.
    pub async fn over(around: Surroundings) -> Self {
        let config = Config::load(around.sources()).expect("the fixture's settings are right");
        let overrides = Overrides {
            clock: around.clock.clone().map(|clock| clock as Arc<dyn Clock>),
            node: None,
            fetcher: around.fetcher(),
            program: Some(crate::program::program()),
        };
        let server = haithe_server::App::start_with(config, overrides)
            .await
            .expect("the server starts");
        let base = format!("http://{}/api", server.address());
        Self { around, base, server }
    }

    /// Stops the server in good order.
    pub async fn stop(self) -> Surroundings {
        self.server.stop().await;
        self.around
    }

    /// Stops it and starts it again over the same database.
    pub async fn restarted(self) -> Self {
        Self::over(self.stop().await).await
    }

    /// Waits until the chain's newest block is indexed.
    pub async fn indexed(&self) {
        let head = self.around.chain.dev.head().number;
        crate::eventually("the chain's newest block is indexed", async || {
            let ready = self.anonymous().get("//health/ready").send().await.json();
            let block = ready["chain"]["indexed_block"].as_u64();
            block.is_some_and(|block| block >= head).then_some(())
        })
        .await;
    }

    /// A caller without a credential.
    pub fn anonymous(&self) -> Client {
        Client::new(self.base.clone())
    }

    /// Wallet `number`, logged in.
    pub async fn wallet(&self, number: u32) -> User {
        User::log_in(&self.anonymous(), Wallet::number(number)).await
    }

    /// Wallet 1 with an organization of this name that holds `amount`, a project, and every usual
    /// model enabled.
    pub async fn funded(&self, name: &str, amount: Usdt) -> Tenant {
        let owner = self.wallet(1).await;
        let tenant = Tenant::found(&self.around.chain, owner, name).await;
        if amount > Usdt::ZERO {
            tenant.deposit(&self.around.chain, amount).await;
        }
        tenant
    }
}
