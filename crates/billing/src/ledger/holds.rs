//! Setting money aside, and giving it back.

use super::{HoldRecord, LedgerState, UnreadBudget, capped, state::InFlight};
use crate::hold::{BudgetClaim, BudgetSubject, HoldError, HoldRequest};
use haithe_kernel::{CallId, Timestamp, Usdt};

/// A decision over money for a call that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldDecision<T> {
    /// Granted.
    Granted(T),
    /// A budget must be read first, and the decision taken again; nothing has changed.
    Unread(UnreadBudget),
}

/// What a granted hold means for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The new hold.
    pub hold: HoldRecord,
    /// The hold that the call had before, which the new one replaces.
    pub replaced: Option<HoldRecord>,
}

/// A decision that was not acted on: how much, in nano-USDT, and the budgets that count it.
struct Grant {
    nano: i128,
    subjects: Vec<BudgetSubject>,
}

impl LedgerState {
    /// One atomic decision over the balance, the daily cap and every budget, and its hold: as much of `most` as
    /// there is, and at least `least`.
    ///
    /// A call that holds already gets a new decision in which its own hold is free; when that is refused, the old
    /// hold stays. `now` is the wall clock's time; caps count its UTC day, or the chain's where that is ahead.
    ///
    /// # Errors
    /// Every refusal of [`HoldError`] but [`SettlementDelayed`](HoldError::SettlementDelayed) and
    /// [`Store`](HoldError::Store); nothing is set aside then.
    pub fn hold(&mut self, request: &HoldRequest, now: Timestamp) -> Result<HoldDecision<Held>, HoldError> {
        let Grant { nano, subjects } = match self.grant(request, now)? {
            HoldDecision::Unread(unread) => return Ok(HoldDecision::Unread(unread)),
            HoldDecision::Granted(grant) => grant,
        };
        let replaced = self.take_hold(request.call);
        let hold = HoldRecord {
            call: request.call,
            org: request.org,
            amount: capped(nano),
            subjects,
        };
        self.add_hold(hold.clone());
        Ok(HoldDecision::Granted(Held { hold, replaced }))
    }

    /// The same decision as [`hold`](Self::hold), without a hold.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub fn available(
        &mut self,
        request: &HoldRequest,
        now: Timestamp,
    ) -> Result<HoldDecision<Usdt>, HoldError> {
        Ok(match self.grant(request, now)? {
            HoldDecision::Unread(unread) => HoldDecision::Unread(unread),
            HoldDecision::Granted(grant) => HoldDecision::Granted(capped(grant.nano)),
        })
    }

    /// Gives a hold back, and returns it for the store to remove. Unknown calls, also those that were captured, are
    /// ignored; a capture in flight that is taken back later does not restore its hold.
    pub fn release(&mut self, call: CallId) -> Option<HoldRecord> {
        if let Some(capture) = self.captures.get_mut(&call) {
            capture.released = true;
        }
        self.take_hold(call)
    }

    fn grant(&mut self, request: &HoldRequest, now: Timestamp) -> Result<HoldDecision<Grant>, HoldError> {
        let most = i128::from(request.most.nano()).max(0);
        let least = i128::from(request.least.nano()).clamp(0, most);

        let mut budgets = Vec::with_capacity(request.budgets.len());
        for claim in &request.budgets {
            match self.budget_left(request.call, claim) {
                Ok(left) => budgets.push((claim.subject, left)),
                Err(unread) => return Ok(HoldDecision::Unread(unread)),
            }
        }

        let day = self.day(now);
        let own = self.holds.get(&request.call);
        let own = own.map_or(0, |hold| {
            if hold.org == request.org {
                i128::from(hold.amount.nano())
            } else {
                0
            }
        });
        let Some(money) = self.orgs.get(&request.org) else {
            return Err(HoldError::Funds {
                spendable: Usdt::ZERO,
                least: request.least,
            });
        };
        if money.facts.is_suspended() {
            return Err(HoldError::Suspended);
        }
        let spendable = money.spendable(own);
        if spendable < least {
            return Err(HoldError::Funds {
                spendable: capped(spendable),
                least: request.least,
            });
        }
        let mut granted = most.min(spendable);
        if let Some(left) = money.facts.cap_left(day, money.unsettled, money.held - own) {
            let left = left.max(0);
            if left < least {
                return Err(HoldError::DailyCap { left: capped(left) });
            }
            granted = granted.min(left);
        }
        let mut subjects = Vec::with_capacity(budgets.len());
        for (subject, left) in budgets {
            let left = left.max(0);
            if left < least {
                return Err(HoldError::Budget {
                    subject,
                    left: capped(left),
                });
            }
            granted = granted.min(left);
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
        Ok(HoldDecision::Granted(Grant {
            nano: granted,
            subjects,
        }))
    }

    /// What a budget leaves beside everything that is held, decided or stored, the call's own hold left out.
    fn budget_left(&mut self, call: CallId, claim: &BudgetClaim) -> Result<i128, UnreadBudget> {
        let Self {
            budgets, captures, ..
        } = self;
        let counts = |capture: &&InFlight| capture.at >= claim.since && capture.is_of(claim.subject);
        let unstored = || {
            captures
                .values()
                .filter(counts)
                .map(|capture| capture.charged)
                .sum()
        };
        let used = budgets.used(claim.subject, claim.since, self.stored, unstored)?;
        let own = self.holds.get(&call);
        let own = own.map_or(0, |hold| {
            if hold.subjects.contains(&claim.subject) {
                i128::from(hold.amount.nano())
            } else {
                0
            }
        });
        Ok(i128::from(claim.limit.nano()) - (used - own))
    }
}
