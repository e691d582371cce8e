//! Random histories of commands, compared with a model that adds everything up.

use super::super::*;
use super::fixture::{NOON, ORG, OTHER, balances, call, capture, loaded, nano, request, scale, state};
use crate::{
    capture::Capture,
    hold::{BudgetClaim, BudgetSubject, HoldRequest},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{OrgId, Timestamp, Usdt};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

const DEPOSIT: i64 = 1_000;

#[derive(Debug, Clone, Copy)]
struct Call {
    number: u128,
    org: OrgId,
    key: i64,
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Hold {
        call: Call,
        most: i64,
        least: i64,
        limit: i64,
    },
    Release(Call),
    Capture {
        call: Call,
        cost: i64,
        late: bool,
    },
    Store,
    Undo {
        newest: bool,
    },
    Deposit {
        org: OrgId,
        amount: i64,
    },
}

fn calls() -> impl Strategy<Value = Call> {
    (0..8u128, 0..2i64).prop_map(|(number, key)| Call {
        number,
        org: if number % 2 == 0 { ORG } else { OTHER },
        key,
    })
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (calls(), 0..600i64, 0..300i64, 0..2_000i64).prop_map(|(call, most, least, limit)| {
            Command::Hold { call, most, least, limit }
        }),
        2 => calls().prop_map(Command::Release),
        4 => (calls(), 0..700i64, any::<bool>()).prop_map(|(call, cost, late)| {
            Command::Capture { call, cost, late }
        }),
        3 => Just(Command::Store),
        1 => any::<bool>().prop_map(|newest| Command::Undo { newest }),
        1 => (any::<bool>(), 1..300i64).prop_map(|(first, amount)| Command::Deposit {
            org: if first { ORG } else { OTHER },
            amount,
        }),
    ]
}

/// The windows of budgets: everything, and what ended after noon.
fn windows() -> [Timestamp; 2] {
    [Timestamp::from_seconds(0), NOON.plus(Duration::from_secs(1))]
}

fn subject(key: i64) -> BudgetSubject {
    BudgetSubject::ApiKey(ApiKeyId(key))
}

fn claims(key: i64, limit: i64) -> Vec<BudgetClaim> {
    let claim = |since| BudgetClaim {
        subject: subject(key),
        limit: nano(limit),
        since,
    };
    windows().map(claim).to_vec()
}

struct World {
    state: LedgerState,
    /// Decided and not stored, oldest first, with what was asked.
    pending: Vec<(DecidedCapture, Capture)>,
    /// Stored captures with their marks.
    stored: Vec<(StoreMark, DecidedCapture, Capture)>,
    balances: HashMap<Account, Usdt>,
    deposits: BTreeMap<OrgId, i64>,
}

impl World {
    fn new() -> Self {
        Self {
            state: state(DEPOSIT),
            pending: Vec::new(),
            stored: Vec::new(),
            balances: balances(DEPOSIT),
            deposits: BTreeMap::from([(ORG, DEPOSIT), (OTHER, DEPOSIT)]),
        }
    }

    fn spendable(&self, org: OrgId) -> Usdt {
        self.state.balance(org, scale()).spendable()
    }

    fn run(&mut self, command: Command) {
        match command {
            Command::Hold {
                call,
                most,
                least,
                limit,
            } => self.hold(call, most, least, limit),
            Command::Release(call) => self.release(call),
            Command::Capture { call, cost, late } => self.capture(call, cost, late),
            Command::Store => self.store(),
            Command::Undo { newest } => self.undo(newest),
            Command::Deposit { org, amount } => self.deposit(org, amount),
        }
    }

    fn hold(&mut self, of: Call, most: i64, least: i64, limit: i64) {
        let mut asked = request(of.number, of.org, most, least);
        asked.budgets = claims(of.key, limit);
        let before = self.state.clone();
        match self.read_and_hold(&asked) {
            Ok(held) => {
                assert!(held.hold.amount >= nano(least.min(most)));
                assert!(held.hold.amount <= nano(most));
                assert_eq!(held.replaced.as_ref(), before.hold_of(asked.call));
                assert_eq!(self.state.hold_of(asked.call), Some(&held.hold));
                let amount = i128::from(held.hold.amount.nano());
                for since in windows() {
                    let others = self.used(of.key, since) - amount;
                    assert!(amount <= (i128::from(limit) - others).max(0), "beyond the budget");
                }
            }
            Err(_) => {
                assert_eq!(self.state.hold_of(asked.call), before.hold_of(asked.call));
                assert_eq!(self.state.totals(), before.totals());
            }
        }
    }

