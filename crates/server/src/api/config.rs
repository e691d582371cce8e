//! `GET /api/v1/config`: what a wallet or a page must know to talk to the chain. Public.

use crate::http::{Answer, Success};
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;

/// Chain, contracts and sites.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "wire names")]
pub struct PublicConfig {
    pub chain_id: u64,
    /// An RPC endpoint for wallets, where one is configured.
    pub rpc_url: Option<String>,
    pub contracts: Contracts,
    pub token_decimals: u8,
    /// What the REST wire's money counts.
    pub money_unit: &'static str,
}

/// Addresses and ABIs.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "wire names")]
pub struct Contracts {
    pub orchestrator: String,
}

/// `GET /`
pub async fn show(State(config): State<Arc<PublicConfig>>) -> Answer<PublicConfig> {
    Ok(Success::of("Configuration", PublicConfig::clone(&config)))
}
