//! Everything put together. The only module that names adapters.

mod agent;
mod catalogue;
mod chain;
mod content;
mod enclave;
mod knowledge;
mod money;
mod talk;
mod tools;
mod webhooks;

pub use catalogue::CatalogueLoadError;
/// A node that tests bring along.
pub use haithe_evm::Node;
pub use knowledge::EmbeddingsError;
pub(crate) use tools::{
    chain_client, check_catalogue, ledger_check, ledger_snapshot, open_database, receipt_audit,
    receipt_verifier, revoke_before,
};

use crate::{
    Config,
    api::{config::PublicConfig, openai::Calls, router, stats::Stats, webhook::MostPayload},
    app::Overrides,
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
        metrics::{Figures, Scrape, Sources, serve_metrics},
        rates::{Places, Rates, TokenQuotas, TokenRates},
        system::{OsRandom, SystemClock, TokioTasks, TokioTimer},
        watch::Watch,
    },
    state::{AppState, Drain, PublicHosting, PublicMarket, Services},
};
use chain::Chain;
use haithe_billing::{holds::Holds, ports::Ledger};
use haithe_egress::{Egress, HostLimits, Policy};
use haithe_enclave::{KeyringError, SetupError};
use haithe_evm::{ConnectError, Contract, EvmOwnerTransactions, KeyError};
use haithe_identity::waitlist::WaitingList;
use haithe_identity::{
    ApiKeys, Authenticator, Challenges, Idempotency, Logins, MessageSigner, Sessions, SignIn, Tokens,
    ports::{ChallengeStore, SessionStore},
    signature::SignatureError,
    token::TokenError,
};
use haithe_inference::{
    CompletionPorts, CompletionSettings, Completions,
    agent::{AgentLimits, ProductChecks},
    request::RequestLimits,
};
use haithe_kernel::{Clock, Fetcher, Random, StoreError};
use haithe_llm_providers::{ProviderError, Tiktoken};
use haithe_marketplace::Market;
use haithe_orgs::{
    AcceptedProjects, Audit, Bots, Contexts, Organizations, Ownership, PriceNotice, Projects, Settings,
};
use haithe_sqlite::{
    Db, EncryptionKey, EncryptionKeyError, OpenError, SqliteAcceptedProjectStore, SqliteApiKeyStore,
    SqliteAuditStore, SqliteBooks, SqliteBotStore, SqliteChainIndex, SqliteChainStats, SqliteChallengeStore,
    SqliteCreatorStore, SqliteDirectory, SqliteIdempotencyStore, SqliteLedger, SqliteOrgStore,
    SqliteProductStore, SqliteProjectStore, SqliteSessionStore, SqliteWaitlist,
};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

/// How often what has expired is deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often idle rates are forgotten and histograms condensed.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long the statistics of the chain are answered as they were read.
const STATISTICS_FOR: Duration = Duration::from_secs(1);

