//! Setting money aside, and giving it back.

use super::{
    SqliteLedger,
    budgets::Unread,
    memory::{Hold, Money, State},
    scale::capped,
};
use crate::columns::Columns;
use haithe_billing::hold::{BudgetSubject, HoldError, HoldRequest};
use haithe_kernel::{CallId, StoreError, Usdt};

/// Times a budget's window may be forgotten again while it is being read, before that is an error.
const ATTEMPTS: usize = 8;

impl SqliteLedger {
    pub(super) async fn set_aside(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.decided(|money| money.try_hold(&request)).await
    }

    pub(super) async fn spendable(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.decided(|money| money.try_available(&request)).await
    }

    /// Decides again after each budget that had to be read first.
    async fn decided(
        &self,
        decide: impl Fn(&Money) -> Result<Attempt, HoldError> + Send,
    ) -> Result<Usdt, HoldError> {
        for _ in 0..ATTEMPTS {
            match decide(self.money())? {
                Attempt::Granted(granted) => return Ok(granted),
                Attempt::Read(unread) => {
                    let sum = self.spent_in(unread).await?;
                    self.money().lock()?.budgets.read(unread, sum);
                }
            }
        }
        Err(StoreError::new("the budgets change faster than they can be read").into())
    }

    async fn spent_in(&self, unread: Unread) -> Result<i128, StoreError> {
        // Sums of halves: a sum in 64 bits could overflow.
        let (sql, id) = match unread.subject {
            BudgetSubject::ApiKey(key) => (
                "SELECT coalesce(sum(charged >> 32), 0), coalesce(sum(charged & 4294967295), 0)
                 FROM usage_records WHERE api_key_id = ? AND finished_at >= ? AND id <= ?",
                key.0,
            ),
            BudgetSubject::Project(project) => (
                "SELECT coalesce(sum(charged >> 32), 0), coalesce(sum(charged & 4294967295), 0)
                 FROM usage_records WHERE project_id = ? AND finished_at >= ? AND id <= ?",
                project.0,
            ),
        };
        let statement = sqlx::query(sql)
            .bind(id)
            .bind(unread.since.micros())
            .bind(unread.counted_to);
        let Some(row) = self.db.optional(statement).await? else {
            return Ok(0);
        };
        let mut columns = Columns::of(&row);
        let (high, low): (i64, i64) = (
            columns.read("usage_records.charged")?,
            columns.read("usage_records.charged")?,
        );
        Ok((i128::from(high) << 32) + i128::from(low))
    }
}

enum Attempt {
    Granted(Usdt),
    Read(Unread),
}

/// A decision that was not acted on.
enum Decision {
    Grant {
        amount: i128,
        subjects: Vec<BudgetSubject>,
    },
    Read(Unread),
}

impl Money {
    /// One atomic decision, and its hold.
    ///
    /// A call that holds already gets a new decision in which its own hold is free; when that is
    /// refused, the old hold stays.
    fn try_hold(&self, request: &HoldRequest) -> Result<Attempt, HoldError> {
        let mut state = self.lock()?;
        let (amount, subjects) = match self.decide_hold(&mut state, request)? {
            Decision::Read(unread) => return Ok(Attempt::Read(unread)),
            Decision::Grant { amount, subjects } => (amount, subjects),
        };
        state.take_hold(request.call);
        let hold = Hold {
            org: request.org,
            amount,
            subjects,
        };
        state.put_hold(request.call, hold);
        Ok(Attempt::Granted(capped(amount)))
    }

    /// The same decision without a hold.
    fn try_available(&self, request: &HoldRequest) -> Result<Attempt, HoldError> {
        let mut state = self.lock()?;
        Ok(match self.decide_hold(&mut state, request)? {
            Decision::Read(unread) => Attempt::Read(unread),
            Decision::Grant { amount, .. } => Attempt::Granted(capped(amount)),
        })
    }

    /// One decision over the balance, the daily cap and every budget.
    fn decide_hold(&self, state: &mut State, request: &HoldRequest) -> Result<Decision, HoldError> {
        if state.failing {
            return Err(StoreError::new("the database cannot be written for the moment").into());
        }
        let day = self.day(state);
        let most = i128::from(request.most.nano()).max(0);
        let least = i128::from(request.least.nano()).clamp(0, most);
        let own = state.holds.get(&request.call).cloned();
        let own_in = |hold: &Hold| if hold.org == request.org { hold.amount } else { 0 };
        let own_amount = own.as_ref().map_or(0, own_in);

        let mut budgets = Vec::with_capacity(request.budgets.len());
        for claim in &request.budgets {
            let State {
                budgets: known,
                captures,
                newest_usage,
                ..
            } = &mut *state;
            let unstored = || State::unstored(captures, claim.subject, claim.since);
            match known.used(claim.subject, claim.since, *newest_usage, unstored) {
                Ok(used) => {
                    let is_own = own
                        .as_ref()
                        .is_some_and(|hold| hold.subjects.contains(&claim.subject));
                    let own = if is_own {
                        own.as_ref().map_or(0, |hold| hold.amount)
                    } else {
                        0
                    };
                    budgets.push((claim.subject, i128::from(claim.limit.nano()) - (used - own)));
                }
                Err(unread) => return Ok(Decision::Read(unread)),
            }
        }

        let Some(money) = state.orgs.get(&request.org) else {
            return Err(HoldError::Funds {
                spendable: Usdt::ZERO,
                least: request.least,
            });
        };
        if money.facts.suspended {
            return Err(HoldError::Suspended);
        }
        let spendable = money.spendable(own_amount);
        if spendable < least {
            return Err(HoldError::Funds {
                spendable: capped(spendable),
                least: request.least,
            });
        }
        let mut granted = most.min(spendable);
        if let Some(left) = money
            .facts
            .cap_left(day, money.unsettled, money.held - own_amount)
        {
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

        Ok(Decision::Grant {
            amount: granted,
            subjects,
        })
    }

    /// Gives a hold back; unknown calls are ignored.
    pub(super) fn release(&self, call: CallId) {
        let mut state = self.lock_anyway();
        state.take_hold(call);
        if let Some(capture) = state.captures.get_mut(&call) {
            capture.released = true;
        }
    }
}