    fn read_and_hold(&mut self, asked: &HoldRequest) -> Result<Held, crate::hold::HoldError> {
        loop {
            match self.state.hold(asked, NOON)? {
                HoldDecision::Granted(held) => return Ok(held),
                HoldDecision::Unread(unread) => {
                    let sum = self.sum(unread);
                    // What is stored meanwhile must be counted once.
                    self.store();
                    self.state.budget_read(unread, sum);
                }
            }
        }
    }

    /// What the store reads for a window.
    fn sum(&self, unread: UnreadBudget) -> i128 {
        let is_in = |mark: StoreMark, capture: &Capture| {
            mark <= unread.stored
                && capture.usage.finished_at >= unread.since
                && capture.usage.api_key.map(BudgetSubject::ApiKey) == Some(unread.subject)
        };
        let stored = self.stored.iter();
        let in_window = stored.filter(|(mark, _, capture)| is_in(*mark, capture));
        in_window
            .map(|(_, decided, _)| i128::from(decided.captured.charged.nano()))
            .sum()
    }

    fn available(&self, mut state: LedgerState, asked: &HoldRequest) -> Result<Usdt, String> {
        loop {
            match state.available(asked, NOON) {
                Ok(HoldDecision::Granted(granted)) => return Ok(granted),
                Ok(HoldDecision::Unread(unread)) => state.budget_read(unread, self.sum(unread)),
                Err(refused) => return Err(refused.to_string()),
            }
        }
    }

    /// A state that is loaded from what is stored decides as the one in memory.
    fn check_loaded(&self) {
        let charged = |org: OrgId| {
            let of_org = self.stored.iter().filter(|(_, decided, _)| decided.org == org);
            of_org
                .map(|(_, decided, _)| i128::from(decided.captured.charged.nano()))
                .sum()
        };
        let mut fresh = loaded(&self.balances, charged);
        fresh.stored = self.state.stored;
        for hold in self.state.holds.values() {
            fresh.add_hold(hold.clone());
        }
        assert_eq!(fresh.totals(), self.state.totals());
        for (number, org, key) in [(100, ORG, 0), (101, OTHER, 1), (2, ORG, 1)] {
            assert_eq!(fresh.expenditure(org), self.state.expenditure(org));
            let mut asked = request(number, org, 700, 1);
            asked.budgets = claims(key, 900);
            let expected = self.available(self.state.clone(), &asked);
            assert_eq!(self.available(fresh.clone(), &asked), expected);
        }
    }

    fn release(&mut self, of: Call) {
        let held = self.state.hold_of(call(of.number)).cloned();
        let before = self.state.balance(of.org, scale());
        assert_eq!(self.state.release(call(of.number)), held);
        let after = self.state.balance(of.org, scale());
        assert_eq!(before.available, after.available);
        let given_back = held.map_or(Usdt::ZERO, |hold| hold.amount);
        assert_eq!(before.held.checked_sub(after.held), Some(given_back));
    }

    fn capture(&mut self, of: Call, cost: i64, late: bool) {
        let mut asked = capture(of.number, of.org, cost);
        asked.usage.api_key = Some(ApiKeyId(of.key));
        if late {
            asked.usage.finished_at = NOON.plus(Duration::from_secs(5));
        }
        if self
            .stored
            .iter()
            .any(|(_, decided, _)| decided.call == asked.call)
        {
            return;
        }
        let before = self.state.clone();
        let held = before.hold_of(asked.call).map_or(Usdt::ZERO, |hold| hold.amount);
        let most = held.checked_add(self.spendable(of.org)).unwrap();
        match self.state.capture(&asked, Unheld::Charge).unwrap() {
            CaptureDecision::Decided(decided) => {
                assert_eq!(decided.captured.charged, nano(cost).min(most));
                let sum = decided.captured.charged.checked_add(decided.captured.lost);
                assert_eq!(sum, Some(nano(cost)));
                assert_eq!(decided.hold.as_ref(), before.hold_of(asked.call));
                let mut undone = self.state.clone();
                undone.undo(&decided, false);
                assert_eq!(undone, before, "taken back");
                self.pending.push((decided, asked));
            }
            CaptureDecision::InFlight => assert_eq!(self.state, before),
            CaptureDecision::NotHeld => panic!("it was to be charged"),
        }
    }

