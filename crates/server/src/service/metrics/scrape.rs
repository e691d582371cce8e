//! What is looked up when somebody asks: levels rather than events.

use super::{Figures, process::Process};
use crate::service::{
    Supervisor,
    age::Age,
    conditions::{Condition, Levels},
    ledger_watch::LedgerWatch,
    rates::{Places, Rates, TokenRates},
    safeguards::Safeguards,
    supervisor::TaskState,
};
use haithe_billing::{
    gate::SettlementGate,
    ports::{ChainIndex, Ledger},
};
use haithe_inference::Completions;
use haithe_kernel::{Clock, Timestamp, Usdt};
use haithe_stores::DatabaseControl;
use metrics::Label;
use std::sync::Arc;

/// The sender of transactions, as figures.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "as in the adapter's SenderHealth")]
pub struct SenderFigures {
    pub queued: usize,
    pub in_flight: usize,
    pub mined: usize,
    pub alarms: usize,
    pub halted: bool,
    pub failures: u32,
    /// When the oldest of them all was asked for.
    pub oldest: Option<Timestamp>,
}

impl SenderFigures {
    /// Transactions go out, and nobody need look.
    pub const fn is_well(&self) -> bool {
        !self.halted && self.alarms == 0 && self.failures == 0
    }
}

/// Where levels are looked up.
pub struct Sources {
    /// Money.
    pub ledger: Arc<dyn Ledger>,
    /// The chain's index.
    pub index: Arc<dyn ChainIndex>,
    /// Lags.
    pub gate: Arc<SettlementGate>,
    /// The comparison of the ledger with the chain.
    pub ledger_watch: Arc<LedgerWatch>,
    /// Safeguards that the deployment lacks.
    pub safeguards: Arc<Safeguards>,
    /// Conditions that operators must act on.
    pub levels: Arc<Levels>,
    /// The sender of transactions.
    pub sender: Arc<dyn Fn() -> SenderFigures + Send + Sync>,
    /// Writes that wait, and reads.
    pub database: Arc<dyn DatabaseControl>,
    /// Circuits of models.
    pub completions: Arc<Completions>,
    /// Background tasks.
    pub supervisor: Supervisor,
    /// Rates of requests.
    pub rates: Arc<Rates>,
    /// Rates of tokens.
    pub tokens: Arc<TokenRates>,
    /// Calls under way.
    pub places: Places,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Renders all figures.
pub struct Scrape {
    figures: Arc<Figures>,
    sources: Sources,
    /// Of the last indexed block.
    index_age: Age,
    /// Of the oldest transaction that is not mined.
    sender_age: Age,
}

/// Figures are for looking at: a gauge may round what the ledger knows exactly.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
fn gauge_of(number: i64) -> f64 {
    number as f64
}

fn count(number: usize) -> f64 {
    gauge_of(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Scrape {
    /// Over `figures`, and levels looked up in `sources`.
    pub fn new(figures: Arc<Figures>, sources: Sources) -> Self {
        Self {
            figures,
            index_age: Age::new(sources.clock.clone()),
            sender_age: Age::new(sources.clock.clone()),
            sources,
        }
    }

    /// Prometheus' text format (version 0.0.4). What cannot be looked up keeps its last value.
    pub async fn render(&self) -> String {
        self.look().await;
        let handle = self.figures.handle();
        handle.run_upkeep();
        handle.render()
    }

    /// Histograms hold every observation until somebody asks or this is called.
    pub fn condense(&self) {
        self.figures.handle().run_upkeep();
    }

    async fn look(&self) {
        let set = |name, value| self.figures.gauge(name, Vec::new()).set(value);
        let money = |amount: Usdt| gauge_of(amount.nano());
        if let Ok(totals) = self.sources.ledger.totals().await {
            set("haithe_holds", count(totals.holds));
            set("haithe_held_nano_usdt", money(totals.held));
            set("haithe_unsettled_nano_usdt", money(totals.unsettled));
        }
        set("haithe_calls_under_way", count(self.sources.places.under_way()));
        if let Ok(Some(block)) = self.sources.index.checkpoint().await {
            let lag = self.index_age.of(block.time);
            set(
                "haithe_index_block",
                gauge_of(i64::try_from(block.number).unwrap_or(i64::MAX)),
            );
            set("haithe_index_lag_seconds", lag.as_secs_f64());
        }
        let lag = self.sources.gate.lag();
        set("haithe_settlement_lag_seconds", lag.settlement.as_secs_f64());
        set(
            "haithe_ledger_check_age_seconds",
            self.sources.ledger_watch.age().as_secs_f64(),
        );
        set(
            "haithe_missing_safeguards",
            count(self.sources.safeguards.count()),
        );
        let conditions = self.sources.levels.refreshed();
        for condition in Condition::ALL {
            let labels = vec![Label::from_static_parts("name", condition.name())];
            let active = u8::from(conditions.is_active(condition));
            self.figures
                .gauge("haithe_condition", labels)
                .set(f64::from(active));
        }
        let sender = (self.sources.sender)();
        for (state, number) in [
            ("queued", sender.queued),
            ("in_flight", sender.in_flight),
            ("mined", sender.mined),
        ] {
            let labels = vec![Label::from_static_parts("state", state)];
            self.figures
                .gauge("haithe_sender_transactions", labels)
                .set(count(number));
        }
        set("haithe_sender_alarms", count(sender.alarms));
        set("haithe_sender_halted", f64::from(u8::from(sender.halted)));
        set("haithe_sender_failures", f64::from(sender.failures));
        let age = sender.oldest.map(|oldest| self.sender_age.of(oldest));
        set(
            "haithe_sender_oldest_seconds",
            age.unwrap_or_default().as_secs_f64(),
        );
        let database = &self.sources.database;
        set("haithe_writer_queue", count(database.waiting_writes()));
        let reads = database.reads();
        for (readers, number) in [
            ("core", reads.core),
            ("public", reads.public),
            ("background", reads.background),
        ] {
            let labels = vec![Label::from_static_parts("readers", readers)];
            self.figures.shown("haithe_database_reads_total", labels, number);
        }
        for (provider, health) in self.sources.completions.providers() {
            self.figures
                .gauge("haithe_circuits_open", vec![Label::new("provider", provider)])
                .set(count(health.resting.len()));
        }
        for (task, health) in self.sources.supervisor.health() {
            let labels = || vec![Label::from_static_parts("task", task)];
            let up = health.state == TaskState::Running;
            self.figures
                .gauge("haithe_task_up", labels())
                .set(f64::from(u8::from(up)));
            self.figures
                .shown("haithe_task_restarts_total", labels(), health.restarts);
        }
        let remembered = [
            ("requests", self.sources.rates.remembered()),
            ("tokens", self.sources.tokens.remembered()),
        ];
        for (limit, subjects) in remembered {
            self.figures
                .gauge(
                    "haithe_rate_subjects",
                    vec![Label::from_static_parts("limit", limit)],
                )
                .set(count(subjects));
        }
        let process = Process::look();
        let large = |number: u64| gauge_of(i64::try_from(number).unwrap_or(i64::MAX));
        set("process_resident_memory_bytes", large(process.resident_bytes));
        set("process_open_fds", large(process.open_fds));
        set("process_max_fds", large(process.max_fds));
        set("process_threads", large(process.threads));
        set("process_start_time_seconds", large(process.started));
        self.figures
            .shown("process_cpu_seconds_total", Vec::new(), process.cpu_seconds);
        let runtime = tokio::runtime::Handle::current().metrics();
        set("haithe_runtime_tasks", count(runtime.num_alive_tasks()));
    }
}
