//! The service over mocked ports, for the tests of this crate.

mod given;

pub(crate) use given::{ORG, PROJECT, SITE, context, now, token};

use super::{config::PublicConfig, openai::Calls, router, stats::Stats, webhook::MostPayload};
use crate::{
    http::{
        body::{BodyLimits, BodyMemory},
        extract::Proxies,
        limits::{Limiter, RequestQuotas},
        public_reads::PublicReads,
    },
    openapi::Document,
    service::{
        Readiness, Supervisor,
        age::Age,
        brief::Brief,
        conditions::{Conditions, LevelSources, Levels},
        ledger_watch::LedgerWatch,
        metrics::SenderFigures,
        rates::{Places, Rates, TokenQuotas, TokenRates},
        system::{TokioTasks, TokioTimer},
    },
    state::{AppState, Drain, PublicHosting, PublicMarket, Services},
};
use axum::body::Body;
use bytes::Bytes;
use given::{MODELS, SECRET, WALLET, chain, sessions};
use haithe_billing::{
    earnings::CreatorEarnings,
    gate::SettlementGate,
    holds::Holds,
    ports::{
        MockBooks, MockChainIndex, MockChainStats, MockCreatorTransactions, MockEarningsStore, MockLedger,
        MockTreasuryStore, MockUsageStore,
    },
    treasury::{Treasury, TreasuryPorts},
    usage::Usage,
};
use haithe_identity::waitlist::WaitingList;
use haithe_identity::{
    ApiKeys, Authenticator, Challenges, Idempotency, Logins, MessageSigner, Sessions, SignIn, Site, Tokens,
    ports::{MockApiKeyStore, MockChallengeStore, MockIdempotencyStore, MockWaitlist},
};
use haithe_inference::{
    Catalogue, CatalogueFile, CompletionPorts, CompletionSettings, Completions,
    agent::{MockProductLoader, ProductChecks, ProductOpener},
    conversations::{Conversations, MockConversationStore, Quota},
    ports::{ChatModel, MockTokenCounter, Unwatched},
    request::RequestLimits,
    webhooks::{
        MockWebhookInbox, MockWebhookStore, ProjectWebhooks, Triggers, WebhookInbox, WebhookSecret,
        WebhookStore,
    },
};
use haithe_kernel::{Clock, Decimals, FixedClock, MockFetcher, MockRandom, ModelId, Random, Timestamp};
use haithe_marketplace::{
    Creator, Knowledge, Market,
    enclave::MockEnclave,
    hosting::{Hosting, HostingLimits, MockContentStore},
    knowledge::{ReadLimits, Tools},
    ports::{
        MockCreatorRegistrar, MockCreatorStore, MockDocuments, MockKnowledgeIndexer, MockProductStore,
        MockToolServers,
    },
};
use haithe_orgs::{
    Audit, Bots, Contexts, OrganizationPorts, Organizations, Ownership, ProjectPorts, Projects, Settings,
    ports::{
        MockAuditStore, MockBotStore, MockChainSync, MockDirectory, MockOpenCalls, MockOrgDeployer,
        MockOrgMemberStore, MockOrgModelStore, MockOrgSettingsStore, MockOrgStore, MockOwnerTransactions,
        MockProjectStore, MockStandingStore,
    },
};
use haithe_stores::{DatabaseControl, MockDatabaseControl};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use secrecy::SecretString;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// Mocks to set expectations on. Sessions of [`token`] are always found.
pub(crate) struct Mocks {
    pub challenges: MockChallengeStore,
    pub api_keys: MockApiKeyStore,
    pub orgs: MockOrgStore,
    pub standings: MockStandingStore,
    pub projects: MockProjectStore,
    pub directory: MockDirectory,
    pub ledger: MockLedger,
    pub books: MockBooks,
    pub idempotency: MockIdempotencyStore,
    pub conversations: MockConversationStore,
    pub models: HashMap<String, Arc<dyn ChatModel>>,
    pub database: MockDatabaseControl,
    pub index: MockChainIndex,
    pub board: Arc<Conditions>,
    pub deadline: Duration,
    pub body_bytes: usize,
    pub quotas: RequestQuotas,
}

