//! The use cases, as handlers see them: each asks for the one it needs.

use crate::http::{body::BodyLimits, extract::Proxies, limits::Limiter, public_reads::PublicReads};
use crate::{
    api::{config::PublicConfig, openai::Calls, stats::Stats, webhook::MostPayload},
    openapi::Document,
    service::{Readiness, metrics::Figures},
};
use axum::extract::FromRef;
use haithe_billing::{
    earnings::CreatorEarnings,
    faucet::Faucet,
    ports::{Books, Ledger},
    treasury::Treasury,
    usage::Usage,
};
use haithe_identity::waitlist::WaitingList;
use haithe_identity::{ApiKeys, Authenticator, Challenges, Idempotency, Logins, Sessions};
use haithe_inference::{
    Catalogue, Completions,
    agent::ProductChecks,
    conversations::Conversations,
    webhooks::{ProjectWebhooks, Triggers},
};
use haithe_kernel::{Clock, Decimals, Tasks};
use haithe_marketplace::{Market, enclave::Enclave, hosting::Hosting};
use haithe_orgs::{
    AcceptedProjects, Audit, Bots, Contexts, Organizations, Ownership, Projects, Settings, ports::ChainSync,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Everything the routes can do.
#[expect(missing_docs, reason = "named after their types")]
pub struct Services {
    pub challenges: Arc<Challenges>,
    pub logins: Arc<Logins>,
    pub sessions: Arc<Sessions>,
    pub api_keys: Arc<ApiKeys>,
    pub authenticator: Arc<Authenticator>,
    pub idempotency: Arc<Idempotency>,
    pub organizations: Arc<Organizations>,
    pub projects: Arc<Projects>,
    pub accepted_projects: Arc<AcceptedProjects>,
    pub bots: Arc<Bots>,
    pub webhooks: Arc<ProjectWebhooks>,
    pub triggers: Triggers,
    pub most_payload: MostPayload,
    pub settings: Arc<Settings>,
    pub ownership: Arc<Ownership>,
    pub audit: Arc<Audit>,
    pub contexts: Arc<Contexts>,
    pub catalogue: Arc<Catalogue>,
    pub completions: Arc<Completions>,
    pub conversations: Arc<Conversations>,
    pub ledger: Arc<dyn Ledger>,
    pub books: Arc<dyn Books>,
    pub treasury: Arc<Treasury>,
    pub usage: Arc<Usage>,
    pub earnings: Arc<CreatorEarnings>,
    pub chain_sync: Arc<dyn ChainSync>,
    pub public_config: Arc<PublicConfig>,
    pub document: Document,
    pub readiness: Arc<Readiness>,
    pub limiter: Limiter,
    pub market: Arc<Market>,
    pub public_market: PublicMarket,
    pub enclave: Arc<dyn Enclave>,
    pub hosting: Arc<Hosting>,
    pub public_hosting: PublicHosting,
    pub public_reads: PublicReads,
    pub product_checks: Arc<ProductChecks>,
    pub waiting_list: Arc<WaitingList>,
    pub stats: Stats,
    /// Where the configuration wants one.
    pub faucet: Option<Arc<Faucet>>,
    pub figures: Arc<Figures>,
    pub tasks: Arc<dyn Tasks>,
    pub clock: Arc<dyn Clock>,
    pub proxies: Proxies,
    pub body_limits: BodyLimits,
    pub calls: Calls,
    /// The payment token's.
    pub decimals: Decimals,
    /// Cancelled when streams must end.
    pub drain: Drain,
}

/// The market for requests without a credential: it reads on connections of their own.
#[derive(Clone)]
pub struct PublicMarket(pub Arc<Market>);

/// Hosted content for requests without a credential: it is read on connections of their own.
#[derive(Clone)]
pub struct PublicHosting(pub Arc<Hosting>);

/// Cancelled when a stop has no more patience with open streams.
#[derive(Debug, Clone, Default)]
pub struct Drain(pub CancellationToken);

/// One pointer, so that a request costs one count.
#[derive(Clone)]
pub struct AppState(Arc<Services>);

impl AppState {
    /// Shares the services.
    pub fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }

    /// What every request passes.
    pub fn limiter(&self) -> (&Limiter, &Proxies) {
        (&self.0.limiter, &self.0.proxies)
    }

    /// What bounds reads for requests without a credential.
    pub fn public_reads(&self) -> &PublicReads {
        &self.0.public_reads
    }

    /// What requests are counted in.
    pub fn figures(&self) -> &Figures {
        &self.0.figures
    }
}

macro_rules! parts {
    ($($field:ident: $type:ty),+ $(,)?) => {$(
        impl FromRef<AppState> for $type {
            fn from_ref(state: &AppState) -> Self {
                state.0.$field.clone()
            }
        }
    )+};
}

parts! {
    challenges: Arc<Challenges>,
    logins: Arc<Logins>,
    sessions: Arc<Sessions>,
    api_keys: Arc<ApiKeys>,
    authenticator: Arc<Authenticator>,
    idempotency: Arc<Idempotency>,
    tasks: Arc<dyn Tasks>,
    organizations: Arc<Organizations>,
    projects: Arc<Projects>,
    accepted_projects: Arc<AcceptedProjects>,
    clock: Arc<dyn Clock>,
    bots: Arc<Bots>,
    webhooks: Arc<ProjectWebhooks>,
    triggers: Triggers,
    most_payload: MostPayload,
    settings: Arc<Settings>,
    ownership: Arc<Ownership>,
    audit: Arc<Audit>,
    contexts: Arc<Contexts>,
    catalogue: Arc<Catalogue>,
    completions: Arc<Completions>,
    conversations: Arc<Conversations>,
    ledger: Arc<dyn Ledger>,
    books: Arc<dyn Books>,
    treasury: Arc<Treasury>,
    usage: Arc<Usage>,
    earnings: Arc<CreatorEarnings>,
    chain_sync: Arc<dyn ChainSync>,
    public_config: Arc<PublicConfig>,
    document: Document,
    readiness: Arc<Readiness>,
    limiter: Limiter,
    market: Arc<Market>,
    public_market: PublicMarket,
    enclave: Arc<dyn Enclave>,
    hosting: Arc<Hosting>,
    public_hosting: PublicHosting,
    product_checks: Arc<ProductChecks>,
    waiting_list: Arc<WaitingList>,
    stats: Stats,
    faucet: Option<Arc<Faucet>>,
    figures: Arc<Figures>,
    proxies: Proxies,
    body_limits: BodyLimits,
    calls: Calls,
    decimals: Decimals,
    drain: Drain,
}
