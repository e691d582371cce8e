//! Conditions that follow from values in memory: read for every readiness request and metrics scrape.

use super::{Condition, Conditions};
use crate::service::{ledger_watch::LedgerWatch, metrics::SenderFigures};
use haithe_billing::gate::{SettlementGate, SettlementLag};
use haithe_stores::DatabaseControl;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Where [`Levels`] looks.
pub struct LevelSources {
    /// Whether the last write reached the disk.
    pub database: Arc<dyn DatabaseControl>,
    /// The comparison of the ledger with the chain.
    pub ledger: Arc<LedgerWatch>,
    /// How far settlement and the index lag.
    pub gate: Arc<SettlementGate>,
    /// The sender of transactions.
    pub sender: Arc<dyn Fn() -> SenderFigures + Send + Sync>,
    /// A charge that waits longer for settlement means that settlement has stopped.
    pub settlement_limit: Duration,
}

/// Brings the conditions that memory decides up to date: no I/O, cheap enough for every probe and every scrape.
pub struct Levels {
    conditions: Arc<Conditions>,
    sources: LevelSources,
    /// The last write probe failed or does not end.
    probe_failed: AtomicBool,
}

/// Subjects of [`Condition::SettlementStopped`], which several parts report.
pub(super) const CHARGES: &str = "charges";
const SENDER: &str = "sender";

impl Levels {
    /// Over `sources`, raising in `conditions`.
    pub const fn new(conditions: Arc<Conditions>, sources: LevelSources) -> Self {
        Self {
            conditions,
            sources,
            probe_failed: AtomicBool::new(false),
        }
    }

    /// The conditions that are active now.
    pub fn refreshed(&self) -> &Conditions {
        self.refresh();
        &self.conditions
    }

    /// Raises and clears what memory decides.
    pub fn refresh(&self) {
        let Self {
            conditions, sources, ..
        } = self;
        let unwritable = !sources.database.is_writable() || self.probe_failed.load(Ordering::Acquire);
        conditions.set(
            Condition::DatabaseUnwritable,
            "",
            unwritable.then(|| "the database cannot be written: every paid call is refused".to_owned()),
        );
        conditions.set(
            Condition::LedgerDifference,
            "",
            (!sources.ledger.found_no_difference())
                .then(|| "the last comparison of the ledger with the chain found a difference".to_owned()),
        );
        conditions.set(
            Condition::SettlementGateClosed,
            "",
            closed(&sources.gate.shared_lag()),
        );
        conditions.set(
            Condition::SettlementStopped,
            CHARGES,
            overdue(&sources.gate.lag(), sources.settlement_limit),
        );
        let halted = (sources.sender)().halted;
        conditions.set(
            Condition::SettlementStopped,
            SENDER,
            halted.then(|| "the sender is halted: no transaction is sent".to_owned()),
        );
    }

    /// Notes how a write probe went; `failed` also while it does not end.
    pub(super) fn probed(&self, failed: bool) {
        self.probe_failed.store(failed, Ordering::Release);
        self.refresh();
    }
}

/// Why every organization is refused, if it is.
fn closed(shared: &SettlementLag) -> Option<String> {
    if shared.is_tolerable() {
        return None;
    }
    if shared.limit.is_zero() {
        return Some("the contracts' withdrawal delay is unknown: the chain was never reached".to_owned());
    }
    let part = if shared.index > shared.limit {
        "the index of the chain"
    } else {
        "settlement"
    };
    Some(format!(
        "{part} is more than {} s behind: every paid call is refused with settlement_delayed",
        shared.limit.as_secs()
    ))
}

