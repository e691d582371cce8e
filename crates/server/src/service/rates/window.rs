//! One subject's tokens: what was taken in each second of the last minute.
//!
//! A rate that is taken by estimate and corrected when the call ends, perhaps a minute later, must
//! know when it was taken: what has left the minute by then is back already, and giving it back again
//! would make tokens out of nothing. One number per subject (GCRA) cannot tell; a minute's seconds can.

use super::{Standing, table::Meter};
use haithe_kernel::MonotonicTime;
use std::{collections::VecDeque, time::Duration};

/// A second's takes leave the minute when the last moment of that second is a minute ago.
const SECONDS: u64 = 61;

/// What was taken within the last minute. Only seconds in which something was taken are kept.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// (second of monotonic time, taken in it), oldest first.
    seconds: VecDeque<(u64, u64)>,
    used: u64,
}

impl Window {
    /// Takes `amount` of `quota`, or says how long until it can be taken.
    pub(super) fn take(
        &mut self,
        quota: u32,
        amount: u64,
        now: MonotonicTime,
    ) -> Result<Standing, (Standing, Duration)> {
        self.forget(now);
        let quota = u64::from(quota);
        let beyond = self.used.saturating_add(amount.min(quota)).saturating_sub(quota);
        if beyond > 0 {
            return Err((self.standing(quota, now), self.room_in(beyond, now)));
        }
        self.add(amount, now);
        Ok(self.standing(quota, now))
    }

    /// Takes `amount` whether or not it is there.
    pub(super) fn owe(&mut self, amount: u64, now: MonotonicTime) {
        self.forget(now);
        self.add(amount, now);
    }

    /// Gives back what was taken `at` then; nothing, once that has left the minute by itself.
    pub(super) fn give_back(&mut self, amount: u64, at: MonotonicTime, now: MonotonicTime) {
        self.forget(now);
        let second = second_of(at);
        if let Some((_, taken)) = self.seconds.iter_mut().find(|(second_, _)| *second_ == second) {
            let back = amount.min(*taken);
            *taken -= back;
            self.used = self.used.saturating_sub(back);
        }
    }

    /// Where `quota` stands.
    pub(super) fn look(&mut self, quota: u32, now: MonotonicTime) -> Standing {
        self.forget(now);
        self.standing(quota.into(), now)
    }

    fn add(&mut self, amount: u64, now: MonotonicTime) {
        // Callers read the clock before they have the lock: the latest second known is not left again.
        let second = second_of(now);
        let second = self.seconds.back().map_or(second, |(last, _)| second.max(*last));
        match self.seconds.back_mut() {
            Some((last, taken)) if *last == second => *taken = taken.saturating_add(amount),
            _ => self.seconds.push_back((second, amount)),
        }
        self.used = self.used.saturating_add(amount);
    }

    fn forget(&mut self, now: MonotonicTime) {
        while let Some((second, taken)) = self.seconds.front().copied() {
            if second_of(now).saturating_sub(second) < SECONDS && taken > 0 {
                break;
            }
            self.seconds.pop_front();
            self.used = self.used.saturating_sub(taken);
        }
    }

    /// Until `amount` of what is in use has left the minute.
    fn room_in(&self, amount: u64, now: MonotonicTime) -> Duration {
        let mut left = amount;
        for (second, taken) in &self.seconds {
            if *taken >= left {
                return leaves_in(*second, now);
            }
            left -= taken;
        }
        Duration::ZERO
    }

    fn standing(&self, quota: u64, now: MonotonicTime) -> Standing {
        Standing {
            left: quota.saturating_sub(self.used),
            full_in: self.whole_in(now),
        }
    }
}

const fn second_of(at: MonotonicTime) -> u64 {
    at.since_start().as_secs()
}

const fn leaves_in(second: u64, now: MonotonicTime) -> Duration {
    Duration::from_secs(second.saturating_add(SECONDS)).saturating_sub(now.since_start())
}

impl Meter for Window {
    fn whole_in(&self, now: MonotonicTime) -> Duration {
        let last = self.seconds.iter().rev().find(|(_, taken)| *taken > 0);
        last.map_or(Duration::ZERO, |(second, _)| leaves_in(*second, now))
    }
}
