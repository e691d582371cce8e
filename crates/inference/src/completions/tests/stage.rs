//! The stage: one organization, one project, one provider, and a ledger that can be watched.

mod fakes;

pub use fakes::{FakeLedger, FakeProvider, TokioTasks, document, feed, reads, say};

use crate::{
    agent::AgentLimits,
    catalogue::{Catalogue, CatalogueFile},
    completions::{Answer, CallPermit, Caller, CompletionPorts, CompletionSettings, Completions},
    error::CompletionError,
    ports::{ChatModel, MockTokenCounter, Unwatched, UpstreamAnswer, UpstreamError, UpstreamRequest},
    request::RequestLimits,
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use haithe_billing::{ExpenditureScope, capture::Capture, gate::SettlementGate, holds::Holds};
use haithe_identity::api_key::{ApiKey, ApiKeyId, KeyHash, KeyScope};
use haithe_kernel::{
    Decimals, FixedClock, MockRandom, ModelId, OrgId, ProjectId, Timestamp, Usdt, WalletAddress,
};
use haithe_orgs::{Organization, Project, Standing, ports::CallContext};
use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::Notify;

pub const WALLET: WalletAddress = WalletAddress::new([1; 20]);
pub const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// `tokens`: 1 nano per input token, half a nano cached, 2 per output token. `calls`: 5,000 nano
/// per call. `tiny`: as `tokens` with a context of 60 tokens.
const CATALOGUE: &str = r#"
[providers.p]
base_url = "http://p.example/v1"
retries = 0

[[models]]
id = 1
name = "tokens"
display_name = "Per token"
provider = "p"
upstream_name = "up"
tokenizer = "o200k"
price = { input = "0.001", cached = "0.0005", output = "0.002" }
context = 100000
max_output = 1000
capabilities = ["streaming", "tools", "vision"]

[[models]]
id = 2
name = "calls"
display_name = "Per call"
provider = "p"
price = { per_call = "0.000005" }
context = 100000
max_output = 1000
capabilities = ["streaming"]

[[models]]
id = 3
name = "gone"
display_name = "Not offered"
provider = "p"
active = false
price = {}
context = 1000
max_output = 10
capabilities = ["streaming"]

[[models]]
id = 4
name = "disabled"
display_name = "Not enabled"
provider = "p"
price = {}
context = 1000
max_output = 10
capabilities = ["streaming"]

[[models]]
id = 5
name = "tiny"
display_name = "Short memory"
provider = "p"
price = { input = "0.001", output = "0.002" }
context = 120
max_output = 20
capabilities = ["streaming"]

[providers.q]
base_url = "http://q.example/v1"
retries = 0

[[models]]
id = 6
name = "falling"
display_name = "Answered by others when q fails"
provider = "q"
price = { input = "0.003", output = "0.003" }
context = 100000
max_output = 2000
fallbacks = ["gone", "disabled", "tiny", "tokens", "calls"]
capabilities = ["streaming"]

[[models]]
id = 7
name = "alone"
display_name = "Whose fallback is not enabled"
provider = "q"
price = {}
context = 1000
max_output = 10
fallbacks = ["disabled"]
capabilities = ["streaming"]

[providers.r]
base_url = "http://r.example/v1"
circuit_faults = 4
circuit_pause_ms = 10000

[[models]]
id = 8
name = "sturdy"
aliases = ["stout", "sturdy-latest"]
display_name = "Asked again, then answered by others"
provider = "r"
price = { input = "0.001", output = "0.002" }
context = 100000
max_output = 1000
fallbacks = ["tokens"]
capabilities = ["streaming"]

[[models]]
id = 9
name = "lonely"
display_name = "Asked again, and nobody else"
provider = "r"
price = { input = "0.001", output = "0.002" }
context = 100000
max_output = 1000
capabilities = ["streaming"]
"#;

pub struct Stage {
    pub completions: Completions,
    pub ledger: Arc<FakeLedger>,
    pub provider: Arc<FakeProvider>,
    pub clock: Arc<FixedClock>,
    pub tasks: Arc<TokioTasks>,
    pub context: CallContext,
    pub api_key: Option<ApiKey>,
    pub max_cost: Option<Usdt>,
    pub permit: CallPermit,
}

/// A stage where the organization has plenty, every character counts as a token, and the provider
/// answers with `script`.
pub fn stage(
    script: impl FnMut(&UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> + Send + 'static,
) -> Stage {
    let mut counter = MockTokenCounter::new();
    counter
        .expect_count()
        .returning(|text| Ok(u64::try_from(text.text.chars().count()).unwrap()));
    stage_with(counter, script)
}

pub fn stage_with(
    counter: MockTokenCounter,
    script: impl FnMut(&UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> + Send + 'static,
) -> Stage {
    let file: CatalogueFile = toml::from_str(CATALOGUE).unwrap();
    let ledger = Arc::new(FakeLedger {
        balance: Mutex::new(1_000_000_000),
        held: Mutex::default(),
        asked: Mutex::default(),
        captured: Mutex::default(),
        broken: AtomicBool::new(false),
        hiccup: AtomicBool::new(false),
        slow: AtomicBool::new(false),
        gate: Notify::new(),
    });
    let provider = Arc::new(FakeProvider {
        script: Mutex::new(Box::new(script)),
        asked: Mutex::default(),
        slow: AtomicBool::new(false),
        gate: Notify::new(),
    });
    let mut random = MockRandom::new();
    let mut drawn = 0u128;
    random.expect_bytes16().returning(move || {
        drawn += 1 << 64;
        drawn.to_be_bytes()
    });
    let clock = Arc::new(FixedClock::at(NOW));
    let tasks = Arc::new(TokioTasks::default());
    let gate = Arc::new(SettlementGate::new(clock.clone(), Duration::from_secs(86_400)));
    let ports = CompletionPorts {
        holds: Holds::new(ledger.clone(), gate),
        providers: ["p", "q", "r"]
            .map(|name| (name.to_owned(), provider.clone() as Arc<dyn ChatModel>))
            .into(),
        counter: Arc::new(counter),
        allowance: Arc::new(Unwatched),
        observer: Arc::new(Unwatched),
        clock: clock.clone(),
        random: Arc::new(random),
        tasks: tasks.clone(),
        timer: clock.clone(),
        gears: Vec::new(),
    };
    let settings = CompletionSettings {
        decimals: Decimals::new(9).unwrap(),
        limits: RequestLimits::default(),
        agent: AgentLimits::default(),
    };
    let catalogue = Arc::new(Catalogue::new(file).unwrap());
    Stage {
        completions: Completions::new(catalogue, ports, settings),
        ledger,
        provider,
        clock,
        tasks,
        context: context(),
        api_key: None,
        max_cost: None,
        permit: CallPermit::default(),
    }
}

/// A project of its payer, whose owner calls.
pub fn context() -> CallContext {
    CallContext {
        payer: Organization {
            id: OrgId(7),
            uid: "0190a0b0c0d0e0f00102030405060708".parse().unwrap(),
            address: WalletAddress::new([9; 20]),
            orchestrator_index: 1,
            name: "acme".into(),
            owner: WALLET,
            created_at: NOW,
            deleted_at: None,
            confirmed: true,
        },
        project: Project {
            id: ProjectId(8),
            uid: "1190a0b0c0d0e0f00102030405060708".parse().unwrap(),
            org: OrgId(7),
            name: "agent".into(),
            search_enabled: false,
            memory_enabled: false,
            memory_window: 30,
            memory_retention_days: None,
            skip_unavailable_products: false,
            default_model: ModelId(1),
            price_per_call: haithe_kernel::PriceSchedule::fixed(Usdt::from_nano(700)),
            public: false,
            bots: haithe_orgs::BotTokens::default(),
            created_at: NOW,
        },
        standing: Standing {
            owner: true,
            ..Standing::default()
        },
        products: Vec::new(),
        models: vec![
            ModelId(1),
            ModelId(2),
            ModelId(3),
            ModelId(5),
            ModelId(6),
            ModelId(7),
            ModelId(8),
            ModelId(9),
        ],
        settings: haithe_orgs::OrgSettings::default(),
        accepted: None,
    }
}

pub fn key() -> ApiKey {
    ApiKey {
        id: ApiKeyId(3),
        address: WALLET,
        nonce: uuid::Uuid::nil(),
        hash: KeyHash([0; 32]),
        name: "k".into(),
        is_default: false,
        scope: KeyScope::default(),
        expires_at: None,
        budget: None,
        requests_per_minute: None,
        tokens_per_minute: None,
        issued_at: Timestamp::from_seconds(1_600_000_000),
        last_used_at: None,
        revoked_at: None,
    }
}

impl Stage {
    pub fn caller(&self) -> Caller {
        Caller {
            call: None,
            permit: self.permit.clone(),
            wallet: WALLET,
            api_key: self.api_key.clone().map(Arc::new),
            context: Arc::new(self.context.clone()),
            max_cost: self.max_cost,
            expenditure: ExpenditureScope::Organization,
        }
    }

    pub async fn run(&self, body: &str) -> Result<Answer, CompletionError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.completions.run(self.caller(), None, body).await
    }

    /// The body of a JSON answer.
    pub async fn json(&self, body: &str) -> String {
        match self.run(body).await.unwrap() {
            Answer::Json { body, .. } => String::from_utf8(body.to_vec()).unwrap(),
            Answer::Stream { .. } => panic!("a stream"),
        }
    }

    pub async fn stream(&self, body: &str) -> BoxStream<'static, Bytes> {
        match self.run(body).await.unwrap() {
            Answer::Stream { events, .. } => events,
            Answer::Json { .. } => panic!("a document"),
        }
    }

    /// Everything a stream says.
    pub async fn streamed(&self, body: &str) -> String {
        let pieces: Vec<Bytes> = self.stream(body).await.collect().await;
        String::from_utf8(pieces.concat()).unwrap()
    }

    pub fn set_balance(&self, nano: i64) {
        *self.ledger.balance.lock().unwrap() = nano;
    }

    pub fn balance(&self) -> i64 {
        *self.ledger.balance.lock().unwrap()
    }

    pub fn asked(&self) -> Vec<UpstreamRequest> {
        self.provider.asked.lock().unwrap().clone()
    }

    pub fn charges(&self) -> Vec<Capture> {
        self.ledger.captured.lock().unwrap().clone()
    }

    /// The only charge.
    pub fn charge(&self) -> Capture {
        let charges = self.charges();
        assert_eq!(charges.len(), 1);
        charges[0].clone()
    }

    /// Nothing was charged and nothing is held.
    pub fn assert_free(&self) {
        assert_eq!(self.charges(), []);
        self.assert_nothing_held();
    }

    pub fn assert_nothing_held(&self) {
        assert!(
            self.ledger.held.lock().unwrap().is_empty(),
            "a hold was left behind"
        );
    }

    /// Waits until tasks of their own have charged `count` calls.
    pub async fn charged(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while self.charges().len() < count {
            assert!(tokio::time::Instant::now() < deadline, "no charge came");
            tokio::task::yield_now().await;
        }
    }
}
