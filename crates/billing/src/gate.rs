//! The gate in front of new charges: open for an organization while its own charges are settled.
//!
//! An organization's owner can take deposits out after the withdrawal delay. Whoever admits charges
//! must therefore see requests for withdrawal, and settle what was charged, well within that delay.
//! Both are watermarks in time, and each may lag by a quarter of the delay:
//!
//! - the index's watermark is one for all, because an event that is missing may concern anybody;
//! - settlement's is one per organization: the age of its own oldest unsettled charge. A charge that
//!   cannot be sealed, that waits again after a skipped line, or that waits for more of its kind does
//!   not count. One organization's trouble never closes the gate for another.
//!
//! The gate closes by itself as time passes: a task that died cannot keep it open. While settlement
//! does not report, every organization's charges are as old as the last report.
//!
//! What is reported has a time of day. Its age is taken once, when it is first reported, and grows with
//! monotonic time from then on, so that a step of the time of day neither closes the gate nor holds it open.

use crate::hold::HoldError;
use haithe_kernel::{Clock, MonotonicTime, OrgId, Timestamp};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// When the oldest unsettled charge of each organization was made.
pub type OldestCharges = HashMap<OrgId, Timestamp>;

/// Admits new charges while the index and settlement keep up. Cheap enough for every call.
pub struct SettlementGate {
    clock: Arc<dyn Clock>,
    /// Microseconds that either may lag.
    limit: AtomicU64,
    /// Microseconds of monotonic time; negative for what was before its start.
    indexed: AtomicI64,
    /// When settlement last reported; the same.
    reported: AtomicI64,
    /// Each organization's oldest unsettled charge: its time of day, and the same as monotonic time.
    oldest: RwLock<HashMap<OrgId, (Timestamp, i64)>>,
}

/// How far behind the index and settlement are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettlementLag {
    /// Since when facts of the chain may be missing.
    pub index: Duration,
    /// Age of the oldest charge that waits for settlement: of one organization, or of all.
    pub settlement: Duration,
    /// At most this much of either.
    pub limit: Duration,
}

impl SettlementLag {
    /// Whether new charges are admitted.
    pub fn is_tolerable(&self) -> bool {
        self.index <= self.limit && self.settlement <= self.limit
    }
}

impl SettlementGate {
    /// Open, as if all were caught up now; `withdrawal_delay` is the contracts'. While it is not known
    /// it is zero, and the gate is closed.
    pub fn new(clock: Arc<dyn Clock>, withdrawal_delay: Duration) -> Self {
        let now = micros(clock.monotonic());
        Self {
            clock,
            limit: AtomicU64::new(limit_of(withdrawal_delay)),
            indexed: AtomicI64::new(now),
            reported: AtomicI64::new(now),
            oldest: RwLock::default(),
        }
    }

    /// The contracts' withdrawal delay, once they reported it.
    pub fn set_withdrawal_delay(&self, withdrawal_delay: Duration) {
        self.limit.store(limit_of(withdrawal_delay), Relaxed);
    }

    /// Whether this organization may be charged.
    ///
    /// # Errors
    /// [`HoldError::SettlementDelayed`] while the index, or settlement of the organization's own
    /// charges, lags too far.
    pub fn admit(&self, org: OrgId) -> Result<(), HoldError> {
        if self.lag_of(org).is_tolerable() {
            Ok(())
        } else {
            Err(HoldError::SettlementDelayed)
        }
    }

    /// The largest lag of any organization, for health and metrics.
    pub fn lag(&self) -> SettlementLag {
        let oldest = self.oldest.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = oldest.values().map(|(_, mark)| *mark).min();
        self.lag_since(oldest)
    }

    /// The lag that every organization shares: of the index, and since settlement last reported. While it is not
    /// tolerable, no organization may be charged.
    pub fn shared_lag(&self) -> SettlementLag {
        self.lag_since(None)
    }

    /// The lag of one organization.
    pub fn lag_of(&self, org: OrgId) -> SettlementLag {
        let oldest = self.oldest.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = oldest.get(&org).map(|(_, mark)| *mark);
        self.lag_since(oldest)
    }

    fn lag_since(&self, oldest: Option<i64>) -> SettlementLag {
        let now = micros(self.clock.monotonic());
        let since = |mark: i64| {
            let passed = now.saturating_sub(mark);
            Duration::from_micros(u64::try_from(passed).unwrap_or(0))
        };
        let reported = self.reported.load(Relaxed);
        SettlementLag {
            index: since(self.indexed.load(Relaxed)),
            settlement: since(oldest.map_or(reported, |oldest| oldest.min(reported))),
            limit: Duration::from_micros(self.limit.load(Relaxed)),
        }
    }

    /// Everything that happened on chain until `time` is indexed.
    pub fn indexed_through(&self, time: Timestamp) {
        self.indexed.store(self.mark(time), Relaxed);
    }

    /// At `time`, these are the organizations with unsettled charges.
    pub fn unsettled(&self, time: Timestamp, oldest: OldestCharges) {
        let mut known = self.oldest.write().unwrap_or_else(PoisonError::into_inner);
        let marked = oldest.into_iter().map(|(org, charged)| {
            // A charge that was reported before is as old as it was then, and the time that has passed since.
            let before = known.get(&org).filter(|(known, _)| *known == charged);
            let mark = before.map_or_else(|| self.mark(charged), |(_, mark)| *mark);
            (org, (charged, mark))
        });
        let marked: HashMap<_, _> = marked.collect();
        *known = marked;
        self.reported.store(self.mark(time), Relaxed);
    }