/// Why settlement counts as stopped, if it does.
fn overdue(lag: &SettlementLag, limit: Duration) -> Option<String> {
    (lag.settlement > limit).then(|| {
        format!(
            "the oldest charge has waited for settlement for more than {} s",
            limit.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::conditions::Severity;
    use haithe_billing::gate::OldestCharges;
    use haithe_kernel::{Clock, FixedClock, Timestamp};
    use haithe_stores::MockDatabaseControl;

    const HOUR: Duration = Duration::from_secs(3_600);

    struct Fixture {
        clock: Arc<FixedClock>,
        conditions: Arc<Conditions>,
        gate: Arc<SettlementGate>,
        ledger: Arc<LedgerWatch>,
        writable: Arc<AtomicBool>,
        halted: Arc<AtomicBool>,
        levels: Levels,
    }

    fn fixture() -> Fixture {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000_000)));
        let conditions = Arc::new(Conditions::new(clock.clone()));
        let gate = Arc::new(SettlementGate::new(clock.clone(), 24 * HOUR));
        let ledger = Arc::new(LedgerWatch::new(HOUR));
        let (writable, halted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let mut database = MockDatabaseControl::new();
        let answer = writable.clone();
        database
            .expect_is_writable()
            .returning(move || answer.load(Ordering::Acquire));
        let watched = halted.clone();
        let levels = Levels::new(
            conditions.clone(),
            LevelSources {
                database: Arc::new(database),
                ledger: ledger.clone(),
                gate: gate.clone(),
                sender: Arc::new(move || SenderFigures {
                    halted: watched.load(Ordering::Acquire),
                    ..SenderFigures::default()
                }),
                settlement_limit: HOUR,
            },
        );
        Fixture {
            clock,
            conditions,
            gate,
            ledger,
            writable,
            halted,
            levels,
        }
    }

    fn active(levels: &Levels) -> Vec<Condition> {
        let active = levels.refreshed().active();
        active.into_iter().map(|active| active.condition).collect()
    }

    #[test]
    fn a_failed_write_and_a_failed_probe_each_make_the_database_unwritable_until_both_recover() {
        let fixture = fixture();
        assert_eq!(active(&fixture.levels), []);
        fixture.writable.store(false, Ordering::Release);
        assert_eq!(active(&fixture.levels), [Condition::DatabaseUnwritable]);
        assert_eq!(fixture.conditions.severity(), Some(Severity::Unready));
        fixture.levels.probed(true);
        fixture.writable.store(true, Ordering::Release);
        assert_eq!(active(&fixture.levels), [Condition::DatabaseUnwritable]);
        fixture.levels.probed(false);
        assert_eq!(active(&fixture.levels), []);
    }

    #[test]
    fn a_ledger_difference_lasts_until_a_clean_comparison() {
        let fixture = fixture();
        fixture.ledger.completed(false);
        assert_eq!(active(&fixture.levels), [Condition::LedgerDifference]);
        fixture.ledger.completed(true);
        assert_eq!(active(&fixture.levels), []);
    }

    #[test]
    fn charges_that_wait_too_long_and_a_halted_sender_are_stopped_settlement() {
        let fixture = fixture();
        fixture.clock.advance(2 * HOUR);
        assert_eq!(active(&fixture.levels), [Condition::SettlementStopped]);
        fixture.gate.unsettled(fixture.clock.now(), OldestCharges::new());
        assert_eq!(active(&fixture.levels), []);
        fixture.halted.store(true, Ordering::Release);
        assert_eq!(active(&fixture.levels), [Condition::SettlementStopped]);
    }

    #[test]
    fn a_gate_that_refuses_everybody_makes_the_service_unready() {
        let fixture = fixture();
        fixture.clock.advance(7 * HOUR);
        fixture.gate.unsettled(fixture.clock.now(), OldestCharges::new());
        assert_eq!(active(&fixture.levels), [Condition::SettlementGateClosed]);
        let message = fixture.conditions.active()[0].message.clone();
        assert!(message.contains("the index of the chain"), "{message}");
        fixture.gate.indexed_through(fixture.clock.now());
        assert_eq!(active(&fixture.levels), []);
        fixture.gate.set_withdrawal_delay(Duration::ZERO);
        fixture.clock.advance(Duration::from_secs(1));
        assert_eq!(active(&fixture.levels), [Condition::SettlementGateClosed]);
        let message = fixture.conditions.active()[0].message.clone();
        assert!(message.contains("withdrawal delay is unknown"), "{message}");
    }
}