    /// Stores the oldest pending captures, two at most, as one group.
    fn store(&mut self) {
        let group: Vec<_> = self.pending.drain(..self.pending.len().min(2)).collect();
        let mut postings = Postings::on(&self.balances);
        for (decided, asked) in &group {
            postings.post(&decided.effects(asked).entry).unwrap();
        }
        let changed: Vec<_> = postings.changed().collect();
        self.balances.extend(changed);
        for (decided, asked) in group {
            let mark = StoreMark(i64::try_from(self.stored.len()).unwrap() + 1);
            self.state.stored(decided.call, mark);
            self.stored.push((mark, decided, asked));
        }
    }

    fn undo(&mut self, newest: bool) {
        if !self.pending.is_empty() {
            let at = if newest { self.pending.len() - 1 } else { 0 };
            let (decided, _) = self.pending.remove(at);
            self.state.undo(&decided, false);
        }
    }

    fn deposit(&mut self, org: OrgId, amount: i64) {
        let transfer = Transfer::new(Account::ChainOrg(org), Account::Available(org), nano(amount));
        let entry = Entry {
            key: "deposit".to_owned(),
            at: NOON,
            block: Some(1),
            transfers: vec![transfer],
        };
        let changed = post(&self.balances, &entry).unwrap();
        self.balances.extend(changed);
        self.state.apply([transfer]);
        *self.deposits.entry(org).or_default() += amount;
    }

    /// What the model counts in a budget's window: held, in flight and stored.
    fn used(&self, key: i64, since: Timestamp) -> i128 {
        let pending = self.pending.iter().map(|(decided, asked)| (decided, asked));
        let stored = self.stored.iter().map(|(_, decided, asked)| (decided, asked));
        let charged = pending
            .chain(stored)
            .filter(|(_, asked)| {
                asked.usage.api_key == Some(ApiKeyId(key)) && asked.usage.finished_at >= since
            })
            .map(|(decided, _)| decided.captured.charged);
        let held = self
            .state
            .holds
            .values()
            .filter(|hold| hold.subjects.contains(&subject(key)))
            .map(|hold| hold.amount);
        charged.chain(held).map(|amount| i128::from(amount.nano())).sum()
    }

    fn check(&self) {
        for org in [ORG, OTHER] {
            let balance = self.state.balance(org, scale());
            assert!(balance.available >= balance.held, "overspent: {balance:?}");
            let in_all = balance.available.checked_add(balance.unsettled);
            assert_eq!(in_all.map(Usdt::nano), self.deposits.get(&org).copied());
            let holds = self.state.holds.values().filter(|hold| hold.org == org);
            assert_eq!(balance.held, holds.map(|hold| hold.amount).sum::<Usdt>());
            let in_flight = self.pending.iter().filter(|(decided, _)| decided.org == org);
            let in_flight: Usdt = in_flight.map(|(decided, _)| decided.captured.charged).sum();
            let stored = self.balances.balance_of(Account::Available(org));
            assert_eq!(stored.checked_sub(in_flight), Some(balance.available));
            assert_eq!(self.state.expenditure(org), balance.unsettled);
        }
        let sum: i128 = self
            .balances
            .values()
            .map(|balance| i128::from(balance.nano()))
            .sum();
        assert_eq!(sum, 0, "postings sum to zero");
        for (key, since) in [0, 1]
            .into_iter()
            .flat_map(|key| windows().map(|since| (key, since)))
        {
            let mut state = self.state.clone();
            let unknown = || 0;
            // A window that was never asked for is not kept.
            if let Ok(used) = state.budgets.used(subject(key), since, StoreMark(0), unknown) {
                assert_eq!(used, self.used(key, since), "budget of key {key} since {since}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_history_spends_at_most_what_there_is_and_counts_everything_once(
        history in prop::collection::vec(commands(), 1..60),
    ) {
        let mut world = World::new();
        for command in history {
            world.run(command);
            world.check();
        }
        while !world.pending.is_empty() {
            world.store();
            world.check();
        }
        world.check_loaded();
    }
}
