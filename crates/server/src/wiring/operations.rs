//! What operators see: metrics, and the upkeep of limits and histograms.

use super::{Base, WiringError, chain::Chain};
use crate::service::{
    Readiness,
    age::Age,
    conditions::Levels,
    metrics::{Scrape, Sources, serve_metrics},
    rates::{Places, Rates, TokenQuotas, TokenRates},
};
use haithe_inference::Completions;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpListener;

/// How often idle quotas are evicted and histograms condensed.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What limits requests, tokens and concurrent calls.
pub(super) struct LimitParts {
    pub rates: Arc<Rates>,
    pub token_rates: Arc<TokenRates>,
    pub places: Places,
}

/// The limits of the configuration.
pub(super) fn limits(base: &Base<'_>) -> LimitParts {
    let limits = &base.config.limits;
    LimitParts {
        rates: Arc::new(Rates::new(base.clock.clone())),
        token_rates: Arc::new(TokenRates::new(
            base.clock.clone(),
            TokenQuotas {
                project: limits.tokens_per_project,
                org: limits.tokens_per_organization,
            },
            base.figures.clone(),
        )),
        places: Places::new(limits.concurrent_per_organization),
    }
}

/// What `/health/ready` reports.
pub(super) fn readiness(
    base: &Base<'_>,
    chain: &Chain,
    levels: Arc<Levels>,
    completions: &Arc<Completions>,
) -> Readiness {
    Readiness {
        database: base.stores.database.clone(),
        index: base.stores.public.index.clone(),
        index_age: Age::new(base.clock.clone()),
        supervisor: base.supervisor.clone(),
        completions: completions.clone(),
        sender: chain.sender.clone(),
        levels,
        safeguards: chain.safeguards.clone(),
        ledger: chain.ledger_watch.clone(),
    }
}

/// Runs the upkeep, and the metrics endpoint where the configuration wants one.
pub(super) async fn metrics(
    base: &Base<'_>,
    chain: &Chain,
    levels: &Arc<Levels>,
    limits: &LimitParts,
    completions: &Arc<Completions>,
) -> Result<(), WiringError> {
    let sources = Sources {
        ledger: base.stores.ledger.clone(),
        index: chain.index.clone(),
        gate: chain.gate.clone(),
        ledger_watch: chain.ledger_watch.clone(),
        safeguards: chain.safeguards.clone(),
        levels: levels.clone(),
        sender: chain.sender.clone(),
        database: base.stores.database.clone(),
        completions: completions.clone(),
        supervisor: base.supervisor.clone(),
        rates: limits.rates.clone(),
        tokens: limits.token_rates.clone(),
        places: limits.places.clone(),
        clock: base.clock.clone(),
    };
    let scrape = Arc::new(Scrape::new(base.figures.clone(), sources));
    upkeep(base, limits, &scrape);
    endpoint(base, scrape).await
}

fn upkeep(base: &Base<'_>, limits: &LimitParts, scrape: &Arc<Scrape>) {
    let (rates, tokens, condensed) = (limits.rates.clone(), limits.token_rates.clone(), scrape.clone());
    base.supervisor.every("upkeep", UPKEEP_EVERY, move || {
        rates.sweep();
        tokens.sweep();
        condensed.condense();
        async { Ok::<(), Infallible>(()) }
    });
}

async fn endpoint(base: &Base<'_>, scrape: Arc<Scrape>) -> Result<(), WiringError> {
    let Some(address) = base.config.metrics.address else {
        return Ok(());
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| WiringError::Metrics { address, source })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "figures are shown");
    let listener = Arc::new(Mutex::new(Some(listener)));
    base.supervisor.run("metrics", move |stop| {
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
