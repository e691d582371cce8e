//! `GET /api/v1/stats`: how much happens on chain, from our own index.

use crate::http::{Answer, Success, wire::AddressText};
use crate::service::brief::Brief;
use axum::extract::State;
use haithe_billing::{chain::ChainCounts, ports::ChainStats};
use haithe_kernel::WalletAddress;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Where the figures come from, and about whom.
#[derive(Clone)]
pub struct Stats {
    /// The index and the outbox.
    pub counts: Arc<dyn ChainStats>,
    /// What they were a moment ago.
    pub recent: Arc<Brief<ChainCounts>>,
    /// The orchestrator.
    pub orchestrator: WalletAddress,
    /// Who settles.
    pub server: WalletAddress,
}

/// Transactions by contract, by the server, and in all.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Statistics)]
#[serde(rename_all = "camelCase")]
pub struct StatsView {
    /// The orchestrator, then the busiest organizations and products.
    contracts: Vec<ContractStatsView>,
    server: ServerStatsView,
    /// With an event of the orchestrator in them.
    transaction_count: u64,
}

/// One contract's transactions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContractStatistics)]
#[serde(rename_all = "camelCase")]
pub struct ContractStatsView {
    #[schema(value_type = AddressText)]
    address: WalletAddress,
    r#type: &'static str,
    transactions_count: u64,
}

/// The server's transactions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerStatistics)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatsView {
    #[schema(value_type = AddressText)]
    address: WalletAddress,
    transactions_count: u64,
}

/// How much happens on chain.
#[utoipa::path(get, path = "/api/v1/stats", security(()), responses((status = 200, body = Success<StatsView>)))]
pub async fn show(State(stats): State<Stats>) -> Answer<StatsView> {
    let counts = stats.recent.get(|| stats.counts.count(stats.server)).await?;
    let view = |r#type| {
        move |(address, transactions_count)| ContractStatsView {
            address,
            r#type,
            transactions_count,
        }
    };
    let first = view("HaitheOrchestrator")((stats.orchestrator, counts.orchestrator));
    let organizations = counts
        .organizations
        .iter()
        .copied()
        .map(view("HaitheOrganization"));
    let products = counts.products.iter().copied().map(view("HaitheProduct"));
    let contracts = std::iter::once(first).chain(organizations).chain(products);
    Ok(Success::of(
        "Statistics",
        StatsView {
            contracts: contracts.collect(),
            server: ServerStatsView {
                address: stats.server,
                transactions_count: counts.server,
            },
            transaction_count: counts.orchestrator,
        },
    ))
}
