//! Paid calls.

use super::{Base, catalogue::Offer, chain::Chain};
use crate::service::{conditions::ProviderKeys, rates::TokenRates, system::TokioTimer, watch::Watch};
use haithe_billing::holds::Holds;
use haithe_inference::{
    CompletionPorts, CompletionSettings, Completions,
    agent::{AgentLimits, Gear},
    request::RequestLimits,
};
use haithe_llm_providers::Tiktoken;
use std::sync::Arc;

/// Sets the use case up.
pub(super) fn completions(
    base: &Base<'_>,
    chain: &Chain,
    offer: &Offer,
    token_rates: &Arc<TokenRates>,
    gears: Vec<Arc<dyn Gear>>,
) -> Arc<Completions> {
    let config = base.config;
    let ports = CompletionPorts {
        holds: Holds::new(base.stores.ledger.clone(), chain.gate.clone()),
        providers: offer.providers.clone(),
        counter: Arc::new(Tiktoken::default()),
        allowance: token_rates.clone(),
        observer: Arc::new(Watch::new(
            base.figures.clone(),
            ProviderKeys::new(base.conditions.clone(), &offer.catalogue),
            config.log.slow,
        )),
        clock: base.clock.clone(),
        random: base.random.clone(),
        tasks: Arc::new(base.tasks.clone()),
        timer: Arc::new(TokioTimer),
        gears,
    };
    let settings = CompletionSettings {
        decimals: config.chain.decimals,
        limits: RequestLimits {
            bytes: config.server.max_body_bytes,
            choices: config.inference.max_choices,
        },
        agent: AgentLimits {
            payees: usize::try_from(config.settlement.max_payees).unwrap_or(usize::MAX),
            ..(&config.agent).into()
        },
    };
    Arc::new(Completions::new(offer.catalogue.clone(), ports, settings))
}
