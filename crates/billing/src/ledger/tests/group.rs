//! Groups of commands, as a store that keeps nothing in memory runs them.

use super::{
    super::{
        Account, GroupInput, HoldDecision, HoldRecord, LedgerGroup, LedgerState, SpendingSum, SpendingSums,
        StoreMark, Unheld, post,
    },
    fixture::{NOON, ORG, OTHER, balances, call, capture, capture_of, decided, loaded, nano, request, state},
};
use crate::{
    ExpenditureScope,
    capture::{Captured, Payee},
    fixtures::line,
    hold::{BudgetClaim, BudgetSubject, HoldError, HoldRequest},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, OrgId, Usdt};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

const KEY: ApiKeyId = ApiKeyId(7);

fn group(deposit: i64) -> LedgerGroup {
    LedgerGroup::new(GroupInput {
        state: state(deposit),
        ..GroupInput::default()
    })
}

#[test]
fn a_command_is_decided_after_the_effects_of_those_before_it() {
    let mut group = group(100);
    assert_eq!(group.hold(&request(1, ORG, 80, 80), NOON).unwrap(), nano(80));
    assert_eq!(group.available(&request(2, ORG, 80, 1), NOON).unwrap(), nano(20));
    assert!(group.hold(&request(2, ORG, 80, 80), NOON).is_err());
    let first = group.capture(&capture(1, ORG, 30)).unwrap();
    assert_eq!((first.charged, first.spent_before), (nano(30), nano(0)));
    assert_eq!(group.hold(&request(2, ORG, 70, 70), NOON).unwrap(), nano(70));
    group.release(call(2));
    assert_eq!(group.hold(&request(3, ORG, 60, 60), NOON).unwrap(), nano(60));
    let effects = group.into_effects();
    let holds: Vec<_> = effects
        .holds
        .values()
        .map(|hold| hold.as_ref().map(|hold| hold.amount))
        .collect();
    assert_eq!(holds, [None, None, Some(nano(60))]);
    assert_eq!(effects.captures.len(), 1);
    assert!(effects.captures[0].was_held);
    assert_eq!(effects.spent, BTreeMap::from([(ORG, 30)]));
}

#[test]
fn a_call_is_captured_once_in_a_group_and_over_groups() {
    let mut group = group(100);
    group.hold(&request(1, ORG, 50, 50), NOON).unwrap();
    let first = group.capture(&capture(1, ORG, 40)).unwrap();
    assert_eq!(group.capture(&capture(1, ORG, 99)).unwrap(), first);
    assert_eq!(group.into_effects().captures.len(), 1);

    let mut input = GroupInput {
        state: state(60),
        captured: HashMap::from([(call(1), first)]),
        ..GroupInput::default()
    };
    input.state.add_hold(HoldRecord {
        call: call(1),
        org: ORG,
        amount: nano(10),
        subjects: Vec::new(),
    });
    let mut later = LedgerGroup::new(input);
    assert_eq!(later.capture(&capture(1, ORG, 99)).unwrap(), first);
    assert_eq!(later.available(&request(2, ORG, 60, 60), NOON).unwrap(), nano(60));
    let effects = later.into_effects();
    assert!(effects.captures.is_empty() && effects.spent.is_empty());
    assert_eq!(effects.holds, BTreeMap::from([(call(1), None)]));
}

#[test]
fn a_capture_whose_hold_was_released_takes_what_is_spendable_and_the_platform_loses_the_rest() {
    let mut group = group(100);
    group.hold(&request(2, ORG, 70, 70), NOON).unwrap();
    let captured = group.capture(&capture(1, ORG, 50)).unwrap();
    assert_eq!((captured.charged, captured.lost), (nano(30), nano(20)));
    let effects = group.into_effects();
    let [taken] = &effects.captures[..] else {
        panic!("{effects:?}")
    };
    assert!(!taken.was_held);
    let after = post(&balances(100), &taken.effects.entry).unwrap();
    let after: HashMap<Account, Usdt> = after.into_iter().collect();
    assert_eq!(after[&Account::Available(ORG)], nano(70));
    assert_eq!(after[&Account::Unsettled(ORG)], nano(30));
    assert_eq!(after[&Account::PlatformLoss], nano(-20));
    assert_eq!(after[&Account::Platform], nano(20));
}

#[test]
fn a_refused_capture_changes_nothing_and_harms_no_other() {
    let mut group = group(100);
    group.hold(&request(1, ORG, 60, 60), NOON).unwrap();
    assert!(
        group.capture(&capture(1, OTHER, 10)).is_err(),
        "a hold of another organization"
    );
    let own = capture_of(1, ORG, vec![line(Payee::Organization(ORG), 10)]);
    assert!(group.capture(&own).is_err());
    let unknown = capture_of(1, ORG, vec![line(Payee::Organization(OrgId(77)), 10)]);
    assert!(group.capture(&unknown).is_err());
    assert_eq!(group.capture(&capture(1, ORG, 60)).unwrap().charged, nano(60));
    assert_eq!(group.into_effects().captures.len(), 1);
}

#[test]
fn an_organization_that_is_only_paid_need_not_be_loaded() {
    let mut state = state(100);
    state.add_payee(OrgId(77));
    let mut group = LedgerGroup::new(GroupInput {
        state,
        ..GroupInput::default()
    });
    let paying = capture_of(1, ORG, vec![line(Payee::Organization(OrgId(77)), 10)]);
    assert_eq!(group.capture(&paying).unwrap().charged, nano(10));
}

