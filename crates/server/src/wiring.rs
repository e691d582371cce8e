//! Everything put together. The only module that names adapters.

mod agent;
mod assembly;
mod catalogue;
mod chain;
mod completions;
mod conditions;
mod content;
mod conversations;
mod database;
mod directory;
mod enclave;
mod error;
mod identity;
mod knowledge;
mod market;
mod money;
mod operations;
mod secrets;
mod services;
mod tools;
mod webhooks;

pub(crate) use assembly::Assembly;
pub use catalogue::CatalogueLoadError;
pub use database::DatabaseError;
pub use error::WiringError;
/// A node that tests bring along.
pub use haithe_evm::Node;
pub use knowledge::EmbeddingsError;
pub(crate) use tools::{
    chain_client, check_catalogue, ledger_check, ledger_snapshot, migrate, receipt_audit, receipt_verifier,
    revoke_before,
};

use crate::{
    Config,
    app::Overrides,
    service::{
        Supervisor,
        conditions::Conditions,
        metrics::Figures,
        system::{OsRandom, SystemClock, TokioTasks},
    },
    state::{AppState, Drain},
};
use chain::Chain;
use haithe_egress::{Egress, HostLimits, Policy};
use haithe_kernel::{Clock, Fetcher, Random};
use haithe_stores::Stores;
use secrets::Secrets;
use services::{Parts, services};
use std::{sync::Arc, time::Duration};

/// How often expired rows are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What every part of the service is built from.
struct Base<'a> {
    config: &'a Config,
    stores: &'a Stores,
    clock: &'a Arc<dyn Clock>,
    random: &'a Arc<dyn Random>,
    tasks: &'a TokioTasks,
    supervisor: &'a Supervisor,
    figures: &'a Arc<Figures>,
    conditions: &'a Arc<Conditions>,
}

/// Builds every part and starts the background tasks.
pub(crate) async fn assemble(config: &Config, overrides: Overrides) -> Result<Assembly, WiringError> {
    let clock: Arc<dyn Clock> = overrides.clock.unwrap_or_else(|| Arc::new(SystemClock));
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let secrets = Secrets::parse(config)?;
    let offer = catalogue::load(config, &clock)?;
    let figures = Arc::new(Figures::new());
    let embedder = knowledge::watched_embedder(&config.embeddings, &offer, &figures)?;
    let enclave = enclave::enclave(&config.enclave)?;
    let encryption_key = secrets.encryption.id();
    let conditions = Arc::new(Conditions::new(clock.clone()));
    let stores = database::open_database(config, &secrets.encryption, clock.clone()).await?;
    let fetcher: Arc<dyn Fetcher> = match overrides.fetcher {
        Some(fetcher) => fetcher,
        None => Arc::new(Egress::new(egress_policy(&config.limits))?),
    };
    let supervisor = Supervisor::default();
    let drain = Drain::default();
    let tasks = TokioTasks {
        drain: drain.clone(),
        ..TokioTasks::default()
    };
    let base = Base {
        config,
        stores: &stores,
        clock: &clock,
        random: &random,
        tasks: &tasks,
        supervisor: &supervisor,
        figures: &figures,
        conditions: &conditions,
    };
    let chain = Chain::start(&base, overrides.node).await?;
    let levels = conditions::watch(&base, &chain, encryption_key);
    let identity = identity::identity(&base, secrets, chain.wallets.clone()).await?;
    let directory = directory::directory(&base, &chain, offer.default_model);
    let (conversations, memory) = conversations::conversations(&base);
    let content = content::contents(&base, (fetcher.clone(), enclave.clone()));
    let limits = operations::limits(&base);
    let (gears, opener) = agent::gears(
        &base,
        memory,
        (content.loaded.clone(), fetcher.clone()),
        (embedder, overrides.program),
    )?;
    let market = market::market(&base, &chain, opener);
    let completions = completions::completions(&base, &chain, &offer, &limits.token_rates, gears);
    let webhooks = webhooks::webhooks(&base, &directory, completions.clone(), fetcher).await?;
    operations::metrics(&base, &chain, &levels, &limits, &completions).await?;
    let state = AppState::new(services(
        &base,
        Parts {
            readiness: operations::readiness(&base, &chain, levels, &completions),
            money: money::money(&base, &chain, &directory),
            catalogue: offer.catalogue,
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
        },
    ));
    Ok(Assembly::new(state, drain, tasks, supervisor, stores.database))
}

/// Which addresses of users may be called, and how often.
fn egress_policy(limits: &crate::config::Limits) -> Policy {
    Policy {
        per_host: HostLimits::new(limits.concurrent_per_host, limits.requests_per_host),
        ..Policy::default()
    }
}
