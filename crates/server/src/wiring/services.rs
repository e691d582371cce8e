//! The use cases, put into the state that handlers take them from.

use super::{
    Base, chain::Chain, content::ContentParts, directory::DirectoryParts, identity::IdentityParts,
    market::MarketParts, money::MoneyParts, operations::LimitParts, webhooks::WebhookParts,
};
use crate::{
    api::{config::PublicConfig, openai::Calls, router, stats::Stats, webhook::MostPayload},
    http::{
        body::{BodyLimits, BodyMemory},
        extract::Proxies,
        limits::{Limiter, RequestQuotas},
        public_reads::PublicReads,
    },
    openapi::Document,
    service::{Readiness, brief::Brief},
    state::{PublicHosting, Services},
};
use haithe_evm::Contract;
use haithe_inference::{Catalogue, Completions, conversations::Conversations};
use haithe_marketplace::enclave::Enclave;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// How long a reading of the chain's statistics is served.
const STATISTICS_FOR: Duration = Duration::from_secs(1);

/// All use cases.
pub(super) struct Parts {
    pub catalogue: Arc<Catalogue>,
    pub chain: Chain,
    pub identity: IdentityParts,
    pub directory: DirectoryParts,
    pub conversations: Arc<Conversations>,
    pub content: ContentParts,
    pub enclave: Arc<dyn Enclave>,
    pub limits: LimitParts,
    pub market: MarketParts,
    pub completions: Arc<Completions>,
    pub webhooks: WebhookParts,
    pub money: MoneyParts,
    pub readiness: Readiness,
}

/// The state of the routes.
pub(super) fn services(base: &Base<'_>, parts: Parts) -> Services {
    let (config, stores) = (base.config, base.stores);
    let Parts {
        catalogue,
        chain,
        identity,
        directory,
        conversations,
        content,
        enclave,
        limits,
        market,
        completions,
        webhooks,
        money,
        readiness,
    } = parts;
    let abis = Contract::ALL
        .iter()
        .map(|contract| (contract.name(), contract.abi()))
        .collect();
    Services {
        challenges: identity.challenges,
        logins: identity.logins,
        authenticator: identity.authenticator,
        idempotency: identity.idempotency,
        tasks: Arc::new(base.tasks.clone()),
        sessions: identity.sessions,
        api_keys: identity.api_keys,
        waiting_list: identity.waiting_list,
        bots: directory.bots,
        settings: directory.settings,
        ownership: directory.ownership,
        audit: directory.audit,
        organizations: directory.organizations,
        projects: directory.projects,
        accepted_projects: directory.accepted_projects,
        contexts: directory.contexts,
        webhooks: webhooks.manage,
        triggers: webhooks.triggers,
        most_payload: MostPayload(config.webhooks.max_payload_bytes),
        earnings: money.earnings,
        usage: money.usage,
        treasury: money.treasury,
        catalogue,
        completions,
        conversations,
        ledger: stores.ledger.clone(),
        books: stores.books.clone(),
        chain_sync: chain.sync,
        public_config: Arc::new(PublicConfig::new(&config.chain, chain.token, abis)),
        document: Document::new(router::document),
        readiness: Arc::new(readiness),
        limiter: Limiter::new(
            limits.rates,
            RequestQuotas {
                ip: config.limits.requests_per_address,
                login: config.limits.logins_per_address,
                project: config.limits.requests_per_project,
                org: config.limits.requests_per_organization,
                webhook: config.limits.requests_per_webhook,
            },
            limits.token_rates,
            base.figures.clone(),
        ),
        figures: base.figures.clone(),
        market: market.market,
        public_market: market.public_market,
        product_checks: market.product_checks,
        enclave,
        hosting: content.hosting,
        public_hosting: PublicHosting(content.public_hosting),
        public_reads: PublicReads::default(),
        stats: Stats {
            counts: stores.public.chain_stats.clone(),
            recent: Arc::new(Brief::new(base.clock.clone(), STATISTICS_FOR)),
            orchestrator: config.chain.orchestrator,
            server: chain.signer,
        },
        clock: base.clock.clone(),
        proxies: Proxies(config.server.trusted_proxies.clone().into()),
        body_limits: body_limits(base),
        calls: Calls {
            all: Arc::new(Semaphore::new(config.inference.max_concurrent_calls)),
            own: limits.places,
            figures: base.figures.clone(),
        },
        faucet: chain.faucet,
        decimals: config.chain.decimals,
        drain: base.tasks.drain.clone(),
    }
}

fn body_limits(base: &Base<'_>) -> BodyLimits {
    let server = &base.config.server;
    BodyLimits {
        bytes: server.max_body_bytes,
        time: server.body_timeout,
        memory: BodyMemory::new(
            server.max_buffered_body_bytes,
            server.max_body_bytes,
            Proxies(server.trusted_proxies.clone().into()),
            base.figures.clone(),
        ),
    }
}
