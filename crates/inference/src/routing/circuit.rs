//! When calls are kept away from a model, and how it is found to have recovered.
//!
//! A circuit is shared by all payers, and none of them may open it for the others: a request that makes
//! a provider fail is cheap to write. So faults are remembered per payer, an organization's owner.
//!
//! * **For one payer.** As many faults of its own in a row as the policy says keep this payer away, and
//!   nobody else, for the policy's pause. Then one call of it at a time is a probe.
//! * **For everybody.** The circuit opens when the faults since anybody's last complete answer reach the
//!   policy's number, coming from at least [`DISTINCT_PAYERS`] payers, none of whom counts for more
//!   than a third of them (rounded up). So two wallets of one tenant are not enough, however often they
//!   call: without a fault of somebody else they open nothing. After the pause each payer may send one probe at a time, at most
//!   [`MOST_PROBES`] together: an answer to any of them closes the circuit; it opens anew once the
//!   probes of [`DISTINCT_PAYERS`] payers have failed. A payer whose probe failed rests alone.
//!
//! In an outage while one or two payers call, the circuit stays closed for the others, and the calls of
//! those payers fail fast. Only what is the upstream's own fault counts: see [`Verdict::of`]. What is
//! remembered is bounded: [`MOST_PAYERS`] payers, for [`WINDOW`] after their last fault.

use crate::ports::UpstreamError;
use haithe_kernel::{MonotonicTime, WalletAddress};
use std::time::Duration;

/// Payers whose faults open a circuit for everybody, at least.
pub const DISTINCT_PAYERS: u32 = 3;
/// Payers whose faults one circuit remembers; beyond that the oldest fault is forgotten.
pub const MOST_PAYERS: usize = 64;
/// Probes under way at once while a circuit is open.
pub const MOST_PROBES: usize = 4;
/// How long a payer's last fault is remembered.
pub const WINDOW: Duration = Duration::from_secs(600);

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

/// What a call says about the upstream.
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
            UpstreamError::Refused { .. } | UpstreamError::TooLarge { .. } => Self::Sound,
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
    /// Yes, and others wait for its verdict.
    Probe,
    /// Not for this long.
    Refused(Duration),
}

/// Whether calls of every payer are kept away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Until then; from then on until a probe's answer begins, only probes pass.
    Open {
        until: MonotonicTime,
    },
}

/// What is remembered of a payer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    payer: WalletAddress,
    /// Its faults since its own last complete answer.
    in_a_row: u32,
    /// Its faults since anybody's last complete answer, or since the circuit opened.
    recent: u32,
    /// Until when this payer is kept away; once that is over, its next call is a probe.
    resting: Option<MonotonicTime>,
    /// A probe of it is under way.
    probing: bool,
    /// When its last fault, or its probe, was.
    last: MonotonicTime,
}

impl Record {
    const fn says_nothing(&self) -> bool {
        self.in_a_row == 0 && self.recent == 0 && self.resting.is_none() && !self.probing
    }
}

/// What changed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing to speak of.
    None,
    /// Calls of this payer are kept away from now on.
    OpenedForPayer,
    /// Calls of everybody are kept away from now on.
    Opened,
    /// Calls of everybody pass again.
    Closed,
}

/// The rules, without a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circuit {
    policy: CircuitPolicy,
    state: State,
    records: Vec<Record>,
}

impl Circuit {
    /// Closed.
    pub const fn new(policy: CircuitPolicy) -> Self {
        Self {
            policy,
            state: State::Closed,
            records: Vec::new(),
        }
    }

    /// Closed, without a fault that is remembered.
    pub const fn is_calm(&self) -> bool {
        matches!(self.state, State::Closed) && self.records.is_empty()
    }

    /// Whether calls of everybody are kept away, or probes are finding out whether they must be.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Whether [`Circuit::admit`] would let a call of this payer pass.
    pub fn would_admit(&self, payer: WalletAddress, now: MonotonicTime) -> bool {
        !matches!(self.decide(payer, now), Admission::Refused(_))
    }

    /// Decides about a call of this payer. A probe must be followed by a verdict.
    pub fn admit(&mut self, payer: WalletAddress, now: MonotonicTime) -> Admission {
        let admission = self.decide(payer, now);
        if admission == Admission::Probe {
            self.note(payer, now, |record| {
                record.probing = true;
                record.last = now;
            });
        }
        admission
    }

