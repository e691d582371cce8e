//! The whole service for one test: a chain, a provider, a database, and the server over them.

use crate::{
    chain::{Chain, ChainSetup},
    client::Client,
    upstream::Upstream,
    wallets::Wallet,
};
use alloy::primitives::Address;
use haithe_kernel::{Clock, FixedClock, Timestamp, Usdt};
use haithe_server::{
    Overrides, Sources,
    config::{Config, Environment},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
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

/// Everything around the server, which may be started over it many times.
pub struct Surroundings {
    /// The chain.
    pub chain: Chain,
    /// The provider behind every model but the sandbox.
    pub upstream: Upstream,
    settings: Vec<(String, toml::Value)>,
    clock: Option<Arc<FixedClock>>,
    dir: TempDir,
}

impl Surroundings {
    /// A chain with the contracts, a provider, and an empty folder for the database.
    pub async fn prepare(setup: Setup) -> Self {
        let chain = Chain::with(setup.chain).await;
        let upstream = Upstream::start().await;
        let dir = tempfile::tempdir().expect("a folder for the database");
        let catalogue = dir.path().join("models.toml");
        std::fs::write(&catalogue, catalogue_over(&upstream.base_url())).expect("a writable folder");
        let text = |value: String| toml::Value::String(value);
        let number = |value: u64| toml::Value::Integer(i64::try_from(value).expect("a small number"));
        let deployment = &chain.deployment;
        let mut settings: Vec<(String, toml::Value)> = [
            ("server.port", number(0)),
            ("server.worker_threads", number(2)),
            ("server.shutdown_seconds", number(5)),
            ("log.filter", text("warn".into())),
            (
                "database.url",
                text(format!("sqlite://{}/haithe.db", dir.path().display())),
            ),
            (
                "auth.jwt_secret",
                text("a secret of tests that is long enough".into()),
            ),
            (
                "auth.api_key_signing_key",
                text(Wallet::named("api keys").key_hex()),
            ),
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
            ("inference.catalogue", text(catalogue.display().to_string())),
            ("inference.sandbox", toml::Value::Boolean(true)),
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
            settings,
            clock: setup.clock,
            dir,
        }
    }

    /// The folder of the database.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
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

/// Numbers of the catalogue's models.
pub mod models {
    #![expect(missing_docs, reason = "the catalogue below describes them")]
    pub const PER_CALL: (i64, &str) = (1, "per-call");
    pub const PER_TOKEN: (i64, &str) = (2, "per-token");
    pub const BOTH: (i64, &str) = (3, "both");
    pub const FREE: (i64, &str) = (4, "free");
    pub const SANDBOX: (i64, &str) = (5, "sandbox");
    pub const INACTIVE: (i64, &str) = (7, "inactive");
    pub const KEYLESS: (i64, &str) = (8, "keyless");
    pub const DEAD: (i64, &str) = (9, "dead");
    /// Those a test organization enables.
    pub const USUAL: [(i64, &str); 5] = [PER_CALL, PER_TOKEN, BOTH, FREE, SANDBOX];
}

/// Prices are chosen so that a reader can compute with them: a token of input costs 1,000 nano, a
/// cached one 500, one of output 3,000, a call 0.1 USDT.
fn catalogue_over(base_url: &str) -> String {
    format!(
        r#"
[providers.test]
base_url = "{base_url}"
api_key_env = "TEST_PROVIDER_KEY"
connect_timeout_ms = 1000
first_byte_timeout_ms = 1500
idle_timeout_ms = 1500
answer_timeout_ms = 3000

[providers.dead]
base_url = "http://127.0.0.1:9/v1"
connect_timeout_ms = 300

[providers.keyless]
base_url = "{base_url}"
api_key_env = "TEST_ABSENT_KEY"

[providers.sandbox]
kind = "sandbox"

[[models]]
id = 1
name = "per-call"
display_name = "A fixed price per call"
provider = "test"
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]

[[models]]
id = 2
name = "per-token"
display_name = "Prices per token"
provider = "test"
upstream_name = "the-provider-s-name"
price = {{ input = "1", cached = "0.5", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]

[[models]]
id = 3
name = "both"
display_name = "A price per call and per token"
provider = "test"
price = {{ per_call = "0.1", input = "1", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming"]

[[models]]
id = 4
name = "free"
display_name = "Free of charge"
provider = "test"
price = {{}}
context = 100000
max_output = 1000
capabilities = ["streaming"]

[[models]]
id = 5
name = "sandbox"
display_name = "The sandbox"
provider = "sandbox"
price = {{ per_call = "0.001", input = "1", output = "2" }}
context = 100000
max_output = 1000
capabilities = ["streaming"]

[[models]]
id = 7
name = "inactive"
display_name = "Not offered"
provider = "test"
active = false
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000

[[models]]
id = 8
name = "keyless"
display_name = "A provider without its key"
provider = "keyless"
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000

[[models]]
id = 9
name = "dead"
display_name = "A dead provider"
provider = "dead"
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000
"#
    )
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

/// A wallet with a session.
#[derive(Debug, Clone)]
pub struct User {
    /// Its keys.
    pub wallet: Wallet,
    /// Speaks with its session token.
    pub client: Client,
    /// The token.
    pub token: String,
}

impl User {
    /// Logs the wallet in as the existing frontend does.
    pub async fn log_in(anonymous: &Client, wallet: Wallet) -> Self {
        let address = wallet.address().to_string();
        let challenge = anonymous
            .get("/v1/auth/nonce")
            .query(&[("address", &address)])
            .data()
            .await;
        let text = challenge["nonce"].as_str().expect("a text to sign");
        let signature = wallet.sign(text);
        let login = anonymous.post("/v1/auth/login");
        let login = login
            .query(&[("address", &address), ("signature", &signature)])
            .data()
            .await;
        let token = login["token"].as_str().expect("a token").to_owned();
        Self {
            wallet,
            client: anonymous.bearer(&token),
            token,
        }
    }

    /// Its address, lower case.
    pub fn address(&self) -> String {
        self.wallet.wallet_address().to_string()
    }
}

/// An organization with a project, its owner, and a caller of models on its account.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Tenant {
    pub owner: User,
    pub org_id: i64,
    pub org_uid: String,
    pub contract: Address,
    pub project_id: i64,
    pub project_uid: String,
    /// The owner's session with the context headers.
    pub caller: Client,
}

impl Tenant {
    /// Founds an organization by the owner's own transaction, then everything else over REST.
    pub async fn found(chain: &Chain, owner: User, name: &str) -> Self {
        let contract = chain.create_organization(&owner.wallet, name).await;
        let org = owner.client.post("/v1/orgs").data().await;
        assert_eq!(org["address"], contract.to_string().to_lowercase());
        let org_id = org["id"].as_i64().expect("a number");
        let org_uid = org["organization_uid"].as_str().expect("a uid").to_owned();
        for (model, _) in models::USUAL {
            let enable = owner.client.post(&format!("/v1/orgs/{org_id}/models"));
            enable.query(&[("model_id", &model.to_string())]).data().await;
        }
        let body = json!({"org_id": org_id, "name": "agent"});
        let project = owner.client.post("/v1/projects").json(&body).data().await;
        let project_uid = project["project_uid"].as_str().expect("a uid").to_owned();
        Self {
            caller: owner
                .client
                .with("haithe-organization", format!("org-{org_uid}"))
                .with("haithe-project", format!("proj-{project_uid}")),
            project_id: project["id"].as_i64().expect("a number"),
            owner,
            org_id,
            org_uid,
            contract,
            project_uid,
        }
    }

    /// The same tenant at another server over the same database.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        let mut moved = self.clone();
        moved.caller = self.caller.at(base);
        moved.owner.client = self.owner.client.at(base);
        moved
    }

    /// Deposits and waits until the balance shows it.
    pub async fn deposit(&self, chain: &Chain, amount: Usdt) {
        let before = self.money(&self.owner.client).await.available;
        chain.deposit(self.contract, amount).await;
        crate::eventually("the deposit can be spent", async || {
            let now = self.money(&self.owner.client).await.available;
            (now.nano() == before.nano() + amount.nano()).then_some(())
        })
        .await;
    }

    /// The organization's balance as the owner reads it.
    pub async fn money(&self, reader: &Client) -> Money {
        let balance = reader
            .get(&format!("/v1/orgs/{}/balance", self.org_id))
            .data()
            .await;
        Money::of(&balance)
    }

    /// The organization's balance.
    pub async fn balance(&self) -> Money {
        self.money(&self.owner.client).await
    }

    /// Everything captured, all time.
    pub async fn expenditure(&self) -> Usdt {
        let path = format!("/v1/orgs/{}/expenditure", self.org_id);
        let expenditure = self.owner.client.get(&path).data().await;
        usdt(&expenditure["expenditure_usdt"])
    }

    /// A new API key with this body beside its name.
    pub async fn api_key(&self, mut body: Value) -> String {
        body["name"] = json!("a key");
        let key = self.owner.client.post("/v1/me/api-keys").json(&body).data().await;
        key["api_key"].as_str().expect("a key").to_owned()
    }

    /// A key scoped to the project.
    pub async fn project_key(&self) -> String {
        self.api_key(json!({"project_id": self.project_id})).await
    }

    /// The receipt of a call, as the owner reads it. One that is on its way to disk is waited for.
    pub async fn receipt(&self, call: &str) -> Value {
        let path = format!("/v1/receipts/{call}");
        crate::eventually(&format!("the receipt of {call} is written"), async || {
            let answer = self.owner.client.get(&path).send().await;
            answer.status.is_success().then(|| answer.data())
        })
        .await
    }

    /// Every receipt of the organization: nano-USDT charged, by call.
    pub async fn receipts(&self) -> BTreeMap<String, i64> {
        let path = format!("/v1/orgs/{}/receipts", self.org_id);
        let mut all = BTreeMap::new();
        let mut after = None::<String>;
        loop {
            let mut query = vec![("limit", "200")];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page = self.owner.client.get(&path).query(&query).data().await;
            let page = page.as_array().expect("a list");
            for receipt in page {
                let call = receipt["id"].as_str().expect("an id").to_owned();
                let twice = all.insert(call.clone(), usdt(&receipt["charged_usdt"]).nano());
                assert_eq!(twice, None, "{call} has two receipts");
                after = Some(call);
            }
            if page.len() < 200 {
                return all;
            }
        }
    }

    /// Waits until no money is held and every charge is on disk; gives the receipts.
    pub async fn at_rest(&self) -> BTreeMap<String, i64> {
        crate::eventually("every hold is gone and every charge written", async || {
            if self.balance().await.held != Usdt::ZERO {
                return None;
            }
            let receipts = self.receipts().await;
            let sum: i64 = receipts.values().sum();
            (sum == self.expenditure().await.nano()).then_some(receipts)
        })
        .await
    }
}

/// An organization's balance, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the wire's names")]
pub struct Money {
    pub balance: Usdt,
    pub available: Usdt,
    pub held: Usdt,
    pub unsettled: Usdt,
    pub onchain: Usdt,
    pub pending_withdrawal: Usdt,
}

impl Money {
    fn of(balance: &Value) -> Self {
        Self {
            balance: usdt(&balance["balance_usdt"]),
            available: usdt(&balance["available_usdt"]),
            held: usdt(&balance["held_usdt"]),
            unsettled: usdt(&balance["unsettled_usdt"]),
            onchain: usdt(&balance["onchain_usdt"]),
            pending_withdrawal: usdt(&balance["pending_withdrawal_usdt"]),
        }
    }
}

/// An exact amount on the wire.
pub fn usdt(value: &Value) -> Usdt {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("an exact amount in quotes, not {value}"));
    text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The smallest chat request of a model.
pub fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

/// The same as a stream.
pub fn streamed_question(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "hello"}]})
}