/// A part that cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The database.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database, after it was opened.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// The listener for figures.
    #[error("setting `metrics.address`: cannot listen on {address}: {source}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The chain is not what the configuration says.
    #[error("setting `chain`: {0}")]
    Chain(#[from] ConnectError),
    /// The chain's key.
    #[error("setting `chain.server_key`: {0}")]
    ServerKey(#[from] KeyError),
    /// The API keys' key.
    #[error("setting `auth.api_key_signing_key`: {0}")]
    SigningKey(#[from] SignatureError),
    /// The key of what is stored encrypted.
    #[error("setting `database.encryption_key`: {0}")]
    EncryptionKey(#[from] EncryptionKeyError),
    /// The sessions' secret.
    #[error("setting `auth.jwt_secret`: {0}")]
    Tokens(#[from] TokenError),
    /// The keys that content is sealed to.
    #[error("setting `enclave.key` or `enclave.former_keys`: {0}")]
    EnclaveKeys(#[from] KeyringError),
    /// Who attests them.
    #[error("setting `enclave.attestation_agent`: {0}")]
    Attestation(#[from] SetupError),
    /// The client for addresses that users name.
    #[error(transparent)]
    Egress(#[from] haithe_egress::SetupError),
    /// The catalogue of models.
    #[error(transparent)]
    Catalogue(#[from] CatalogueLoadError),
    /// The search engine.
    #[error("setting `search`: {0}")]
    Search(&'static str),
    /// The embedder of knowledge.
    #[error("setting `embeddings.provider`: {0}")]
    Embeddings(#[from] EmbeddingsError),
    /// The reader of documents.
    #[error(transparent)]
    Documents(#[from] haithe_documents::SetupError),
    /// A provider of models.
    #[error("setting `inference.catalogue`: {0}")]
    Provider(#[from] ProviderError),
}

/// Everything that runs, beside the listener.
pub(crate) struct Assembly {
    pub state: AppState,
    pub drain: Drain,
    pub tasks: TokioTasks,
    supervisor: Supervisor,
    db: Db,
}

impl Assembly {
    /// Waits (`patience` at most, each) for charges and background tasks, then closes the database.
    pub async fn wind_up(self, patience: Duration) {
        if timeout(patience, self.tasks.ended()).await.is_err() {
            let left = self.tasks.tracker.len();
            tracing::error!(left, "shutdown timeout: abandoning in-flight calls");
        }
        if timeout(patience, self.supervisor.stop()).await.is_err() {
            tracing::error!("background tasks did not end in time");
        }
        if let Err(error) = self.db.close().await {
            tracing::error!(%error, "the database could not be closed");
        }
    }
}

/// Builds every part and starts the background tasks.
pub(crate) async fn assemble(config: &Config, overrides: Overrides) -> Result<Assembly, WiringError> {
    let clock: Arc<dyn Clock> = overrides.clock.unwrap_or_else(|| Arc::new(SystemClock));
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let decimals = config.chain.decimals;
    let encryption = EncryptionKey::parse(&config.database.encryption_key)?;
    let signer = MessageSigner::from_hex(&config.auth.api_key_signing_key)?;
    let tokens = Arc::new(Tokens::new(&config.auth.jwt_secret)?);
    let offer = catalogue::load(config, &clock)?;
    let figures = Arc::new(Figures::new());
    let embedder = knowledge::watched_embedder(&config.embeddings, &offer, &figures)?;
    let enclave = enclave::enclave(&config.enclave)?;
    let db = open_database(config, clock.clone()).await?;
    let fetcher: Arc<dyn Fetcher> = match overrides.fetcher {
        Some(fetcher) => fetcher,
        None => Arc::new(Egress::new(egress_policy(&config.limits))?),
    };
    let supervisor = Supervisor::default();
    // What follows the chain and what settles reads beside paid calls, not among them.
    let background = db.for_background();
    let chain = Chain::start(config, overrides.node, &background, &clock, &supervisor).await?;
    let public = db.for_public();

    let challenges: Arc<dyn ChallengeStore> = Arc::new(SqliteChallengeStore::new(&db));
    let session_store: Arc<dyn SessionStore> = Arc::new(SqliteSessionStore::new(&db));
    let drain = Drain::default();
    let tasks = TokioTasks {
        drain: drain.clone(),
        ..TokioTasks::default()
    };
    let idempotency = Arc::new(Idempotency::new(
        Arc::new(SqliteIdempotencyStore::new(&db, &encryption)),
        clock.clone(),
        random.clone(),
        Arc::new(tasks.clone()),
        Arc::new(TokioTimer),
    ));
    idempotency.recover().await?;
    sweep(&supervisor, &challenges, &session_store, &idempotency, &clock);
    let sessions = Arc::new(Sessions::new(
        session_store.clone(),
        tokens.clone(),
        clock.clone(),
    ));
    let api_keys = Arc::new(ApiKeys::new(
        Arc::new(SqliteApiKeyStore::new(&db)),
        signer,
        clock.clone(),
        random.clone(),
    ));
    let orgs = Arc::new(SqliteOrgStore::new(&db));
    let transactions = Arc::new(EvmOwnerTransactions::new(config.chain.id));
    let organizations = Arc::new(Organizations::new(
        orgs.clone(),
        chain.deployer,
        transactions.clone(),
        chain.sync.clone(),
        clock.clone(),
        offer.default_model,
    ));
    let projects = Arc::new(Projects::new(
        orgs.clone(),
        Arc::new(SqliteProjectStore::new(&db)),
        organizations.clone(),
        clock.clone(),
        random.clone(),
        offer.default_model,
        PriceNotice(config.projects.price_notice),
    ));
    let accepted_projects = Arc::new(AcceptedProjects::new(
        organizations.clone(),
        Arc::new(SqliteAcceptedProjectStore::new(&db)),
        clock.clone(),
    ));
    let (conversations, memory) =
        talk::conversations(&config.conversations, &db, &clock, &random, &supervisor);
    let opening = (fetcher.clone(), enclave.clone());
    let (hosting, contents) = content::contents(&config.content, &db, opening, &clock, &supervisor);
    let public_hosting = content::hosting(&config.content, &public, &clock);
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::new(&db));
    let rates = Arc::new(Rates::new(clock.clone()));
    let token_rates = Arc::new(TokenRates::new(
        clock.clone(),
        TokenQuotas {
            project: config.limits.tokens_per_project,
            org: config.limits.tokens_per_organization,
        },
        figures.clone(),
    ));
    let (gears, opener) = agent::gears(
        config,
        &db,
        memory,
        (contents, fetcher.clone(), clock.clone()),
        (embedder, overrides.program),
    )?;
    let market = Arc::new(Market::new(
        Arc::new(SqliteCreatorStore::new(&db)),
        Arc::new(SqliteProductStore::new(&db)),
        chain.registrar.clone(),
        clock.clone(),
        config.agent.max_products,
    ));
    let public_market = PublicMarket(Arc::new(Market::new(
        Arc::new(SqliteCreatorStore::new(&public)),
        Arc::new(SqliteProductStore::new(&public)),
        chain.registrar,
        clock.clone(),
        config.agent.max_products,
    )));
    let product_checks = Arc::new(ProductChecks::new(
        Arc::new(SqliteProductStore::new(&db)),
        market.clone(),
        opener,
        clock.clone(),
    ));
    let places = Places::new(config.limits.concurrent_per_organization);
    let completions = Arc::new(Completions::new(
        offer.catalogue.clone(),
        CompletionPorts {
            holds: Holds::new(ledger.clone(), chain.gate.clone()),
            providers: offer.providers,
            counter: Arc::new(Tiktoken::default()),
            allowance: token_rates.clone(),
            observer: Arc::new(Watch::new(figures.clone(), config.log.slow)),
            clock: clock.clone(),
            random: random.clone(),
            tasks: Arc::new(tasks.clone()),
            timer: Arc::new(TokioTimer),
            gears,
        },
        CompletionSettings {
            decimals,
            limits: RequestLimits {
                bytes: config.server.max_body_bytes,
                choices: config.inference.max_choices,
            },
            agent: AgentLimits {
                payees: usize::try_from(config.settlement.max_payees).unwrap_or(usize::MAX),
                ..(&config.agent).into()
            },
        },
    ));
    let contexts = Arc::new(Contexts::new(Arc::new(SqliteDirectory::new(&db))));
    let (webhooks, triggers) = webhooks::webhooks(webhooks::Parts {
        config: &config.webhooks,
        db: &db,
        encryption: &encryption,
        projects: projects.clone(),
        contexts: contexts.clone(),
        completions: completions.clone(),
        fetcher,
        tasks: tasks.clone(),
        clock: clock.clone(),
        random: random.clone(),
        supervisor: &supervisor,
    })
    .await?;
    let (queue, read) = (db.clone(), db.clone());
    let scrape = Arc::new(Scrape::new(
        figures.clone(),
        Sources {
            ledger: ledger.clone(),
            index: chain.index.clone(),
            gate: chain.gate,
            ledger_watch: chain.ledger_watch.clone(),
            safeguards: chain.safeguards.clone(),
            sender: chain.sender.clone(),
            writer_queue: Box::new(move || queue.waiting_writes()),
            reads: Box::new(move || {
                let reads = read.reads();
                [
                    ("core", reads.core),
                    ("public", reads.public),
                    ("background", reads.background),
                ]
            }),
            completions: completions.clone(),
            supervisor: supervisor.clone(),
            rates: rates.clone(),
            tokens: token_rates.clone(),
            places: places.clone(),
            clock: clock.clone(),
        },
    ));
    watch(config, &supervisor, &scrape, &rates, &token_rates).await?;
    let abis = Contract::ALL
        .iter()
        .map(|contract| (contract.name(), contract.abi()))
        .collect();
    let sites = &config.auth.sites;
    let sign_in = Arc::new(SignIn {
        first: sites.first.clone(),
        others: sites.others.clone(),
        chain_id: config.chain.id,
    });
    let (healthy, wall_clock) = (db.clone(), clock.clone());
    let state = AppState::new(Services {
        challenges: Arc::new(Challenges::new(
            challenges.clone(),
            clock.clone(),
            random.clone(),
            sign_in.clone(),
        )),
        logins: Arc::new(Logins::new(
            challenges,
            session_store,
            Some(chain.wallets),
            tokens,
            sign_in,
            clock.clone(),
            random,
        )),
        authenticator: Arc::new(Authenticator::new(sessions.clone(), api_keys.clone())),
        idempotency,
        tasks: Arc::new(tasks.clone()),
        sessions,
        api_keys,
        bots: Arc::new(Bots::new(
            projects.clone(),
            Arc::new(SqliteBotStore::new(&db, &encryption)),
            clock.clone(),
        )),
        webhooks,
        triggers,
        most_payload: MostPayload(config.webhooks.max_payload_bytes),
        settings: Arc::new(Settings::new(organizations.clone(), orgs.clone(), clock.clone())),
        earnings: money::earnings(&db, chain.payouts, &chain.sync, decimals),
        usage: money::usage(&organizations, &projects, &db),
        treasury: money::treasury(
            &organizations,
            &ledger,
            &transactions,
            &chain.sync,
            (&db, &clock, decimals),
        ),
        ownership: Arc::new(Ownership::new(organizations.clone(), orgs, transactions)),
        audit: Arc::new(Audit::new(
            organizations.clone(),
            Arc::new(SqliteAuditStore::new(&db)),
        )),
        organizations,
        projects,
        accepted_projects,
        contexts,
        catalogue: offer.catalogue,
        completions: completions.clone(),
        conversations,
        ledger,
        books: Arc::new(SqliteBooks::new(&db.read_only())),
        chain_sync: chain.sync,
        public_config: Arc::new(PublicConfig::new(&config.chain, chain.token, abis)),
        document: Document::new(router::document),
        readiness: Arc::new(Readiness {
            database: Box::new(move || healthy.is_healthy()),
            index: Arc::new(SqliteChainIndex::new(&public)),
            index_age: Age::new(clock.clone()),
            supervisor: supervisor.clone(),
            completions,
            sender: chain.sender,
            safeguards: chain.safeguards,
            ledger: chain.ledger_watch,
        }),
        limiter: Limiter::new(
            rates,
            RequestQuotas {
                ip: config.limits.requests_per_address,
                login: config.limits.logins_per_address,
                project: config.limits.requests_per_project,
                org: config.limits.requests_per_organization,
                webhook: config.limits.requests_per_webhook,
            },
            token_rates,
            figures.clone(),
        ),
        figures: figures.clone(),
        market,
        public_market,
        enclave,
        hosting,
        public_hosting: PublicHosting(Arc::new(public_hosting)),
        public_reads: PublicReads::default(),
        product_checks,
        waiting_list: Arc::new(WaitingList::new(
            Arc::new(SqliteWaitlist::new(&public)),
            clock.clone(),
        )),
        stats: Stats {
            counts: Arc::new(SqliteChainStats::new(&public)),
            recent: Arc::new(Brief::new(clock, STATISTICS_FOR)),
            orchestrator: config.chain.orchestrator,
            server: chain.signer,
        },
        clock: wall_clock,
        proxies: Proxies(config.server.trusted_proxies.clone().into()),
        body_limits: BodyLimits {
            bytes: config.server.max_body_bytes,
            time: config.server.body_timeout,
            memory: BodyMemory::new(
                config.server.max_buffered_body_bytes,
                config.server.max_body_bytes,
                Proxies(config.server.trusted_proxies.clone().into()),
                figures.clone(),
            ),
        },
        calls: Calls {
            all: Arc::new(Semaphore::new(config.inference.max_concurrent_calls)),
            own: places,
            figures,
        },
        faucet: chain.faucet,
        decimals,
        drain: drain.clone(),
    });
    Ok(Assembly {
        state,
        drain,
        tasks,
        supervisor,
        db,
    })
}

/// Which addresses of users may be called, and how often.
fn egress_policy(limits: &crate::config::Limits) -> Policy {
    Policy {
        per_host: HostLimits::new(limits.concurrent_per_host, limits.requests_per_host),
        ..Policy::default()
    }
}

/// Forgets idle rates, keeps the histograms small, and lets Prometheus look where it is told.
async fn watch(
    config: &Config,
    supervisor: &Supervisor,
    scrape: &Arc<Scrape>,
    rates: &Arc<Rates>,
    tokens: &Arc<TokenRates>,
) -> Result<(), WiringError> {
    let (rates, tokens, condensed) = (rates.clone(), tokens.clone(), scrape.clone());
    supervisor.every("upkeep", UPKEEP_EVERY, move || {
        rates.sweep();
        tokens.sweep();
        condensed.condense();
        async { Ok::<(), Infallible>(()) }
    });
    let Some(address) = config.metrics.address else {
        return Ok(());
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| WiringError::Metrics { address, source })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "figures are shown");
    let listener = Arc::new(Mutex::new(Some(listener)));
    let scrape = scrape.clone();
    supervisor.run("metrics", move |stop| {
        let (listener, scrape) = (listener.clone(), scrape.clone());
        async move {
            let first = listener.lock().unwrap_or_else(PoisonError::into_inner).take();
            let listener = match first {
                Some(listener) => listener,
                None => TcpListener::bind(address).await?,
            };
            serve_metrics(listener, scrape, stop).await
        }
    });
    Ok(())
}

fn sweep(
    supervisor: &Supervisor,
    challenges: &Arc<dyn ChallengeStore>,
    sessions: &Arc<dyn SessionStore>,
    idempotency: &Arc<Idempotency>,
    clock: &Arc<dyn Clock>,
) {
    let (challenges, sessions) = (challenges.clone(), sessions.clone());
    let (idempotency, clock) = (idempotency.clone(), clock.clone());
    supervisor.every("sweeper", SWEEP_EVERY, move || {
        let (challenges, sessions) = (challenges.clone(), sessions.clone());
        let (idempotency, clock) = (idempotency.clone(), clock.clone());
        async move {
            let now = clock.now();
            let swept = (challenges.sweep(now).await?, sessions.sweep(now).await?);
            let answers = idempotency.sweep().await?;
            tracing::debug!(
                challenges = swept.0,
                sessions = swept.1,
                answers,
                "expired rows deleted"
            );
            Ok::<(), StoreError>(())
        }
    });
}
