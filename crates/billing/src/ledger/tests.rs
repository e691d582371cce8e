//! The ledger's rules, on a state in memory.

mod fixture;
mod group;
mod random;

use super::*;
use crate::{
    ExpenditureScope,
    capture::Payee,
    fixtures::line,
    hold::{BudgetClaim, BudgetSubject, HoldError},
};
use fixture::{NOON, ORG, OTHER, call, capture, capture_of, decided, facts, nano, request, state};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{OrgId, ProjectId, Usdt};
use std::time::Duration;

const KEY: BudgetSubject = BudgetSubject::ApiKey(ApiKeyId(5));

fn claim(subject: BudgetSubject, limit: i64) -> BudgetClaim {
    BudgetClaim {
        subject,
        limit: nano(limit),
        since: NOON.minus(Duration::from_secs(3600)),
    }
}

fn held(state: &mut LedgerState, number: u128, most: i64) -> Usdt {
    match state.hold(&request(number, ORG, most, 0), NOON) {
        Ok(HoldDecision::Granted(held)) => held.hold.amount,
        other => panic!("not held: {other:?}"),
    }
}

#[test]
fn a_hold_takes_as_much_as_there_is_and_at_least_the_least() {
    let mut state = state(100);
    assert_eq!(held(&mut state, 1, 60), nano(60));
    assert_eq!(held(&mut state, 2, 60), nano(40));
    let refused = state.hold(&request(3, ORG, 60, 1), NOON);
    assert!(matches!(refused, Err(HoldError::Funds { spendable, .. }) if spendable == Usdt::ZERO));
    let unknown = state.hold(&request(4, OrgId(99), 60, 1), NOON);
    assert!(matches!(unknown, Err(HoldError::Funds { .. })));
    assert_eq!(state.totals().held, nano(100));
}

#[test]
fn a_new_hold_of_a_call_replaces_the_old_one_and_a_refused_one_leaves_it() {
    let mut state = state(100);
    held(&mut state, 1, 60);
    let HoldDecision::Granted(again) = state.hold(&request(1, ORG, 90, 90), NOON).unwrap() else {
        panic!("nothing to read")
    };
    assert_eq!(again.hold.amount, nano(90));
    assert_eq!(again.replaced.unwrap().amount, nano(60));
    assert!(state.hold(&request(1, ORG, 200, 101), NOON).is_err());
    assert_eq!(state.hold_of(call(1)).unwrap().amount, nano(90));
    assert_eq!(state.totals().held, nano(90));
}

#[test]
fn available_decides_as_a_hold_does_and_sets_nothing_aside() {
    let mut state = state(100);
    let before = state.clone();
    let available = state.available(&request(1, ORG, 150, 1), NOON).unwrap();
    assert_eq!(available, HoldDecision::Granted(nano(100)));
    assert_eq!(state, before);
}

#[test]
fn the_daily_cap_counts_holds_charges_and_what_is_settled_today() {
    let mut state = state(1_000);
    state.set_facts(
        ORG,
        facts(|figures| {
            figures.daily_cap = Some(100);
            figures.settled_on_day = 30;
        }),
    );
    assert_eq!(held(&mut state, 1, 50), nano(50));
    let refused = state.hold(&request(2, ORG, 50, 21), NOON);
    assert!(matches!(refused, Err(HoldError::DailyCap { left }) if left == nano(20)));
    // The next day, what was settled today no longer counts, and neither the clock nor the chain can go back.
    let tomorrow = NOON.plus(Duration::from_secs(86_400));
    let available = state.available(&request(2, ORG, 70, 1), tomorrow).unwrap();
    assert_eq!(available, HoldDecision::Granted(nano(50)));
    state.set_chain_time(tomorrow);
    let available = state.available(&request(2, ORG, 70, 1), NOON).unwrap();
    assert_eq!(available, HoldDecision::Granted(nano(50)));
}

#[test]
fn a_suspended_organization_holds_nothing_and_a_halted_one_spends_its_holds_only() {
    let mut state = state(100);
    state.set_facts(ORG, facts(|figures| figures.suspended = true));
    assert!(matches!(
        state.hold(&request(1, ORG, 1, 0), NOON),
        Err(HoldError::Suspended)
    ));
    state.set_facts(ORG, facts(|_| {}));
    held(&mut state, 1, 10);
    state.set_facts(ORG, facts(|figures| figures.halted = true));
    assert!(state.hold(&request(2, ORG, 1, 1), NOON).is_err());
    let taken = decided(&mut state, &capture(1, ORG, 15));
    assert_eq!((taken.captured.charged, taken.captured.lost), (nano(10), nano(5)));
}

