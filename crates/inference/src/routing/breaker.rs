//! A circuit that many calls share.

use super::circuit::{Admission, Change, Circuit, CircuitPolicy, Verdict};
use crate::ports::UpstreamError;
use haithe_kernel::{Clock, WalletAddress};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The circuit of one model at its provider. While all is well nobody takes its lock.
pub struct Breaker {
    /// The model, for the log.
    model: String,
    circuit: Mutex<Circuit>,
    /// Whether the circuit is anything but closed and without a fault.
    troubled: AtomicBool,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("model", &self.model)
            .field("circuit", &self.circuit)
            .finish_non_exhaustive()
    }
}

impl Breaker {
    /// Closed.
    pub fn new(model: &str, policy: CircuitPolicy, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            model: model.to_owned(),
            circuit: Mutex::new(Circuit::new(policy)),
            troubled: AtomicBool::new(false),
            clock,
        })
    }

    /// Whether a call of this payer would pass now.
    pub fn ready(&self, payer: WalletAddress) -> bool {
        !self.troubled.load(Ordering::Acquire) || self.lock().would_admit(payer, self.clock.monotonic())
    }

    /// Whether the circuit is open for everybody: from the faults that opened it until a call was
    /// answered again.
    pub fn is_open(&self) -> bool {
        self.troubled.load(Ordering::Acquire) && self.lock().is_open()
    }

    /// Lets a call of this payer, the owner of the paying organization, pass, or refuses it while the
    /// upstream is left alone.
    ///
    /// # Errors
    /// [`UpstreamError::Resting`].
    pub fn admit(self: &Arc<Self>, payer: WalletAddress) -> Result<BreakerPermit, UpstreamError> {
        let probe = if self.troubled.load(Ordering::Acquire) {
            match self.lock().admit(payer, self.clock.monotonic()) {
                Admission::Free => false,
                Admission::Probe => true,
                Admission::Refused(rest) => {
                    let seconds = rest.as_millis().div_ceil(1_000).max(1);
                    let retry_after = u64::try_from(seconds).unwrap_or(u64::MAX);
                    return Err(UpstreamError::Resting { retry_after });
                }
            }
        } else {
            false
        };
        Ok(BreakerPermit {
            breaker: Arc::clone(self),
            payer,
            probe,
            blamed: false,
        })
    }

    fn take(&self, payer: WalletAddress, verdict: Verdict, probe: bool) {
        if verdict != Verdict::Fault && !self.troubled.load(Ordering::Acquire) {
            return;
        }
        let change = {
            let mut circuit = self.lock();
            let change = circuit.take(payer, verdict, probe, self.clock.monotonic());
            self.troubled.store(!circuit.is_calm(), Ordering::Release);
            change
        };
        match change {
            Change::None => {}
            Change::OpenedForPayer => {
                tracing::info!(model = self.model, %payer, "circuit breaker opened for one payer");
            }
            Change::Opened => tracing::warn!(model = self.model, "circuit breaker opened"),
            Change::Closed => tracing::info!(model = self.model, "circuit breaker closed"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission to ask the upstream once. Dropped without a report, it counts as neutral.
#[derive(Debug)]
pub struct BreakerPermit {
    breaker: Arc<Breaker>,
    payer: WalletAddress,
    /// Whether others wait for what this call finds.
    probe: bool,
    /// A fault of this call has been counted.
    blamed: bool,
}

impl BreakerPermit {
    /// For one more try of a call of which a fault was counted already.
    #[must_use]
    pub const fn blaming_nobody(mut self) -> Self {
        self.blamed = true;
        self
    }

    /// The answer began.
    pub fn begun(&mut self) {
        self.report(Verdict::Begun);
    }

    /// The answer was complete.
    pub fn complete(&mut self) {
        self.report(Verdict::Sound);
    }

    /// The try failed. However often a call fails, one fault of it is counted.
    pub fn failed(&mut self, error: &UpstreamError) {
        let verdict = match Verdict::of(error) {
            Verdict::Fault if std::mem::replace(&mut self.blamed, true) => Verdict::Unclear,
            verdict => verdict,
        };
        self.report(verdict);
    }

    fn report(&mut self, verdict: Verdict) {
        let probe = std::mem::take(&mut self.probe);
        self.breaker.take(self.payer, verdict, probe);
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        if self.probe {
            self.report(Verdict::Unclear);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::{FixedClock, Timestamp};
    use std::time::Duration;

    const POLICY: CircuitPolicy = CircuitPolicy {
        faults: 3,
        pause: Duration::from_secs(10),
    };
    const ANN: WalletAddress = WalletAddress::new([1; 20]);
    const BOB: WalletAddress = WalletAddress::new([2; 20]);
    const EVE: WalletAddress = WalletAddress::new([3; 20]);

    fn closed() -> (Arc<Breaker>, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        (Breaker::new("m", POLICY, clock.clone()), clock)
    }

    fn broken() -> (Arc<Breaker>, Arc<FixedClock>) {
        let (breaker, clock) = closed();
        for payer in [ANN, BOB, EVE] {
            breaker.admit(payer).unwrap().failed(&UpstreamError::TimedOut);
        }
        (breaker, clock)
    }

    #[test]
    fn an_open_circuit_says_when_to_come_back() {
        let (breaker, clock) = broken();
        assert!(!breaker.ready(ANN) && breaker.is_open());
        let refused = breaker.admit(ANN).unwrap_err();
        assert!(
            matches!(refused, UpstreamError::Resting { retry_after: 10 }),
            "{refused:?}"
        );
        clock.advance(POLICY.pause);
        assert!(breaker.ready(ANN));
        assert!(breaker.is_open(), "time alone proves nothing");
        breaker.admit(ANN).unwrap().complete();
        assert!(!breaker.is_open());
        breaker.admit(ANN).unwrap();
    }

    #[test]
    fn a_step_of_the_time_of_day_neither_prolongs_nor_ends_the_pause() {
        let (breaker, clock) = broken();
        clock.set(Timestamp::from_seconds(100_000));
        assert!(!breaker.ready(ANN));
        clock.set(Timestamp::from_seconds(0));
        clock.advance(POLICY.pause);
        assert!(breaker.ready(ANN));
    }

    #[test]
    fn a_probe_whose_caller_leaves_makes_room_for_another() {
        let (breaker, clock) = broken();
        clock.advance(POLICY.pause);
        let probe = breaker.admit(ANN).unwrap();
        assert!(breaker.admit(ANN).is_err());
        drop(probe);
        breaker.admit(ANN).unwrap().begun();
        assert!(breaker.admit(ANN).is_ok() && breaker.admit(ANN).is_ok());
    }

    #[test]
    fn callers_mistakes_and_limits_never_open_it() {
        let (breaker, _clock) = closed();
        for payer in [ANN, BOB, EVE].repeat(50) {
            let limited = UpstreamError::RateLimited { retry_after: None };
            breaker.admit(payer).unwrap().failed(&limited);
            breaker.admit(payer).unwrap().failed(&UpstreamError::Credentials);
            let large = UpstreamError::TooLarge { limit: 1 };
            breaker.admit(payer).unwrap().failed(&large);
            drop(breaker.admit(payer).unwrap());
        }
        assert!(breaker.ready(ANN));
    }

    /// Finding 8: retries of one call are one fault.
    #[test]
    fn a_call_is_one_fault_however_often_it_is_tried() {
        let (breaker, _clock) = closed();
        for payer in [ANN, BOB] {
            let mut permit = breaker.admit(payer).unwrap().blaming_nobody();
            permit.failed(&UpstreamError::TimedOut);
            permit.failed(&UpstreamError::TimedOut);
        }
        assert!(breaker.ready(ANN) && !breaker.is_open());
        let mut permit = breaker.admit(ANN).unwrap();
        for _ in 0..10 {
            permit.failed(&UpstreamError::TimedOut);
        }
        assert!(breaker.ready(ANN), "one fault of three");
        for payer in [BOB, EVE] {
            breaker.admit(payer).unwrap().failed(&UpstreamError::TimedOut);
        }
        assert!(breaker.is_open());
    }
}
