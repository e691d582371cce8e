//! Is the process alive, and can it do its work?

use super::{
    Supervisor,
    age::Age,
    ledger_watch::{LedgerView, LedgerWatch},
    metrics::SenderFigures,
    safeguards::{SafeguardView, Safeguards},
    supervisor::TaskState,
};
use crate::http::envelope::json;
use axum::{extract::State, response::Response};
use haithe_billing::ports::ChainIndex;
use haithe_inference::Completions;
use haithe_stores::DatabaseControl;
use http::StatusCode;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use utoipa::ToSchema;

/// The index may be this old before the chain counts as away.
const CHAIN_LAG: Duration = Duration::from_secs(120);

/// What readiness looks at.
pub struct Readiness {
    /// Whether the database can be written.
    pub database: Arc<dyn DatabaseControl>,
    /// The index of the chain.
    pub index: Arc<dyn ChainIndex>,
    /// The age of the last indexed block.
    pub index_age: Age,
    /// Background tasks.
    pub supervisor: Supervisor,
    /// Circuits of models. No probe ever asks a provider.
    pub completions: Arc<Completions>,
    /// How the sender of transactions does.
    pub sender: Arc<dyn Fn() -> SenderFigures + Send + Sync>,
    /// Safeguards that the deployment lacks.
    pub safeguards: Arc<Safeguards>,
    /// The comparison of the ledger with the chain.
    pub ledger: Arc<LedgerWatch>,
}

/// The process is alive.
#[derive(Serialize, ToSchema)]
#[schema(as = Liveness)]
pub struct AliveView {
    status: &'static str,
}

/// Whether calls can be answered, and what else is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
pub struct ReadyView {
    /// `ready`; `degraded`: calls are answered, but not by every model, or deposits or settlement
    /// wait; `unready`.
    status: &'static str,
    database: bool,
    chain: ChainView,
    sender: SenderView,
    ledger: LedgerView,
    /// By the provider's key in the catalogue; those without a key for it are left out.
    providers: BTreeMap<String, ProviderView>,
    tasks: BTreeMap<&'static str, TaskView>,
    /// Safeguards that the deployment or the configuration lacks. They do not change `status`. Always
    /// empty on a development chain.
    warnings: Vec<SafeguardView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChainHealth)]
struct ChainView {
    ok: bool,
    #[schema(required = true)]
    indexed_block: Option<u64>,
    #[schema(required = true)]
    lag_seconds: Option<u64>,
}

/// The sender of transactions.
#[derive(Serialize, ToSchema)]
#[schema(as = SenderHealth)]
struct SenderView {
    /// Transactions go out, and nothing about them needs a person.
    ok: bool,
    /// Nothing is sent any more until somebody looks.
    halted: bool,
    /// What needs a person; the log says what.
    alarms: usize,
    /// Transactions that are not mined yet.
    waiting: usize,
}

/// A provider, as calls have found it. It is not asked for this.
#[derive(Serialize, ToSchema)]
struct ProviderView {
    ok: bool,
    /// Models on offer.
    models: usize,
    /// Those that calls are kept away from after faults in a row, until one is answered again.
    resting: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TaskHealth)]
struct TaskView {
    ok: bool,
    restarts: u64,
}

/// Is the process alive?
#[utoipa::path(get, path = "/health", security(()), responses((status = 200, body = AliveView)))]
pub async fn alive() -> Response {
    json(&AliveView { status: "ok" })
}

/// Can the service do its work?
///
/// 503 only when calls cannot be answered.
#[utoipa::path(get, path = "/health/ready", security(()),
    responses((status = 200, body = ReadyView), (status = 503, body = ReadyView)))]
pub async fn ready(State(readiness): State<Arc<Readiness>>) -> Response {
    let view = readiness.look().await;
    let mut response = json(&view);
    if view.status == "unready" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.extensions_mut().insert(crate::http::edge::Rendered);
    }
    response
}

impl Readiness {
    async fn look(&self) -> ReadyView {
        let checkpoint = self.index.checkpoint().await;
        let database = self.database.is_healthy() && checkpoint.is_ok();
        let block = checkpoint.ok().flatten();
        let lag = block.map(|block| self.index_age.of(block.time));
        let chain = ChainView {
            ok: lag.is_some_and(|lag| lag <= CHAIN_LAG),
            indexed_block: block.map(|block| block.number),
            lag_seconds: lag.map(|lag| lag.as_secs()),
        };
        let tasks: BTreeMap<_, _> = self
            .supervisor
            .health()
            .into_iter()
            .map(|(name, health)| {
                let view = TaskView {
                    ok: health.state == TaskState::Running,
                    restarts: health.restarts,
                };
                (name, view)
            })
            .collect();
        let figures = (self.sender)();
        let sender = SenderView {
            ok: figures.is_well(),
            halted: figures.halted,
            alarms: figures.alarms,
            waiting: figures.queued + figures.in_flight,
        };
        let providers: BTreeMap<_, _> = self
            .completions
            .providers()
            .into_iter()
            .map(|(name, health)| {
                let view = ProviderView {
                    ok: health.resting.is_empty(),
                    models: health.models,
                    resting: health.resting,
                };
                (name, view)
            })
            .collect();
        let ledger = self.ledger.view();
        let parts = [
            chain.ok,
            sender.ok,
            ledger.is_ok(),
            providers.values().all(|provider| provider.ok),
            tasks.values().all(|task| task.ok),
        ];
        let status = match (database, parts.iter().all(|ok| *ok)) {
            (false, _) => "unready",
            (true, false) => "degraded",
            (true, true) => "ready",
        };
        ReadyView {
            status,
            database,
            chain,
            sender,
            ledger,
            providers,
            tasks,
            warnings: self.safeguards.views(),
        }
    }
}