#[test]
fn a_capture_takes_its_hold_then_what_is_spendable_and_the_platform_bears_the_rest() {
    let mut state = state(100);
    held(&mut state, 1, 30);
    held(&mut state, 2, 50);
    let capture = capture_of(
        1,
        ORG,
        vec![line(Payee::Platform, 60), line(crate::fixtures::CREATOR, 10)],
    );
    let taken = decided(&mut state, &capture);
    assert_eq!(
        (taken.captured.charged, taken.captured.lost),
        (nano(50), nano(20))
    );
    assert_eq!(taken.hold.as_ref().unwrap().amount, nano(30));
    let effects = taken.effects(&capture);
    assert_eq!(effects.entry.key, format!("call/{}", call(1)));
    assert_eq!(
        effects.entry.transfers,
        [
            Transfer::new(Account::Available(ORG), Account::Unsettled(ORG), nano(50)),
            Transfer::new(Account::PlatformLoss, Account::Platform, nano(20)),
        ]
    );
    assert_eq!(
        effects.lines,
        [line(Payee::Platform, 40), line(crate::fixtures::CREATOR, 10)]
    );
    assert_eq!(state.totals().held, nano(50));
    assert_eq!(state.expenditure(ORG), nano(50));
}

#[test]
fn a_call_without_a_hold_is_reported_before_it_is_charged() {
    let mut state = state(100);
    let capture = capture(1, ORG, 10);
    assert_eq!(
        state.capture(&capture, Unheld::Report),
        Ok(CaptureDecision::NotHeld)
    );
    assert!(matches!(
        state.capture(&capture, Unheld::Charge),
        Ok(CaptureDecision::Decided(_))
    ));
    assert_eq!(
        state.capture(&capture, Unheld::Charge),
        Ok(CaptureDecision::InFlight)
    );
    state.stored(call(1), StoreMark(1));
    assert_eq!(
        state.capture(&capture, Unheld::Report),
        Ok(CaptureDecision::NotHeld)
    );
}

#[test]
fn rejects_charges_that_no_batch_could_contain() {
    let mut state = state(100);
    held(&mut state, 1, 50);
    let before = state.clone();
    let paying = |payee| capture_of(1, ORG, vec![line(payee, 5)]);
    for (capture, refused) in [
        (paying(Payee::Organization(ORG)), CaptureRefused::Payee),
        (paying(Payee::Organization(OrgId(99))), CaptureRefused::Payee),
        (capture(1, OTHER, 5), CaptureRefused::ForeignHold),
        (capture(1, ORG, -5), CaptureRefused::NegativeLine),
        (capture(2, OrgId(99), 5), CaptureRefused::Payer),
    ] {
        assert_eq!(state.capture(&capture, Unheld::Charge), Err(refused));
    }
    assert_eq!(state, before);
}

#[test]
fn a_capture_taken_back_restores_everything_and_its_hold_unless_that_was_released() {
    let mut state = state(100);
    held(&mut state, 1, 50);
    let before = state.clone();
    let taken = decided(&mut state, &capture(1, ORG, 20));
    state.undo(&taken, false);
    assert_eq!(state, before);

    let taken = decided(&mut state, &capture(1, ORG, 20));
    assert_eq!(state.release(call(1)), None, "the hold is taken already");
    state.undo(&taken, false);
    assert_eq!(state.totals().held, Usdt::ZERO);

    held(&mut state, 2, 50);
    let taken = decided(&mut state, &capture(2, ORG, 20));
    state.undo(&taken, true);
    assert_eq!((state.totals().held, state.totals().holds), (Usdt::ZERO, 0));
}

#[test]
fn a_hold_set_aside_while_its_capture_is_in_flight_survives_taking_that_back() {
    let mut state = state(100);
    held(&mut state, 1, 50);
    let taken = decided(&mut state, &capture(1, ORG, 20));
    held(&mut state, 1, 5);
    state.undo(&taken, false);
    assert_eq!(state.hold_of(call(1)).unwrap().amount, nano(5));
    assert_eq!(state.totals().held, nano(5));
    state.release(call(1));
    assert_eq!(state.totals().held, Usdt::ZERO);
}

#[test]
fn a_restored_hold_never_exceeds_what_other_calls_left() {
    let mut state = state(100);
    held(&mut state, 1, 80);
    let taken = decided(&mut state, &capture(1, ORG, 10));
    assert_eq!(held(&mut state, 2, 60), nano(60));
    state.undo(&taken, false);
    assert_eq!(state.hold_of(call(1)).unwrap().amount, nano(40));
    assert_eq!(state.totals().held, nano(100));

    // What it had charged is its own in any case, even when a deposit went away.
    let taken = decided(&mut state, &capture(1, ORG, 30));
    state.apply([Transfer::new(
        Account::Available(ORG),
        Account::ChainOrg(ORG),
        nano(90),
    )]);
    state.undo(&taken, false);
    assert_eq!(state.hold_of(call(1)).unwrap().amount, nano(30));
}

#[test]
fn a_release_after_the_capture_changes_nothing() {
    let mut state = state(100);
    held(&mut state, 1, 50);
    decided(&mut state, &capture(1, ORG, 20));
    state.stored(call(1), StoreMark(1));
    let before = state.clone();
    assert_eq!(state.release(call(1)), None);
    assert_eq!(state, before);
}

