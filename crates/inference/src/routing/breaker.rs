//! A circuit that many calls share.

use super::circuit::{Admission, Change, Circuit, CircuitPolicy, Verdict};
use crate::ports::UpstreamError;
use haithe_kernel::Clock;
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

    /// Whether a call would pass now.
    pub fn ready(&self) -> bool {
        !self.troubled.load(Ordering::Acquire) || self.lock().would_admit(self.clock.monotonic())
    }

    /// Whether the circuit is open: from the faults that opened it until a call was answered again.
    pub fn is_open(&self) -> bool {
        self.troubled.load(Ordering::Acquire) && self.lock().is_open()
    }

    /// Lets a call pass, or says that the upstream is left alone for now.
    ///
    /// # Errors
    /// [`UpstreamError::Resting`].
    pub fn admit(self: &Arc<Self>) -> Result<Pass, UpstreamError> {
        let probe = if self.troubled.load(Ordering::Acquire) {
            match self.lock().admit(self.clock.monotonic()) {
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
        Ok(Pass {
            breaker: Arc::clone(self),
            probe,
        })
    }

    fn take(&self, verdict: Verdict, probe: bool) {
        if verdict != Verdict::Fault && !self.troubled.load(Ordering::Acquire) {
            return;
        }
        let change = {
            let mut circuit = self.lock();
            let change = circuit.take(verdict, probe, self.clock.monotonic());
            self.troubled.store(!circuit.is_calm(), Ordering::Release);
            change
        };
        match change {
            Change::None => {}
            Change::Opened => tracing::warn!(model = self.model, "calls are kept away from a failing model"),
            Change::Closed => tracing::info!(model = self.model, "a model answers again"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's passage. Dropped without a word, it says nothing about the upstream.
#[derive(Debug)]
pub struct Pass {
    breaker: Arc<Breaker>,
    /// Whether others wait for what this call finds.
    probe: bool,
}

impl Pass {
    /// The answer began.
    pub fn begun(&mut self) {
        self.say(Verdict::Begun);
    }

    /// The answer was complete.
    pub fn complete(&mut self) {
        self.say(Verdict::Sound);
    }

    /// The try failed.
    pub fn failed(&mut self, error: &UpstreamError) {
        self.say(Verdict::of(error));
    }

    fn say(&mut self, verdict: Verdict) {
        self.breaker.take(verdict, std::mem::take(&mut self.probe));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            self.say(Verdict::Unclear);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::{FixedClock, Timestamp};
    use std::time::Duration;

    const POLICY: CircuitPolicy = CircuitPolicy {
        faults: 2,
        pause: Duration::from_secs(10),
    };

    fn broken() -> (Arc<Breaker>, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        let breaker = Breaker::new("m", POLICY, clock.clone());
        for _ in 0..2 {
            breaker.admit().unwrap().failed(&UpstreamError::TimedOut);
        }
        (breaker, clock)
    }

    #[test]
    fn an_open_circuit_says_when_to_come_back() {
        let (breaker, clock) = broken();
        assert!(!breaker.ready() && breaker.is_open());
        let refused = breaker.admit().unwrap_err();
        assert!(
            matches!(refused, UpstreamError::Resting { retry_after: 10 }),
            "{refused:?}"
        );
        clock.advance(POLICY.pause);
        assert!(breaker.ready());
        assert!(breaker.is_open(), "time alone proves nothing");
        breaker.admit().unwrap().complete();
        assert!(!breaker.is_open());
        breaker.admit().unwrap();
    }

    #[test]
    fn a_step_of_the_time_of_day_neither_prolongs_nor_ends_the_pause() {
        let (breaker, clock) = broken();
        clock.set(Timestamp::from_seconds(100_000));
        assert!(!breaker.ready());
        clock.set(Timestamp::from_seconds(0));
        clock.advance(POLICY.pause);
        assert!(breaker.ready());
    }

    #[test]
    fn a_probe_whose_caller_leaves_makes_room_for_another() {
        let (breaker, clock) = broken();
        clock.advance(POLICY.pause);
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err());
        drop(probe);
        breaker.admit().unwrap().begun();
        assert!(breaker.admit().is_ok() && breaker.admit().is_ok());
    }

    #[test]
    fn callers_mistakes_and_limits_never_open_it() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        let breaker = Breaker::new("m", POLICY, clock);
        for _ in 0..100 {
            let limited = UpstreamError::RateLimited { retry_after: None };
            breaker.admit().unwrap().failed(&limited);
            breaker.admit().unwrap().failed(&UpstreamError::Credentials);
            drop(breaker.admit().unwrap());
        }
        assert!(breaker.ready());
    }
}