impl Default for Mocks {
    fn default() -> Self {
        let mut directory = MockDirectory::new();
        directory.expect_version().returning(|| 1);
        directory
            .expect_context()
            .returning(|_, _, _| Ok(Some(context())));
        let mut database = MockDatabaseControl::new();
        database.expect_is_healthy().return_const(true);
        Self {
            challenges: MockChallengeStore::new(),
            api_keys: MockApiKeyStore::new(),
            orgs: MockOrgStore::new(),
            standings: MockStandingStore::new(),
            projects: MockProjectStore::new(),
            directory,
            ledger: MockLedger::new(),
            books: MockBooks::new(),
            idempotency: MockIdempotencyStore::new(),
            conversations: MockConversationStore::new(),
            models: HashMap::new(),
            database,
            index: MockChainIndex::new(),
            board: Arc::new(Conditions::new(Arc::new(FixedClock::at(now())))),
            deadline: Duration::from_secs(5),
            body_bytes: 4096,
            quotas: RequestQuotas::default(),
        }
    }
}

pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The failure's code, wherever the dialect of the path puts it.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        let code = json.get("code").or_else(|| json.pointer("/error/code"));
        code.unwrap().as_str().unwrap().to_owned()
    }
}

/// Sends one request to the service over these mocks.
pub(crate) async fn send(mocks: Mocks, request: Request<Body>) -> Answer {
    let deadline = mocks.deadline;
    let service = router::service(state(mocks), deadline, [SITE].into_iter(), None);
    let response: Response<Body> = service.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) fn state(mocks: Mocks) -> AppState {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(now()));
    let mut random = MockRandom::new();
    random.expect_bytes16().returning(|| [7; 16]);
    let random: Arc<dyn Random> = Arc::new(random);
    let tokens = Arc::new(Tokens::new(&SecretString::from(SECRET)).unwrap());
    let session_store = Arc::new(sessions());
    let challenge_store = Arc::new(mocks.challenges);
    let sessions = Arc::new(Sessions::new(
        session_store.clone(),
        tokens.clone(),
        clock.clone(),
    ));
    let signer = MessageSigner::from_hex(&SecretString::from("11".repeat(32))).unwrap();
    let api_keys = Arc::new(ApiKeys::new(
        Arc::new(mocks.api_keys),
        signer,
        clock.clone(),
        random.clone(),
    ));
    let org_store = Arc::new(mocks.orgs);
    let standings = Arc::new(mocks.standings);
    let org_settings = Arc::new(MockOrgSettingsStore::new());
    let organizations = Arc::new(Organizations::new(
        OrganizationPorts {
            orgs: org_store.clone(),
            standings: standings.clone(),
            members: Arc::new(MockOrgMemberStore::new()),
            models: Arc::new(MockOrgModelStore::new()),
            deployer: Arc::new(MockOrgDeployer::new()),
            transactions: Arc::new(MockOwnerTransactions::new()),
            chain: Arc::new(MockChainSync::new()),
            calls: Arc::new(MockOpenCalls::new()),
            clock: clock.clone(),
        },
        ModelId(1),
    ));
    let projects = Arc::new(Projects::new(
        ProjectPorts {
            projects: Arc::new(mocks.projects),
            orgs: org_store.clone(),
            standings,
            settings: org_settings.clone(),
            clock: clock.clone(),
            random: random.clone(),
        },
        organizations.clone(),
        ModelId(1),
        haithe_orgs::PriceNotice(Duration::from_secs(604_800)),
    ));
    let accepted_projects = Arc::new(haithe_orgs::AcceptedProjects::new(
        organizations.clone(),
        Arc::new(haithe_orgs::ports::MockAcceptedProjectStore::new()),
        clock.clone(),
    ));
    let file: CatalogueFile = toml::from_str(MODELS).unwrap();
    let catalogue = Arc::new(Catalogue::new(file).unwrap());
    let mut counter = MockTokenCounter::new();
    counter
        .expect_count()
        .returning(|text| Ok(text.text.len() as u64));
    let ledger = Arc::new(mocks.ledger);
    // Every wallet is a creator.
    let mut hosts = MockCreatorStore::new();
    hosts.expect_find().returning(|address| {
        let (uri, created_at) = (String::new(), Timestamp::from_seconds(0));
        Ok(Some(Creator {
            address,
            uri,
            created_at,
        }))
    });
    let gate = Arc::new(SettlementGate::new(clock.clone(), Duration::from_secs(86_400)));
    let decimals = Decimals::new(18).unwrap();
    let tasks = Arc::new(TokioTasks::default());
    let idempotency = Idempotency::new(
        Arc::new(mocks.idempotency),
        clock.clone(),
        random.clone(),
        tasks.clone(),
        Arc::new(TokioTimer),
    );
    let completions = Arc::new(Completions::new(
        catalogue.clone(),
        CompletionPorts {
            holds: Holds::new(ledger.clone(), gate),
            providers: mocks.models,
            counter: Arc::new(counter),
            allowance: Arc::new(Unwatched),
            observer: Arc::new(Unwatched),
            clock: clock.clone(),
            random: random.clone(),
            tasks: tasks.clone(),
            timer: Arc::new(TokioTimer),
            gears: Vec::new(),
        },
        CompletionSettings {
            decimals,
            limits: RequestLimits::default(),
            agent: haithe_inference::agent::AgentLimits::default(),
        },
    ));
    let contexts = Arc::new(Contexts::new(Arc::new(mocks.directory)));
    let webhook_store: Arc<dyn WebhookStore> = Arc::new(MockWebhookStore::new());
    let inbox: Arc<dyn WebhookInbox> = Arc::new(MockWebhookInbox::new());
    let triggers = Triggers::new(
        webhook_store.clone(),
        inbox.clone(),
        contexts.clone(),
        completions.clone(),
        Arc::new(TokioTasks::default()),
        clock.clone(),
        WebhookSecret::new(vec![1; 32]).unwrap(),
    );
    let webhooks = ProjectWebhooks::new(
        projects.clone(),
        webhook_store,
        inbox,
        clock.clone(),
        random.clone(),
        20,
    );
    let sign_in = Arc::new(SignIn {
        first: Site {
            domain: "app.example".into(),
            uri: SITE.parse().unwrap(),
            origin: SITE.into(),
        },
        others: Vec::new(),
        chain_id: 1,
    });
    let quota = Quota {
        conversations: 10,
        bytes: 100_000,
    };
    let conversations = Conversations::new(
        Arc::new(mocks.conversations),
        clock.clone(),
        random.clone(),
        quota,
    );
    let market = Arc::new(Market::new(
        Arc::new(MockCreatorStore::new()),
        Arc::new(MockProductStore::new()),
        Arc::new(MockCreatorRegistrar::new()),
        clock.clone(),
        32,
    ));
    let hosting = Arc::new(Hosting::new(
        Arc::new(MockContentStore::new()),
        Arc::new(hosts),
        clock.clone(),
        HostingLimits {
            content_bytes: mocks.body_bytes,
            wallet_contents: 1,
            wallet_bytes: 1,
            all_bytes: 1,
        },
    ));
    let product_checks = Arc::new(ProductChecks::new(
        Arc::new(MockProductStore::new()),
        market.clone(),
        Arc::new(ProductOpener {
            loader: Arc::new(MockProductLoader::new()),
            knowledge: Arc::new(Knowledge::new(
                Tools {
                    documents: Arc::new(MockDocuments::new()),
                    indexer: Arc::new(MockKnowledgeIndexer::new()),
                    fetcher: Arc::new(MockFetcher::new()),
                    embedder: None,
                    clock: clock.clone(),
                },
                ReadLimits::default(),
            )),
            fetcher: Arc::new(MockFetcher::new()),
            servers: Arc::new(MockToolServers::new()),
        }),
        clock.clone(),
    ));
    let database: Arc<dyn DatabaseControl> = Arc::new(mocks.database);
    let ledger_watch = Arc::new(LedgerWatch::new(Duration::from_secs(3_600)));
    let levels = Levels::new(
        mocks.board,
        LevelSources {
            database: database.clone(),
            ledger: ledger_watch.clone(),
            gate: Arc::new(SettlementGate::new(clock.clone(), Duration::from_secs(86_400))),
            sender: Arc::new(SenderFigures::default),
            settlement_limit: Duration::from_secs(3_600),
        },
    );
    AppState::new(Services {
        challenges: Arc::new(Challenges::new(
            challenge_store.clone(),
            clock.clone(),
            random.clone(),
            sign_in.clone(),
        )),
        logins: Arc::new(Logins::new(
            challenge_store,
            session_store,
            None,
            tokens,
            sign_in,
            clock.clone(),
            random,
        )),
        authenticator: Arc::new(Authenticator::new(sessions.clone(), api_keys.clone())),
        idempotency: Arc::new(idempotency),
        tasks,
        clock: clock.clone(),
        sessions,
        api_keys,
        bots: Arc::new(Bots::new(
            projects.clone(),
            Arc::new(MockBotStore::new()),
            clock.clone(),
        )),
        webhooks: Arc::new(webhooks),
        triggers,
        most_payload: MostPayload(65_536),
        settings: Arc::new(Settings::new(organizations.clone(), org_settings, clock.clone())),
        ownership: Arc::new(Ownership::new(
            organizations.clone(),
            org_store,
            Arc::new(MockOwnerTransactions::new()),
        )),
        audit: Arc::new(Audit::new(organizations.clone(), Arc::new(MockAuditStore::new()))),
        earnings: Arc::new(CreatorEarnings::new(
            Arc::new(MockEarningsStore::new()),
            Arc::new(MockCreatorTransactions::new()),
            Arc::new(MockChainSync::new()),
            decimals,
        )),
        usage: Arc::new(Usage::new(
            organizations.clone(),
            projects.clone(),
            Arc::new(MockUsageStore::new()),
        )),
        treasury: Arc::new(Treasury::new(
            organizations.clone(),
            TreasuryPorts {
                store: Arc::new(MockTreasuryStore::new()),
                ledger: ledger.clone(),
                transactions: Arc::new(MockOwnerTransactions::new()),
                chain: Arc::new(MockChainSync::new()),
                clock: clock.clone(),
            },
            decimals,
        )),
        organizations,
        projects,
        accepted_projects,
        contexts,
        catalogue,
        completions: completions.clone(),
        conversations: Arc::new(conversations),
        ledger,
        books: Arc::new(mocks.books),
        chain_sync: Arc::new(MockChainSync::new()),
        public_config: Arc::new(PublicConfig::new(
            &chain(),
            Arc::default(),
            vec![("HaitheOrchestrator", "[]"), ("tUSDT", "[]")],
        )),
        document: Document::new(router::document),
        readiness: Arc::new(Readiness {
            database,
            index: Arc::new(mocks.index),
            index_age: Age::new(clock.clone()),
            supervisor: Supervisor::default(),
            completions,
            sender: Arc::new(SenderFigures::default),
            levels: Arc::new(levels),
            safeguards: Arc::default(),
            ledger: ledger_watch,
        }),
        limiter: Limiter::new(
            Arc::new(Rates::new(clock.clone())),
            mocks.quotas,
            Arc::new(TokenRates::new(
                clock.clone(),
                TokenQuotas::default(),
                Arc::default(),
            )),
            Arc::default(),
        ),
        figures: Arc::default(),
        market: market.clone(),
        public_market: PublicMarket(market),
        enclave: Arc::new(MockEnclave::new()),
        hosting: hosting.clone(),
        public_hosting: PublicHosting(hosting),
        public_reads: PublicReads::default(),
        product_checks,
        waiting_list: Arc::new(WaitingList::new(Arc::new(MockWaitlist::new()), clock.clone())),
        stats: Stats {
            counts: Arc::new(MockChainStats::new()),
            recent: Arc::new(Brief::new(clock.clone(), Duration::from_secs(1))),
            orchestrator: WALLET,
            server: WALLET,
        },
        faucet: None,
        proxies: Proxies::default(),
        body_limits: BodyLimits {
            bytes: mocks.body_bytes,
            time: Duration::from_secs(5),
            memory: BodyMemory::new(1 << 20, mocks.body_bytes, Proxies::default(), Arc::default()),
        },
        calls: Calls {
            all: Arc::new(Semaphore::new(8)),
            own: Places::default(),
            figures: Arc::default(),
        },
        decimals,
        drain: Drain::default(),
    })
}
