//! What the index knows of withdrawals and daily caps, and what follows from the contracts' time.

use crate::chain::{ChainAmount, Hash32};
use haithe_kernel::{Timestamp, TokenUnits, WalletAddress};
use std::time::Duration;

/// How long a withdrawal can be executed once it is ready: the contracts' `WITHDRAWAL_WINDOW`.
pub const WITHDRAWAL_WINDOW: Duration = Duration::from_secs(86_400);

/// The contracts' active time: time of blocks less all time spent paused. Delays are counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveClock {
    /// Time of the newest indexed block.
    pub head: Timestamp,
    /// Time spent paused up to then.
    pub paused_for: Duration,
    /// When the pause that is in force ends by itself, if one is.
    pub paused_until: Option<Timestamp>,
}

impl ActiveClock {
    /// Whether the contracts are paused at `now`.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.paused_until.is_some_and(|until| self.moment(now) < until)
    }

    /// Active time at `now`. A chain whose clock is ahead of ours is believed.
    pub fn active(&self, now: Timestamp) -> Timestamp {
        self.moment(now).minus(self.paused_by(now))
    }

    /// When active time reaches `active`, as far as can be known at `now`: later by as long as a
    /// pause lasts.
    pub fn clock_time(&self, active: Timestamp, now: Timestamp) -> Timestamp {
        active.plus(self.paused_by(now))
    }

    fn moment(&self, now: Timestamp) -> Timestamp {
        now.max(self.head)
    }

    fn paused_by(&self, now: Timestamp) -> Duration {
        let until = self.paused_until.map(|until| until.min(self.moment(now)));
        self.paused_for + until.map_or(Duration::ZERO, |until| until.since(self.head))
    }
}

/// How a withdrawal ended, from first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawalEnd {
    /// Paid: this many base units.
    Executed(ChainAmount),
    /// Taken back by the owner.
    Cancelled,
    /// Neither, until its window had passed.
    Void,
}

/// A request to withdraw, as the chain has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its number here.
    pub id: i64,
    /// The transaction that requested it.
    pub tx: Hash32,
    /// The time of its block.
    pub requested_at: Timestamp,
    /// Who is paid.
    pub to: WalletAddress,
    /// The most that is paid, in base units.
    pub amount: ChainAmount,
    /// Active time from which it can be executed.
    pub ready_at: Timestamp,
    /// How it ended, if it did.
    pub end: Option<WithdrawalEnd>,
    /// The end is final: what it freed can be spent.
    pub settled: bool,
}

/// Where a withdrawal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawalState {
    /// Announced; its delay runs.
    Requested,
    /// Its owner can execute it now.
    Executable,
    /// Paid.
    Executed,
    /// Taken back.
    Cancelled,
    /// Its window has passed.
    Expired,
}

impl WithdrawalState {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Executable => "executable",
            Self::Executed => "executed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl Withdrawal {
    /// Where it stands once active time is `active`.
    pub fn state(&self, active: Timestamp) -> WithdrawalState {
        match self.end {
            Some(WithdrawalEnd::Executed(_)) => WithdrawalState::Executed,
            Some(WithdrawalEnd::Cancelled) => WithdrawalState::Cancelled,
            Some(WithdrawalEnd::Void) => WithdrawalState::Expired,
            None if active < self.ready_at => WithdrawalState::Requested,
            None if active <= self.ready_at.plus(WITHDRAWAL_WINDOW) => WithdrawalState::Executable,
            None => WithdrawalState::Expired,
        }
    }
}

/// A withdrawal with its times on everybody's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithdrawalStatus {
    /// The request.
    pub withdrawal: Withdrawal,
    /// Where it stands.
    pub state: WithdrawalState,
    /// From when it can be executed; later by as long as a pause lasts.
    pub executable_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

impl WithdrawalStatus {
    /// Seen at `now`.
    pub fn at(withdrawal: Withdrawal, clock: &ActiveClock, now: Timestamp) -> Self {
        let expires = withdrawal.ready_at.plus(WITHDRAWAL_WINDOW);
        Self {
            withdrawal,
            state: withdrawal.state(clock.active(now)),
            executable_at: clock.clock_time(withdrawal.ready_at, now),
            expires_at: clock.clock_time(expires, now),
        }
    }

    /// Whether it keeps another one from being requested.
    pub fn is_open(&self) -> bool {
        matches!(
            self.state,
            WithdrawalState::Requested | WithdrawalState::Executable
        )
    }
}

/// A `DailyCapChanged`. Times are active time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapChange {
    /// When it was said.
    pub said_at: Timestamp,
    /// From when it holds.
    pub effective_at: Timestamp,
    /// The most that may be settled in a day (UTC); `None` is no cap.
    pub cap: Option<TokenUnits>,
}

/// The most that may be settled in a day (UTC), in base units; `None` is no cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DailyCap {
    /// In force.
    pub current: Option<TokenUnits>,
    /// A lower one that is not in force yet, and from when it is. Calls are admitted under it already.
    pub scheduled: Option<(TokenUnits, Timestamp)>,
}

impl DailyCap {
    /// What these changes, oldest first, come to once active time is `active`; as the contract has it.
    pub fn after(changes: &[CapChange], active: Timestamp) -> Self {
        let mut cap = Self::default();
        for change in changes {
            cap.reach(change.said_at);
            match change.cap {
                Some(lower) if change.effective_at > change.said_at => {
                    cap.scheduled = Some((lower, change.effective_at));
                }
                raised => {
                    cap = Self {
                        current: raised,
                        scheduled: None,
                    }
                }
            }
        }
        cap.reach(active);
        cap
    }

    fn reach(&mut self, active: Timestamp) {
        if let Some((lower, _)) = self.scheduled.take_if(|(_, from)| *from <= active) {
            self.current = Some(lower);
        }
    }
}