fn claimed(number: u128, amount: i64, limit: i64) -> HoldRequest {
    HoldRequest {
        budgets: vec![BudgetClaim {
            subject: BudgetSubject::ApiKey(KEY),
            limit: nano(limit),
            since: NOON,
        }],
        ..request(number, ORG, amount, amount)
    }
}

#[test]
fn a_budget_counts_its_stored_window_and_the_captures_of_the_group() {
    let subject = super::super::SpendingSubject::ApiKey(KEY);
    let mut sums = SpendingSums::default();
    let sum = |since, nano| SpendingSum { subject, since, nano };
    sums.add(sum(None, 500));
    sums.add(sum(Some(NOON), 40));
    let mut group = LedgerGroup::new(GroupInput {
        state: state(1_000),
        sums,
        windows: HashMap::from([((BudgetSubject::ApiKey(KEY), NOON), 40)]),
        captured: HashMap::new(),
    });
    let mut with_key = capture(1, ORG, 25);
    with_key.usage.api_key = Some(KEY);
    with_key.expenditure = ExpenditureScope::ApiKey;
    assert_eq!(group.capture(&with_key).unwrap().spent_before, nano(500));
    assert_eq!(group.hold(&claimed(2, 35, 100), NOON).unwrap(), nano(35));
    match group.hold(&claimed(3, 1, 100), NOON) {
        Err(HoldError::Budget { left, .. }) => assert_eq!(left, nano(0)),
        other => panic!("{other:?}"),
    }
    let stored = group.into_effects().sums;
    assert!(stored.contains(&sum(None, 525)) && stored.contains(&sum(Some(NOON), 65)));
}

#[test]
fn a_budget_that_was_not_loaded_is_an_error_and_no_answer() {
    let mut group = group(100);
    assert!(matches!(
        group.hold(&claimed(1, 1, 100), NOON),
        Err(HoldError::Store(_))
    ));
    assert!(group.into_effects().holds.is_empty());
}

/// What a store keeps between groups.
#[derive(Default)]
struct Store {
    balances: HashMap<Account, Usdt>,
    holds: BTreeMap<CallId, HoldRecord>,
    spent: BTreeMap<OrgId, i128>,
    captured: HashMap<CallId, Captured>,
}

impl Store {
    fn load(&self) -> LedgerGroup {
        let mut state = loaded(&self.balances, |org| self.spent.get(&org).copied().unwrap_or(0));
        for hold in self.holds.values() {
            state.add_hold(hold.clone());
        }
        LedgerGroup::new(GroupInput {
            state,
            captured: self.captured.clone(),
            ..GroupInput::default()
        })
    }

    fn write(&mut self, group: LedgerGroup) {
        let effects = group.into_effects();
        for (call, hold) in effects.holds {
            match hold {
                Some(hold) => self.holds.insert(call, hold),
                None => self.holds.remove(&call),
            };
        }
        for taken in effects.captures {
            let changed = post(&self.balances, &taken.effects.entry).unwrap();
            self.balances.extend(changed);
            self.captured.insert(taken.capture.call, taken.captured);
        }
        self.spent.extend(effects.spent);
    }
}

#[derive(Debug, Clone)]
enum Command {
    Hold(u128, OrgId, i64, i64),
    Release(u128),
    Capture(u128, OrgId, i64),
}

fn command() -> impl Strategy<Value = Command> {
    let org = |first| if first { ORG } else { OTHER };
    prop_oneof![
        (0..12u128, any::<bool>(), 0..60i64, 0..60i64).prop_map(move |(call, first, a, b)| Command::Hold(
            call,
            org(first),
            a.max(b),
            a.min(b)
        )),
        (0..12u128).prop_map(Command::Release),
        (0..12u128, any::<bool>(), 0..80i64).prop_map(move |(call, first, cost)| Command::Capture(
            call,
            org(first),
            cost
        )),
    ]
}

proptest! {
    #[test]
    fn groups_decide_as_one_state_in_memory_does(
        commands in prop::collection::vec((command(), any::<bool>()), 1..60),
    ) {
        let mut store = Store { balances: balances(100), ..Store::default() };
        let mut memory: LedgerState = state(100);
        let mut first = HashMap::<CallId, Captured>::new();
        let mut group = store.load();
        for (command, ends) in commands {
            match command {
                Command::Hold(number, org, most, least) => {
                    // A call that was captured holds no more.
                    if first.contains_key(&call(number)) {
                        continue;
                    }
                    let request = request(number, org, most, least);
                    let expected = match memory.hold(&request, NOON) {
                        Ok(HoldDecision::Granted(held)) => Some(held.hold.amount),
                        _ => None,
                    };
                    prop_assert_eq!(group.hold(&request, NOON).ok(), expected);
                }
                Command::Release(number) => {
                    memory.release(call(number));
                    group.release(call(number));
                }
                Command::Capture(number, org, cost) => {
                    let capture = capture(number, org, cost);
                    let expected = match first.get(&capture.call) {
                        Some(first) => Some(*first),
                        None if memory.clone().capture(&capture, Unheld::Charge).is_err() => None,
                        None => {
                            let decided = decided(&mut memory, &capture);
                            memory.stored(capture.call, StoreMark(1));
                            first.insert(capture.call, decided.captured);
                            Some(decided.captured)
                        }
                    };
                    prop_assert_eq!(group.capture(&capture).ok(), expected);
                }
            }
            if ends {
                store.write(group);
                group = store.load();
            }
        }
        store.write(group);
        for org in [ORG, OTHER] {
            let available = store.balances[&Account::Available(org)].nano();
            let held: i64 = store.holds.values().filter(|hold| hold.org == org).map(|hold| hold.amount.nano()).sum();
            prop_assert!(held <= available, "never more held than there is");
        }
    }
}
