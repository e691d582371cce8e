//! When a model is left alone, and how it is found to have recovered.
//!
//! Closed: calls pass, consecutive faults are counted. Open: nobody passes until a pause is over.
//! Then one call at a time is a probe: if its answer begins, the circuit closes, one fault away from
//! opening again until an answer was complete; if it fails, the pause begins anew. Only what is the
//! upstream's own fault counts: see [`Verdict::of`].

use crate::ports::UpstreamError;
use haithe_kernel::MonotonicTime;
use std::time::Duration;

/// When a circuit opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// Faults in a row that open it; 0: never.
    pub faults: u32,
    /// How long it stays open before a probe.
    pub pause: Duration,
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        Self {
            faults: 5,
            pause: Duration::from_secs(10),
        }
    }
}

/// What a try says about the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answered to the end, or refused a request as only a working service can.
    Sound,
    /// An answer began.
    Begun,
    /// It failed: no connection, no answer in time, a 5xx, garbage, or a broken stream.
    Fault,
    /// Nothing can be said: it limits us, refuses our key, or the caller left.
    Unclear,
}

impl Verdict {
    /// What a failed try says.
    pub const fn of(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Refused { .. } => Self::Sound,
            UpstreamError::Failed(_) | UpstreamError::TimedOut | UpstreamError::Busy { .. } => Self::Fault,
            UpstreamError::RateLimited { .. }
            | UpstreamError::Credentials
            | UpstreamError::Resting { .. } => Self::Unclear,
        }
    }
}

/// Whether a call may ask the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Free,
    /// Yes, and its verdict decides for everybody.
    Probe,
    /// Not for this long.
    Refused(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { faults: u32 },
    Open { until: MonotonicTime },
    Probing,
}

/// What changed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing to speak of.
    None,
    /// Calls are kept away from now on.
    Opened,
    /// Calls pass again.
    Closed,
}

/// The state of one upstream.
#[derive(Debug, Clone, Copy)]
pub struct Circuit {
    policy: CircuitPolicy,
    state: State,
}

impl Circuit {
    /// Closed, without a fault.
    pub const fn new(policy: CircuitPolicy) -> Self {
        Self {
            policy,
            state: State::Closed { faults: 0 },
        }
    }

    /// Closed, without a fault.
    pub const fn is_calm(&self) -> bool {
        matches!(self.state, State::Closed { faults: 0 })
    }

