//! The ledger in memory: every decision about money is made here, under one short lock.
//!
//! Balances of organizations are the sums of their postings plus the captures that are decided and
//! on their way to disk. Holds exist nowhere else. Nothing here waits: no input, no output.

use super::{budgets::Budgets, facts::OrgFacts, spending::Spending};
use haithe_billing::{capture::Captured, hold::BudgetSubject, ledger::Account, receipt::ReceiptContext};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, Clock, OrgId, ProjectId, StoreError, Timestamp};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::oneshot;

/// Numbers, in the database, of the accounts between which captures move money.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OrgAccounts {
    pub(crate) available: i64,
    pub(crate) unsettled: i64,
}

/// An organization's money. Amounts are nano-USDT.
#[derive(Debug)]
pub(crate) struct OrgMoney {
    pub(crate) accounts: OrgAccounts,
    pub(crate) receipt: Arc<ReceiptContext>,
    /// Balance of `chain/{org}`: what the contract holds, as a negative number.
    pub(crate) chain: i128,
    pub(crate) available: i128,
    pub(crate) unsettled: i128,
    pub(crate) withdrawing: i128,
    pub(crate) held: i128,
    /// Captured, all time.
    pub(crate) spent: i128,
    pub(crate) facts: OrgFacts,
}

impl OrgMoney {
    /// What a decision may use, when `own` of what is held is the decider's own.
    pub(crate) fn spendable(&self, own: i128) -> i128 {
        if self.facts.halted {
            0
        } else {
            (self.available - (self.held - own)).max(0)
        }
    }
}

/// Money set aside for a call.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) org: OrgId,
    pub(crate) amount: i128,
    pub(crate) subjects: Vec<BudgetSubject>,
}

pub(crate) type CaptureAnswer = Result<Captured, StoreError>;

/// A capture that is decided and not yet on disk.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) charged: i128,
    pub(crate) api_key: Option<ApiKeyId>,
    pub(crate) project: ProjectId,
    pub(crate) at: Timestamp,
    /// Callers that asked for the same call again.
    pub(crate) waiters: Vec<oneshot::Sender<CaptureAnswer>>,
    /// Its hold was given back meanwhile: a failed capture must not bring it back.
    pub(crate) released: bool,
}

impl InFlight {
    fn is_of(&self, subject: BudgetSubject) -> bool {
        match subject {
            BudgetSubject::ApiKey(key) => self.api_key == Some(key),
            BudgetSubject::Project(project) => self.project == project,
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) orgs: HashMap<OrgId, OrgMoney>,
    pub(crate) holds: HashMap<CallId, Hold>,
    pub(crate) captures: HashMap<CallId, InFlight>,
    pub(crate) budgets: Budgets,
    pub(crate) spending: Spending,
    /// The newest usage record on disk.
    pub(crate) newest_usage: i64,
    /// The UTC day of the newest indexed block.
    pub(crate) chain_day: i64,
    /// Nothing can be written for the moment: what is served now could not be charged.
    pub(crate) failing: bool,
    /// The writer has ended: nothing can be promised any more.
    pub(crate) stopped: bool,
}

impl State {
    /// Charges of this subject since then that are decided and not on disk.
    pub(crate) fn unstored(
        captures: &HashMap<CallId, InFlight>,
        subject: BudgetSubject,
        since: Timestamp,
    ) -> i128 {
        let counts = |capture: &&InFlight| capture.at >= since && capture.is_of(subject);
        captures
            .values()
            .filter(counts)
            .map(|capture| capture.charged)
            .sum()
    }

    /// Moves between accounts; those of others than organizations are kept on disk only.
    pub(crate) fn transfer(&mut self, source: Account, target: Account, amount: i128) {
        self.post(source, -amount);
        self.post(target, amount);
    }

    fn post(&mut self, account: Account, amount: i128) {
        let balance = match account {
            Account::ChainOrg(org) => self.orgs.get_mut(&org).map(|money| &mut money.chain),
            Account::Available(org) => self.orgs.get_mut(&org).map(|money| &mut money.available),
            Account::Unsettled(org) => self.orgs.get_mut(&org).map(|money| &mut money.unsettled),
            Account::Withdrawing(org) => self.orgs.get_mut(&org).map(|money| &mut money.withdrawing),
            Account::ChainOrchestrator
            | Account::Creator(_)
            | Account::Escrow(_)
            | Account::Platform
            | Account::PlatformLoss
            | Account::Dust => None,
        };
        if let Some(balance) = balance {
            *balance += amount;
        }
    }

    /// Gives a hold back; says what it was.
    pub(crate) fn take_hold(&mut self, call: CallId) -> Option<Hold> {
        let hold = self.holds.remove(&call)?;
        self.count_hold(&hold, -hold.amount);
        Some(hold)
    }

    /// Sets a hold.
    pub(crate) fn put_hold(&mut self, call: CallId, hold: Hold) {
        self.count_hold(&hold, hold.amount);
        self.holds.insert(call, hold);
    }

    fn count_hold(&mut self, hold: &Hold, amount: i128) {
        if let Some(money) = self.orgs.get_mut(&hold.org) {
            money.held += amount;
        }
        for subject in &hold.subjects {
            self.budgets.hold(*subject, amount);
        }
    }
}

/// The state behind its lock, and the clock that tells the day.
pub(crate) struct Money {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

impl Money {
    pub(crate) fn new(state: State, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::new(state),
            clock,
        }
    }

    /// The state, while the writer lives.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        // A panic under the lock may have left half a decision: as bad as a dead writer.
        match self.state.lock() {
            Ok(state) if !state.stopped => Ok(state),
            _ => Err(stopped()),
        }
    }

    /// The state whatever happened, for giving back and for ending.
    pub(crate) fn lock_anyway(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The day for daily caps: the wall clock's, or the chain's where that is ahead.
    pub(crate) fn day(&self, state: &State) -> i64 {
        day_of(self.clock.now()).max(state.chain_day)
    }
}

/// Days since 1970, UTC; the contract counts the same way.
pub(crate) fn day_of(at: Timestamp) -> i64 {
    at.seconds().div_euclid(86_400)
}

/// The answer after the writer's end.
pub(crate) fn stopped() -> StoreError {
    StoreError::new("the database writer has stopped; restart the server")
}