    /// The moment of monotonic time that is as long ago as `time` is now.
    fn mark(&self, time: Timestamp) -> i64 {
        let age = self.clock.now().since(time).as_micros();
        micros(self.clock.monotonic()).saturating_sub(i64::try_from(age).unwrap_or(i64::MAX))
    }
}

/// A quarter of the delay, in microseconds.
fn limit_of(withdrawal_delay: Duration) -> u64 {
    u64::try_from((withdrawal_delay / 4).as_micros()).unwrap_or(u64::MAX)
}

fn micros(at: MonotonicTime) -> i64 {
    i64::try_from(at.since_start().as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Debug for SettlementGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettlementGate").field(&self.lag()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::FixedClock;

    const HOUR: Duration = Duration::from_secs(3600);
    const ORG: OrgId = OrgId(1);

    fn gate() -> (Arc<FixedClock>, SettlementGate) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000_000)));
        let gate = SettlementGate::new(clock.clone(), 24 * HOUR);
        (clock, gate)
    }

    #[test]
    fn it_closes_by_itself_when_nobody_reports_for_a_quarter_of_the_delay() {
        let (clock, gate) = gate();
        clock.advance(6 * HOUR);
        assert!(gate.admit(ORG).is_ok());
        clock.advance(Duration::from_micros(1));
        assert!(matches!(gate.admit(ORG), Err(HoldError::SettlementDelayed)));
    }

    #[test]
    fn one_organizations_old_charge_is_no_lag_that_all_share() {
        let (clock, gate) = gate();
        gate.unsettled(clock.now(), OldestCharges::from([(ORG, clock.now())]));
        clock.advance(7 * HOUR);
        gate.indexed_through(clock.now());
        gate.unsettled(
            clock.now(),
            OldestCharges::from([(ORG, clock.now().minus(7 * HOUR))]),
        );
        assert!(!gate.lag_of(ORG).is_tolerable());
        assert!(gate.shared_lag().is_tolerable());
        clock.advance(7 * HOUR);
        assert!(!gate.shared_lag().is_tolerable());
    }

    #[test]
    fn it_goes_by_the_contracts_delay_and_is_closed_while_that_is_unknown() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000_000)));
        let gate = SettlementGate::new(clock.clone(), Duration::ZERO);
        clock.advance(Duration::from_secs(1));
        assert!(!gate.lag().is_tolerable());
        gate.set_withdrawal_delay(24 * HOUR);
        assert!(gate.lag().is_tolerable());
        clock.advance(6 * HOUR);
        assert!(!gate.lag().is_tolerable());
        gate.set_withdrawal_delay(48 * HOUR);
        assert!(gate.lag().is_tolerable());
    }

    #[test]
    fn it_needs_both_the_index_and_settlement() {
        let (clock, gate) = gate();
        clock.advance(7 * HOUR);
        gate.indexed_through(clock.now());
        assert!(gate.admit(ORG).is_err());
        gate.unsettled(clock.now(), OldestCharges::new());
        assert!(gate.admit(ORG).is_ok());
        clock.advance(7 * HOUR);
        gate.unsettled(clock.now(), OldestCharges::new());
        assert!(gate.admit(ORG).is_err());
    }

    #[test]
    fn one_organizations_old_charge_closes_it_for_that_organization_only() {
        let (clock, gate) = gate();
        clock.advance(7 * HOUR);
        gate.indexed_through(clock.now());
        let old = clock.now().minus(7 * HOUR);
        gate.unsettled(clock.now(), OldestCharges::from([(ORG, old)]));
        assert!(gate.admit(ORG).is_err());
        assert!(gate.admit(OrgId(2)).is_ok());
        assert_eq!(gate.lag().settlement, 7 * HOUR);
        assert_eq!(gate.lag_of(OrgId(2)).settlement, Duration::ZERO);
    }

    #[test]
    fn a_step_of_the_time_of_day_neither_closes_it_nor_holds_it_open() {
        let (clock, gate) = gate();
        let charged = clock.now().minus(HOUR);
        let report = || {
            gate.indexed_through(clock.now());
            gate.unsettled(clock.now(), OldestCharges::from([(ORG, charged)]));
        };
        report();
        clock.set(clock.now().plus(100 * HOUR));
        assert_eq!(gate.lag_of(ORG).settlement, HOUR);
        report();
        assert_eq!(gate.lag_of(ORG).settlement, HOUR);
        clock.set(clock.now().minus(200 * HOUR));
        report();
        assert_eq!(gate.lag_of(ORG).settlement, HOUR);
        clock.advance(6 * HOUR);
        report();
        assert!(gate.admit(ORG).is_err());
        assert!(gate.admit(OrgId(2)).is_ok());
    }

    #[test]
    fn what_is_older_than_the_process_keeps_its_age() {
        let (clock, gate) = gate();
        let charged = clock.now().minus(240 * HOUR);
        gate.unsettled(clock.now(), OldestCharges::from([(ORG, charged)]));
        assert_eq!(gate.lag().settlement, 240 * HOUR);
    }

    #[test]
    fn a_chain_whose_clock_runs_ahead_is_no_lag() {
        let (clock, gate) = gate();
        gate.indexed_through(clock.now().plus(HOUR));
        assert_eq!(gate.lag().index, Duration::ZERO);
    }
}