    /// Whether calls are kept away, or one of them is just finding out whether they must be.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Probing)
    }

    /// Whether [`Circuit::admit`] would let a call pass.
    pub fn would_admit(&self, now: MonotonicTime) -> bool {
        let mut copy = *self;
        !matches!(copy.admit(now), Admission::Refused(_))
    }

    /// Asks for passage. A probe must be followed by a verdict.
    pub fn admit(&mut self, now: MonotonicTime) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Free,
            State::Open { until } if now >= until => {
                self.state = State::Probing;
                Admission::Probe
            }
            State::Open { until } => Admission::Refused(until.since(now)),
            // The probe will be back soon, and a second one would only cost another caller time.
            State::Probing => Admission::Refused(Duration::ZERO),
        }
    }

    /// Takes what a call found; `probe` says whether it passed as one.
    pub fn take(&mut self, verdict: Verdict, probe: bool, now: MonotonicTime) -> Change {
        match (self.state, verdict) {
            (State::Closed { faults }, Verdict::Fault) => {
                let faults = faults.saturating_add(1);
                if self.policy.faults == 0 {
                    return Change::None;
                }
                if faults < self.policy.faults {
                    self.state = State::Closed { faults };
                    return Change::None;
                }
                self.open(now)
            }
            (State::Closed { .. }, Verdict::Sound) => {
                self.state = State::Closed { faults: 0 };
                Change::None
            }
            (State::Probing, Verdict::Fault) if probe => self.open(now),
            (State::Probing, Verdict::Sound) if probe => {
                self.state = State::Closed { faults: 0 };
                Change::Closed
            }
            (State::Probing, Verdict::Begun) if probe => {
                let faults = self.policy.faults.saturating_sub(1);
                self.state = State::Closed { faults };
                Change::Closed
            }
            (State::Probing, Verdict::Unclear) if probe => {
                self.state = State::Open { until: now };
                Change::None
            }
            // Calls that passed before it opened say nothing new, good or bad.
            (State::Open { .. } | State::Probing, _)
            | (State::Closed { .. }, Verdict::Begun | Verdict::Unclear) => Change::None,
        }
    }

    fn open(&mut self, now: MonotonicTime) -> Change {
        let until = now.plus(self.policy.pause);
        self.state = State::Open { until };
        Change::Opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: CircuitPolicy = CircuitPolicy {
        faults: 3,
        pause: Duration::from_secs(10),
    };
    const START: MonotonicTime = MonotonicTime::from_start(Duration::from_secs(1_000));

    fn opened() -> Circuit {
        let mut circuit = Circuit::new(POLICY);
        for _ in 0..3 {
            circuit.take(Verdict::Fault, false, START);
        }
        circuit
    }

    #[test]
    fn faults_in_a_row_open_it_and_a_sound_answer_begins_the_count_anew() {
        let mut circuit = Circuit::new(POLICY);
        for _ in 0..5 {
            circuit.take(Verdict::Fault, false, START);
            circuit.take(Verdict::Fault, false, START);
            assert_eq!(circuit.take(Verdict::Sound, false, START), Change::None);
        }
        assert!(circuit.is_calm());
        circuit.take(Verdict::Fault, false, START);
        circuit.take(Verdict::Fault, false, START);
        assert_eq!(circuit.take(Verdict::Fault, false, START), Change::Opened);
        assert_eq!(circuit.admit(START), Admission::Refused(POLICY.pause));
    }

    #[test]
    fn after_the_pause_one_call_at_a_time_finds_out_whether_it_recovered() {
        let mut circuit = opened();
        let later = START.plus(POLICY.pause);
        assert_eq!(circuit.admit(later), Admission::Probe);
        assert_eq!(circuit.admit(later), Admission::Refused(Duration::ZERO));
        assert_eq!(circuit.take(Verdict::Fault, true, later), Change::Opened);
        assert_eq!(circuit.admit(later), Admission::Refused(POLICY.pause));

        let later = later.plus(POLICY.pause);
        assert_eq!(circuit.admit(later), Admission::Probe);
        assert_eq!(circuit.take(Verdict::Sound, true, later), Change::Closed);
        assert!(circuit.is_calm());
    }

    #[test]
    fn an_answer_that_only_began_leaves_it_one_fault_from_opening() {
        let mut circuit = opened();
        let later = START.plus(POLICY.pause);
        circuit.admit(later);
        assert_eq!(circuit.take(Verdict::Begun, true, later), Change::Closed);
        assert_eq!(circuit.admit(later), Admission::Free);
        assert_eq!(circuit.take(Verdict::Fault, false, later), Change::Opened);
    }

    #[test]
    fn a_probe_that_learned_nothing_leaves_its_place_to_the_next() {
        let mut circuit = opened();
        let later = START.plus(POLICY.pause);
        circuit.admit(later);
        circuit.take(Verdict::Unclear, true, later);
        assert_eq!(circuit.admit(later), Admission::Probe);
    }

    #[test]
    fn a_policy_of_no_faults_never_opens() {
        let mut circuit = Circuit::new(CircuitPolicy { faults: 0, ..POLICY });
        for _ in 0..100 {
            assert_eq!(circuit.take(Verdict::Fault, false, START), Change::None);
        }
        assert!(circuit.is_calm());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Call,
        End(usize, Verdict),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let verdict = prop_oneof![
            1 => Just(Verdict::Sound),
            1 => Just(Verdict::Begun),
            3 => Just(Verdict::Fault),
            1 => Just(Verdict::Unclear),
        ];
        let step = prop_oneof![
            (0u64..8).prop_map(Step::Wait),
            Just(Step::Call),
            (any::<usize>(), verdict).prop_map(|(which, verdict)| Step::End(which, verdict)),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn whatever_happens_one_probe_runs_at_most_and_nobody_is_kept_away_for_longer_than_a_pause(
            steps in steps(),
        ) {
            let mut circuit = Circuit::new(POLICY);
            let mut now = START;
            // Calls under way: whether each is a probe.
            let mut calls: Vec<bool> = Vec::new();
            let mut in_a_row = 0;
            for step in steps {
                match step {
                    Step::Wait(seconds) => now = now.plus(Duration::from_secs(seconds)),
                    Step::Call => match circuit.admit(now) {
                        Admission::Free => calls.push(false),
                        Admission::Probe => calls.push(true),
                        Admission::Refused(rest) => {
                            prop_assert!(rest <= POLICY.pause);
                            let probing = calls.contains(&true);
                            prop_assert!(probing || circuit.would_admit(now.plus(rest)));
                        }
                    },
                    Step::End(which, verdict) if !calls.is_empty() => {
                        let probe = calls.remove(which % calls.len());
                        in_a_row = match verdict {
                            Verdict::Fault => in_a_row + 1,
                            Verdict::Sound => 0,
                            _ => in_a_row,
                        };
                        let change = circuit.take(verdict, probe, now);
                        if change == Change::Opened {
                            prop_assert!(probe || in_a_row >= 1);
                            prop_assert_eq!(verdict, Verdict::Fault);
                        }
                    }
                    Step::End(..) => {}
                }
                prop_assert!(calls.iter().filter(|probe| **probe).count() <= 1);
            }
        }
    }
}
