//! What ought to happen, in plain Rust: a second telling of the rules, in whole tokens.

use super::steps::{ESCROW, LineStep, PAIR, PayeeStep, Step};
use crate::world::{DAY, DELAY, HOUR};

/// The longest pause, and the rest between two series of pauses, in seconds.
const MAX_PAUSE: u64 = 7 * DAY;
const COOLDOWN: u64 = DELAY + DAY;

/// Where every token is, and what everybody may do.
#[derive(Default)]
pub struct Model {
    pub orgs: [Escrow; PAIR],
    /// What creators may take out.
    pub credited: [u64; PAIR],
    /// What they took out.
    pub creators: [u64; PAIR],
    pub platform: u64,
    pub stray: u64,
    /// What the operator took out.
    pub operator: u64,
    pub next_batch: u64,
    pause: Pauses,
    token_refuses: bool,
}

/// An organization.
#[derive(Default)]
pub struct Escrow {
    pub held: u64,
    /// What its owner took out.
    pub withdrawn: u64,
    /// Most of it and when it is ready, in active time.
    request: Option<(u64, u64)>,
    cap: Cap,
}

struct Cap {
    now: u64,
    /// A lower cap, and when it takes effect in active time.
    next: Option<(u64, u64)>,
    /// A day, and what was taken in it.
    taken: (u64, u64),
}

impl Default for Cap {
    fn default() -> Self {
        Self {
            now: u64::MAX,
            next: None,
            taken: (0, 0),
        }
    }
}

impl Cap {
    fn at(&self, active: u64) -> u64 {
        self.next
            .filter(|(_, from)| active >= *from)
            .map_or(self.now, |(cap, _)| cap)
    }

    fn taken(&self, now: u64) -> u64 {
        if self.taken.0 == now / DAY {
            self.taken.1
        } else {
            0
        }
    }
}

/// The pauses so far.
#[derive(Default)]
struct Pauses {
    series: Option<u64>,
    since: Option<u64>,
    /// Seconds of earlier pauses.
    before: u64,
}

impl Pauses {
    fn end(&self) -> u64 {
        self.series.unwrap_or(0) + MAX_PAUSE
    }

    fn running(&self, now: u64) -> bool {
        self.since.is_some() && now < self.end()
    }

    fn so_far(&self, now: u64) -> u64 {
        self.before + self.since.map_or(0, |since| now.min(self.end()) - since)
    }
}

/// What a step does: whether it succeeds, and what a batch moves and skips.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Refused,
    Done,
    Settled { total: u64, skipped: u64 },
}

impl Model {
    /// Does `step` in a block of time `now`.
    pub fn apply(&mut self, step: &Step, now: u64) -> Outcome {
        let active = now - self.pause.so_far(now);
        let paused = self.pause.running(now);
        let done = match step {
            Step::Deposit { org, amount } => {
                self.orgs[*org].held += amount;
                true
            }
            Step::Settle { lines, ahead } => return self.settle(lines, *ahead, now, active, paused),
            Step::Request { org, amount } => {
                let request = &mut self.orgs[*org].request;
                let free = request.is_none_or(|(_, ready)| active > ready + DAY);
                let accepted = free && *amount > 0;
                if accepted {
                    *request = Some((*amount, active + DELAY));
                }
                accepted
            }
            Step::Execute { org } => self.execute(*org, active, paused),
            Step::Cancel { org } => self.orgs[*org].request.take().is_some(),
            Step::SetCap { org, cap } => {
                let (cap, current) = (cap.unwrap_or(u64::MAX), self.orgs[*org].cap.at(active));
                let slot = &mut self.orgs[*org].cap;
                (slot.now, slot.next) = if cap >= current {
                    (cap, None)
                } else {
                    (current, Some((cap, active + DELAY)))
                };
                true
            }
            Step::CreatorWithdraws { creator } => {
                let moves = !self.token_refuses && self.credited[*creator] > 0;
                if moves {
                    self.creators[*creator] += std::mem::take(&mut self.credited[*creator]);
                }
                moves
            }
            Step::PlatformWithdraws => {
                let moves = !self.token_refuses && self.platform > 0;
                if moves {
                    self.operator += std::mem::take(&mut self.platform);
                }
                moves
            }
            Step::Stray { amount } => {
                self.stray += amount;
                true
            }
            Step::RecoverStray => {
                let moves = !self.token_refuses && self.stray > 0;
                if moves {
                    self.operator += std::mem::take(&mut self.stray);
                }
                moves
            }
            Step::Pause => self.begin_pause(now),
            Step::Unpause => {
                if paused {
                    self.pause.before = self.pause.so_far(now);
                    self.pause.since = None;
                }
                paused
            }
            Step::Wait { .. } => true,
            Step::TokenRefuses(refuses) => {
                self.token_refuses = *refuses;
                true
            }
            Step::Trespass { .. } => false,
        };
        if done { Outcome::Done } else { Outcome::Refused }
    }

