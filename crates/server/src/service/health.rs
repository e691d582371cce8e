//! Is the process alive, and can it do its work?

use super::{
    Supervisor,
    age::Age,
    conditions::{ActiveCondition, Levels, Severity},
    ledger_watch::{LedgerView, LedgerWatch},
    metrics::SenderFigures,
    safeguards::Safeguards,
    supervisor::TaskState,
};
use crate::http::envelope::json;
use axum::{extract::State, response::Response};
use haithe_billing::{deployment::Weakness, ports::ChainIndex};
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
    /// Conditions that operators must act on.
    pub levels: Arc<Levels>,
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
    /// wait, or an operator must act; `unready`: no paid call can be served.
    status: &'static str,
    /// The database can be read and written.
    database: bool,
    chain: ChainView,
    sender: SenderView,
    ledger: LedgerView,
    /// By the provider's key in the catalogue; those without a key for it are left out.
    providers: BTreeMap<String, ProviderView>,
    tasks: BTreeMap<&'static str, TaskView>,
    /// Conditions that an operator must act on, those first that make the service unready, then safeguards that
    /// the deployment or the configuration lacks.
    warnings: Vec<WarningView>,
}

/// What an operator must act on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReadinessWarning)]
struct WarningView {
    /// A condition: `database_unwritable`, `settlement_gate_closed`, `backup_stale`, `encryption_key_mismatch`,
    /// `index_alarms`, `ledger_difference`, `provider_credentials_rejected`, `settlement_stopped` or
    /// `settling_key_mismatch`. Or a missing safeguard: `test_token`, `no_daily_cap`, `no_guardian`,
    /// `guardian_is_server`, `owner_is_server`, `owner_is_deployer` or `local_sites`; on a development chain none
    /// is missing.
    code: &'static str,
    /// `unready`: no paid call can be served while it lasts. `degraded`: calls are served. `advice`: a missing
    /// safeguard, which does not change `status`.
    severity: &'static str,
    /// What it is about, such as a provider's key in the catalogue; `null` when there is only one such thing.
    #[schema(required = true)]
    subject: Option<String>,
    /// When it was detected, an RFC 3339 time; `null` for a missing safeguard.
    #[schema(required = true)]
    since: Option<String>,
    /// What is wrong.
    message: String,
    /// What corrects it.
    remedy: &'static str,
}

impl From<ActiveCondition> for WarningView {
    fn from(active: ActiveCondition) -> Self {
        Self {
            code: active.condition.name(),
            severity: active.condition.severity().as_str(),
            subject: Some(active.subject).filter(|subject| !subject.is_empty()),
            since: Some(active.since.rfc3339()),
            message: active.message,
            remedy: active.condition.remedy(),
        }
    }
}

impl From<Weakness> for WarningView {
    fn from(weakness: Weakness) -> Self {
        Self {
            code: weakness.code(),
            severity: "advice",
            subject: None,
            since: None,
            message: weakness.to_string(),
            remedy: weakness.remedy(),
        }
    }
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
/// 503 only when no paid call can be served; 200 with `warnings` when an operator must act.
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
        let database = self.database.is_healthy() && self.database.is_writable() && checkpoint.is_ok();
        let conditions = self.levels.refreshed();
        let severity = conditions.severity();
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
            severity.is_none(),
        ];
        let serves = database && severity != Some(Severity::Unready);
        let status = match (serves, parts.iter().all(|ok| *ok)) {
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
            warnings: warnings(conditions.active(), self.safeguards.missing()),
        }
    }
}

fn warnings(active: Vec<ActiveCondition>, missing: Vec<Weakness>) -> Vec<WarningView> {
    let conditions = active.into_iter().map(WarningView::from);
    conditions
        .chain(missing.into_iter().map(WarningView::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        api::testing::{Answer, Mocks, now, send},
        service::conditions::Condition,
    };
    use axum::body::Body;
    use haithe_billing::chain::BlockRef;
    use http::Request;
    use serde_json::json;

    /// `GET /health/ready` over a chain whose last block is now.
    async fn ready(mut mocks: Mocks, writable: bool) -> Answer {
        mocks.database.expect_is_writable().return_const(writable);
        mocks.index.expect_checkpoint().returning(|| {
            Ok(Some(BlockRef {
                number: 7,
                hash: [7; 32],
                parent: [6; 32],
                time: now(),
            }))
        });
        let request = Request::builder().uri("/health/ready").body(Body::empty());
        send(mocks, request.unwrap()).await
    }

    #[tokio::test]
    async fn without_conditions_the_service_is_ready_and_warns_of_nothing() {
        let answer = ready(Mocks::default(), true).await;
        let view = answer.json();
        assert_eq!(answer.status, 200, "{view}");
        assert_eq!(view["warnings"], json!([]));
        assert_eq!(view["database"], true);
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_written_answers_503_and_says_what_to_do() {
        let answer = ready(Mocks::default(), false).await;
        let view = answer.json();
        assert_eq!(answer.status, 503, "{view}");
        assert_eq!(
            (&view["status"], &view["database"]),
            (&json!("unready"), &json!(false))
        );
        let warning = &view["warnings"][0];
        assert_eq!(warning["code"], "database_unwritable");
        assert_eq!(warning["severity"], "unready");
        assert_eq!(warning["subject"], json!(null));
        assert_eq!(warning["since"], now().rfc3339());
        assert!(warning["remedy"].as_str().unwrap().contains("free disk space"));
    }

    #[tokio::test]
    async fn a_condition_that_leaves_calls_served_answers_200_with_a_warning() {
        let mocks = Mocks::default();
        mocks.board.raise(
            Condition::ProviderCredentialsRejected,
            "openai",
            "the key is rejected",
        );
        let answer = ready(mocks, true).await;
        let view = answer.json();
        assert_eq!(answer.status, 200, "{view}");
        assert_eq!(view["status"], "degraded");
        let warning = &view["warnings"][0];
        assert_eq!(warning["code"], "provider_credentials_rejected");
        assert_eq!(warning["severity"], "degraded");
        assert_eq!(warning["subject"], "openai");
        assert_eq!(warning["message"], "the key is rejected");
    }
}
