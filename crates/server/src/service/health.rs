//! Is the process alive, and can it do its work?

use super::{Supervisor, supervisor::TaskState};
use crate::http::envelope::json;
use axum::{extract::State, response::Response};
use haithe_billing::ports::ChainIndex;
use haithe_kernel::Clock;
use http::StatusCode;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use utoipa::ToSchema;

/// The index may be this old before the chain counts as away.
const CHAIN_LAG: Duration = Duration::from_secs(120);

/// What readiness looks at.
pub struct Readiness {
    /// Whether the database's writer lives.
    pub database: Box<dyn Fn() -> bool + Send + Sync>,
    /// The index of the chain.
    pub index: Arc<dyn ChainIndex>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Background tasks.
    pub supervisor: Supervisor,
}

/// The process is alive.
#[derive(Serialize, ToSchema)]
pub struct AliveView {
    status: &'static str,
}

/// Whether calls can be answered, and what else is wrong.
#[derive(Serialize, ToSchema)]
pub struct ReadyView {
    /// `ready`; `degraded`: calls are answered, but deposits or settlement wait; `unready`.
    status: &'static str,
    database: bool,
    chain: ChainView,
    tasks: BTreeMap<&'static str, TaskView>,
}

#[derive(Serialize, ToSchema)]
struct ChainView {
    ok: bool,
    #[schema(required = true)]
    indexed_block: Option<u64>,
    #[schema(required = true)]
    lag_seconds: Option<u64>,
}

#[derive(Serialize, ToSchema)]
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
        let database = (self.database)() && checkpoint.is_ok();
        let block = checkpoint.ok().flatten();
        let lag = block.map(|block| self.clock.now().since(block.time));
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
        let status = match (database, chain.ok && tasks.values().all(|task| task.ok)) {
            (false, _) => "unready",
            (true, false) => "degraded",
            (true, true) => "ready",
        };
        ReadyView {
            status,
            database,
            chain,
            tasks,
        }
    }
}