    /// How long a step takes beside its block, in seconds.
    pub fn wait(step: &Step) -> u64 {
        if let Step::Wait { hours } = step {
            hours * HOUR
        } else {
            0
        }
    }

    /// All there is at the orchestrator.
    pub fn orchestrator(&self) -> u64 {
        self.platform + self.stray + self.credited.iter().sum::<u64>()
    }

    fn begin_pause(&mut self, now: u64) -> bool {
        let fresh = self.pause.series.is_none() || now >= self.pause.end() + COOLDOWN;
        if self.pause.running(now) || !fresh && now >= self.pause.end() {
            return false;
        }
        self.pause.before = self.pause.so_far(now);
        if fresh {
            self.pause.series = Some(now);
        }
        self.pause.since = Some(now);
        true
    }

    fn execute(&mut self, org: usize, active: u64, paused: bool) -> bool {
        let org = &mut self.orgs[org];
        let Some((amount, ready)) = org.request else {
            return false;
        };
        let paid = amount.min(org.held);
        if paused || active < ready || active > ready + DAY || paid == 0 || self.token_refuses {
            return false;
        }
        org.request = None;
        org.held -= paid;
        org.withdrawn += paid;
        true
    }

    fn settle(&mut self, lines: &[LineStep], ahead: u64, now: u64, active: u64, paused: bool) -> Outcome {
        if paused || ahead != 0 || lines.is_empty() {
            return Outcome::Refused;
        }
        self.next_batch += 1;
        let (mut total, mut skipped) = (0, 0);
        for line in lines {
            match self.line(line, now, active) {
                Some(amount) => total += amount,
                None => skipped += 1,
            }
        }
        Outcome::Settled { total, skipped }
    }

    /// Settles a line, or nothing of it.
    fn line(&mut self, line: &LineStep, now: u64, active: u64) -> Option<u64> {
        let total = line.platform + line.credits.iter().map(|(_, amount)| amount).sum::<u64>();
        if line.org == ESCROW {
            return self.escrow(line, total);
        }
        let payer = self.orgs.get_mut(line.org)?;
        let taken = payer.cap.taken(now) + total;
        let payable = line.credits.iter().all(|(payee, _)| match payee {
            PayeeStep::Org(org) => *org != line.org,
            PayeeStep::Creator(_) => true,
            PayeeStep::Stranger => false,
        });
        if !payable || total > payer.held || total > 0 && (taken > payer.cap.at(active) || self.token_refuses)
        {
            return None;
        }
        payer.held -= total;
        if total > 0 {
            payer.cap.taken = (now / DAY, taken);
        }
        self.platform += line.platform;
        self.credit(line);
        Some(total)
    }

    /// Pays escrow out of the platform's share, or nothing of it.
    fn escrow(&mut self, line: &LineStep, total: u64) -> Option<u64> {
        let payable = line.credits.iter().all(|(payee, amount)| match payee {
            PayeeStep::Org(_) => *amount == 0 || !self.token_refuses,
            PayeeStep::Creator(_) => true,
            PayeeStep::Stranger => false,
        });
        if !payable || line.platform != 0 || total > self.platform {
            return None;
        }
        self.platform -= total;
        self.credit(line);
        Some(total)
    }

    fn credit(&mut self, line: &LineStep) {
        for (payee, amount) in &line.credits {
            match payee {
                PayeeStep::Org(org) => self.orgs[*org].held += amount,
                PayeeStep::Creator(creator) => self.credited[*creator] += amount,
                PayeeStep::Stranger => {}
            }
        }
    }
}