#[test]
fn a_budget_counts_holds_charges_in_flight_and_stored_ones_once_each() {
    let mut state = state(1_000);
    let mut keyed = capture(1, ORG, 10);
    keyed.usage.api_key = Some(ApiKeyId(5));
    decided(&mut state, &keyed);
    let mut asked = request(2, ORG, 500, 1);
    asked.budgets = vec![claim(KEY, 100)];
    let unread = match state.hold(&asked, NOON).unwrap() {
        HoldDecision::Unread(unread) => unread,
        HoldDecision::Granted(held) => panic!("the store was not read: {held:?}"),
    };
    assert_eq!((unread.subject, unread.stored), (KEY, StoreMark(0)));
    // Stored while the window is read: it is beyond the mark, so that the store does not count it.
    state.stored(keyed.call, StoreMark(1));
    state.budget_read(unread, 25);
    let HoldDecision::Granted(held) = state.hold(&asked, NOON).unwrap() else {
        panic!("the window is read")
    };
    assert_eq!(held.hold.amount, nano(100 - 25 - 10));
    assert_eq!(held.hold.subjects, [KEY]);

    let mut next = request(3, ORG, 500, 1);
    next.budgets = vec![claim(KEY, 100)];
    let refused = state.hold(&next, NOON);
    assert!(matches!(refused, Err(HoldError::Budget { left, .. }) if left == Usdt::ZERO));
    let mut used = capture(2, ORG, 30);
    used.usage.api_key = Some(ApiKeyId(5));
    decided(&mut state, &used);
    let available = state.available(&next, NOON).unwrap();
    assert_eq!(available, HoldDecision::Granted(nano(100 - 25 - 10 - 30)));
}

#[test]
fn a_capture_returns_what_was_spent_before_in_its_scope() {
    let mut state = state(1_000);
    state.add_spending(ORG, ProjectId(1), None, 7);
    let in_scope = |number, scope, key: Option<i64>| {
        let mut capture = capture(number, ORG, 10);
        capture.expenditure = scope;
        capture.usage.api_key = key.map(ApiKeyId);
        capture
    };
    let mut before = |number, scope, key| {
        decided(&mut state, &in_scope(number, scope, key))
            .captured
            .spent_before
    };
    assert_eq!(before(1, ExpenditureScope::Project, None), nano(7));
    assert_eq!(before(2, ExpenditureScope::ApiKey, Some(5)), nano(0));
    assert_eq!(before(3, ExpenditureScope::ApiKey, Some(5)), nano(10));
    assert_eq!(before(4, ExpenditureScope::ApiKey, None), nano(37));
    assert_eq!(before(5, ExpenditureScope::Organization, None), nano(40));
}

#[test]
fn a_state_loaded_from_rows_decides_as_the_one_in_memory() {
    let mut memory = state(100);
    let mut asked = request(1, ORG, 30, 1);
    asked.budgets = vec![claim(KEY, 80)];
    let HoldDecision::Unread(unread) = memory.hold(&asked, NOON).unwrap() else {
        panic!("nothing was read yet")
    };
    memory.budget_read(unread, 20);
    let HoldDecision::Granted(held) = memory.hold(&asked, NOON).unwrap() else {
        panic!("the window is read")
    };

    let mut loaded = state(100);
    loaded.add_hold(held.hold);
    let mut next = request(2, ORG, 90, 1);
    next.budgets = vec![claim(KEY, 80)];
    let HoldDecision::Unread(unread) = loaded.available(&next, NOON).unwrap() else {
        panic!("nothing was read yet")
    };
    loaded.budget_read(unread, 20);
    assert_eq!(
        loaded.available(&next, NOON).unwrap(),
        memory.available(&next, NOON).unwrap()
    );
    assert_eq!(
        loaded.available(&next, NOON).unwrap(),
        HoldDecision::Granted(nano(30))
    );
}

#[test]
fn facts_move_the_balances_of_loaded_organizations_only() {
    let mut state = state(100);
    let deposit = Transfer::new(Account::ChainOrg(ORG), Account::Available(ORG), nano(5));
    let payout = Transfer::new(Account::Platform, Account::ChainOrchestrator, nano(9));
    let unknown = Transfer::new(
        Account::ChainOrg(OrgId(99)),
        Account::Available(OrgId(99)),
        nano(1),
    );
    state.apply([deposit, payout, unknown]);
    let scale = fixture::scale();
    assert_eq!(state.balance(ORG, scale).available, nano(105));
    assert_eq!(state.balance(ORG, scale).onchain, nano(105));
    assert_eq!(state.balance(OrgId(99), scale), Balance::default());
    state.apply([deposit.reversed()]);
    assert_eq!(state.balance(ORG, scale).available, nano(100));
}