    fn decide(&self, payer: WalletAddress, now: MonotonicTime) -> Admission {
        let known = self.records.iter().find(|record| record.payer == payer);
        let own = known.and_then(|record| record.resting);
        if let Some(rest) = own.and_then(|until| Self::rest(until, now)) {
            return Admission::Refused(rest);
        }
        let open = match self.state {
            State::Closed => false,
            State::Open { until } => match Self::rest(until, now) {
                Some(rest) => return Admission::Refused(rest),
                None => true,
            },
        };
        if !open && own.is_none() {
            return Admission::Free;
        }
        let probes = self.records.iter().filter(|record| record.probing).count();
        // A probe will be back soon, and one more would only cost another caller time.
        if known.is_some_and(|record| record.probing) || (open && probes >= MOST_PROBES) {
            return Admission::Refused(Duration::ZERO);
        }
        Admission::Probe
    }

    /// What is left of a rest; `None` when it is over.
    fn rest(until: MonotonicTime, now: MonotonicTime) -> Option<Duration> {
        (now < until).then(|| until.since(now))
    }

    /// Takes what a call of this payer found; `probe` says whether it passed as one.
    pub fn take(
        &mut self,
        payer: WalletAddress,
        verdict: Verdict,
        probe: bool,
        now: MonotonicTime,
    ) -> Change {
        self.forget(now);
        if probe && let Some(record) = self.records.iter_mut().find(|record| record.payer == payer) {
            record.probing = false;
        }
        let change = match verdict {
            // Calls that passed before it opened say nothing new, good or bad.
            _ if self.is_open() && !probe => Change::None,
            Verdict::Fault => self.fault(payer, probe, now),
            Verdict::Sound => self.answered(payer, 0),
            // It is one fault away from resting again until an answer was complete.
            Verdict::Begun if probe => self.answered(payer, self.policy.faults.saturating_sub(1)),
            Verdict::Begun | Verdict::Unclear => Change::None,
        };
        self.records.retain(|record| !record.says_nothing());
        change
    }

    fn fault(&mut self, payer: WalletAddress, probe: bool, now: MonotonicTime) -> Change {
        let CircuitPolicy { faults, pause } = self.policy;
        if faults == 0 {
            return Change::None;
        }
        let mut rests = probe;
        self.note(payer, now, |record| {
            record.last = now;
            record.in_a_row = record.in_a_row.saturating_add(1);
            record.recent = record.recent.saturating_add(1);
            rests |= record.in_a_row >= faults;
            if rests {
                record.resting = Some(now.plus(pause));
            }
        });
        let blaming = self.records.iter().filter(|record| record.recent > 0);
        let share = faults.div_ceil(DISTINCT_PAYERS);
        let (payers, sum) = blaming.fold((0u32, 0u32), |(payers, sum), record| {
            let counted = record.recent.min(share);
            (payers.saturating_add(1), sum.saturating_add(counted))
        });
        if payers >= DISTINCT_PAYERS && (self.is_open() || sum >= faults) {
            self.state = State::Open {
                until: now.plus(pause),
            };
            self.forgive();
            return Change::Opened;
        }
        if rests {
            Change::OpenedForPayer
        } else {
            Change::None
        }
    }

    /// An answer to this payer, which has `in_a_row` faults left.
    fn answered(&mut self, payer: WalletAddress, in_a_row: u32) -> Change {
        self.forgive();
        if let Some(record) = self.records.iter_mut().find(|record| record.payer == payer) {
            record.in_a_row = in_a_row;
            record.resting = None;
        }
        if self.is_open() {
            self.state = State::Closed;
            return Change::Closed;
        }
        Change::None
    }

    /// Everybody's faults are counted anew; each payer's own row stays.
    fn forgive(&mut self) {
        for record in &mut self.records {
            record.recent = 0;
        }
    }

    fn forget(&mut self, now: MonotonicTime) {
        self.records
            .retain(|record| record.probing || now.since(record.last) < WINDOW);
    }

    /// Changes what is remembered of this payer; a new record takes the place of the oldest one where
    /// there are too many.
    fn note(&mut self, payer: WalletAddress, now: MonotonicTime, change: impl FnOnce(&mut Record)) {
        if let Some(known) = self.records.iter_mut().find(|record| record.payer == payer) {
            return change(known);
        }
        let mut new = Record {
            payer,
            in_a_row: 0,
            recent: 0,
            resting: None,
            probing: false,
            last: now,
        };
        change(&mut new);
        if self.records.len() < MOST_PAYERS {
            return self.records.push(new);
        }
        let oldest = self
            .records
            .iter_mut()
            .min_by_key(|record| (record.probing, record.last));
        if let Some(oldest) = oldest {
            *oldest = new;
        }
    }
}

#[cfg(test)]
mod tests;
