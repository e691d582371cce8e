//! The ledger's state: organizations' money, holds, captures in flight, budgets and spending.
//!
//! A store either keeps one state in memory and applies every command to it, or loads the part that a group of
//! commands is about from its rows, applies the group and writes the effects. Both see the same decisions.

use super::{
    Account, LedgerTotals, OrgFacts, OrgMoney, SpendingSum, StoreMark, TokenScale, Transfer, UnreadBudget,
    budgets::Budgets, capped, report::Balance, spending::Spending,
};
use crate::{hold::BudgetSubject, usage::Day};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, OrgId, ProjectId, Timestamp, Usdt};
use std::collections::{HashMap, HashSet};

/// Money set aside for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    /// The call.
    pub call: CallId,
    /// The payer.
    pub org: OrgId,
    /// How much, in nano-USDT.
    pub amount: Usdt,
    /// The budgets that count it.
    pub subjects: Vec<BudgetSubject>,
}

/// A capture that is decided and not yet stored. Its charge is part of the balances and of no window's stored sum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InFlight {
    pub(super) charged: i128,
    pub(super) api_key: Option<ApiKeyId>,
    pub(super) project: ProjectId,
    pub(super) at: Timestamp,
    /// Its hold was released meanwhile: taking the capture back must not restore it.
    pub(super) released: bool,
}

impl InFlight {
    pub(super) fn is_of(&self, subject: BudgetSubject) -> bool {
        match subject {
            BudgetSubject::ApiKey(key) => self.api_key == Some(key),
            BudgetSubject::Project(project) => self.project == project,
        }
    }
}

/// The ledger's state: all of it, or the part that a group of commands is about.
///
/// Balances are those of the stored postings plus the captures that are decided and on their way to the store.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LedgerState {
    pub(super) orgs: HashMap<OrgId, OrgMoney>,
    /// Organizations that are known as payees and not loaded.
    pub(super) payees: HashSet<OrgId>,
    pub(super) holds: HashMap<CallId, HoldRecord>,
    pub(super) captures: HashMap<CallId, InFlight>,
    pub(super) budgets: Budgets,
    pub(super) spending: Spending,
    pub(super) stored: StoreMark,
    pub(super) chain_day: Option<Day>,
}

/// Loading.
impl LedgerState {
    /// An empty ledger whose store has stored captures up to this mark.
    pub fn new(stored: StoreMark) -> Self {
        Self {
            stored,
            ..Self::default()
        }
    }

    /// Adds an organization; one that is already there stays as it is.
    pub fn add_organization(&mut self, org: OrgId, money: OrgMoney) {
        self.orgs.entry(org).or_insert(money);
    }

    /// Adds an organization that exists and can be paid, without its money.
    pub fn add_payee(&mut self, org: OrgId) {
        self.payees.insert(org);
    }

    /// Adds a stored hold. The organization that pays it comes first, if it is loaded at all: a hold of another
    /// organization counts in the budgets only.
    pub fn add_hold(&mut self, hold: HoldRecord) {
        self.count_hold(&hold, i128::from(hold.amount.nano()));
        self.holds.insert(hold.call, hold);
    }

    /// Adds what was captured of all time, in nano-USDT, in one project with one key (`None`: with a session).
    pub fn add_spending(&mut self, org: OrgId, project: ProjectId, key: Option<ApiKeyId>, nano: i128) {
        self.spending.charge(org, project, key, nano);
    }

    /// Adds what was captured of all time for one key, or in one project of one payer. Sums of windows are ignored.
    pub fn add_sum(&mut self, sum: SpendingSum) {
        if sum.since.is_none() {
            self.spending.add(sum.subject, sum.nano);
        }
    }

    /// The sum of captures, in nano-USDT, that [`UnreadBudget`] asked for. One that is not, or no longer, needed is
    /// ignored.
    pub fn budget_read(&mut self, unread: UnreadBudget, nano: i128) {
        self.budgets.read(unread, nano);
    }
}

/// Facts.
impl LedgerState {
    /// Applies booked transfers. Balances of accounts that belong to no loaded organization are the store's alone.
    pub fn apply(&mut self, transfers: impl IntoIterator<Item = Transfer>) {
        for Transfer {
            source,
            target,
            amount,
        } in transfers
        {
            let amount = i128::from(amount.nano());
            self.move_balance(source, -amount);
            self.move_balance(target, amount);
        }
    }

    /// Replaces what the chain says about an organization.
    pub fn set_facts(&mut self, org: OrgId, facts: OrgFacts) {
        if let Some(money) = self.orgs.get_mut(&org) {
            money.facts = facts;
        }
    }

    /// The newest indexed block has this time: daily caps never count a day before it.
    pub fn set_chain_time(&mut self, time: Timestamp) {
        self.chain_day = Some(Day::of(time));
    }

    fn move_balance(&mut self, account: Account, amount: i128) {
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

    /// The day that daily caps count: the clock's, or the chain's where that is ahead.
    pub(super) fn day(&self, now: Timestamp) -> Day {
        let today = Day::of(now);
        self.chain_day.map_or(today, |day| day.max(today))
    }
}

/// Reports.
impl LedgerState {
    /// The loaded organizations, in no order.
    pub fn organizations(&self) -> impl Iterator<Item = (OrgId, &OrgMoney)> {
        self.orgs.iter().map(|(org, money)| (*org, money))
    }

    /// An organization's money; all zero for an unknown one.
    pub fn balance(&self, org: OrgId, scale: TokenScale) -> Balance {
        self.orgs
            .get(&org)
            .map_or_else(Balance::default, |money| money.balance(scale))
    }

    /// Everything captured from the organization, all time.
    pub fn expenditure(&self, org: OrgId) -> Usdt {
        self.orgs.get(&org).map_or(Usdt::ZERO, OrgMoney::expenditure)
    }

    /// What was captured from a loaded organization of all time, in nano-USDT, however much that is.
    pub fn spent(&self, org: OrgId) -> Option<i128> {
        self.orgs.get(&org).map(|money| money.spent)
    }

    /// Sums over all loaded organizations, capped at the ends of the range.
    pub fn totals(&self) -> LedgerTotals {
        let sum = |of: fn(&OrgMoney) -> i128| capped(self.orgs.values().map(of).sum());
        LedgerTotals {
            holds: self.holds.len(),
            held: sum(|money| money.held),
            unsettled: sum(|money| money.unsettled),
        }
    }

    /// The hold of a call.
    pub fn hold_of(&self, call: CallId) -> Option<&HoldRecord> {
        self.holds.get(&call)
    }
}

/// Holds, counted.
impl LedgerState {
    pub(super) fn take_hold(&mut self, call: CallId) -> Option<HoldRecord> {
        let hold = self.holds.remove(&call)?;
        self.count_hold(&hold, -i128::from(hold.amount.nano()));
        Some(hold)
    }

    fn count_hold(&mut self, hold: &HoldRecord, amount: i128) {
        if let Some(money) = self.orgs.get_mut(&hold.org) {
            money.held += amount;
        }
        for subject in &hold.subjects {
            self.budgets.hold(*subject, amount);
        }
    }
}
