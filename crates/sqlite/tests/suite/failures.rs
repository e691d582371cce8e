//! Group commits that fail: everybody hears of it, and memory and disk stay equal.

use crate::fixture::{Fixture, NOON, call_id, capture, exactly, line, nano};
use haithe_billing::{
    capture::Payee,
    hold::{BudgetClaim, BudgetSubject, HoldError, HoldRequest},
    ledger::Balance,
    ports::Ledger,
};
use haithe_kernel::{CallId, OrgId, ProjectId};
use sqlx::Executor;
use std::time::Duration;

const BREAK: &str =
    "CREATE TRIGGER broken BEFORE INSERT ON receipts BEGIN SELECT RAISE(ABORT, 'out of order'); END";
const MEND: &str = "DROP TRIGGER broken";

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_group_is_told_to_everybody_and_leaves_no_trace() {
    let (fixture, org) = Fixture::funded(nano(10_000)).await;
    fixture.spend(org, nano(1)).await;
    let mut calls = Vec::new();
    for _ in 0..40 {
        calls.push(fixture.hold(org, nano(100)).await.unwrap());
    }
    let before = fixture.balance(org).await;
    let mut stranger = fixture.stranger().await;
    stranger.execute(BREAK).await.unwrap();
    assert_eq!(charge_all(&fixture, org, &calls).await, 0);
    assert_eq!(fixture.balance(org).await, before, "holds included");
    assert_eq!(fixture.ledger().expenditure(org).await.unwrap(), nano(1));
    fixture.assert_sound().await;

    stranger.execute(MEND).await.unwrap();
    assert_eq!(charge_all(&fixture, org, &calls).await, 40);
    let expected = Balance {
        available: nano(10_000 - 1 - 40 * 60),
        unsettled: nano(1 + 40 * 60),
        onchain: nano(10_000),
        ..Balance::default()
    };
    assert_eq!(fixture.balance(org).await, expected);
    fixture.assert_sound().await;
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.balance(org).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_that_cannot_be_stored_harms_only_itself() {
    let (fixture, org) = Fixture::funded(nano(10_000)).await;
    let mut stranger = fixture.stranger().await;
    stranger
        .execute(
            "CREATE TRIGGER picky BEFORE INSERT ON usage_records WHEN NEW.model_name = 'cursed'
             BEGIN INSERT INTO organizations (name) VALUES ('nobody'); END",
        )
        .await
        .unwrap();
    let capturing: Vec<_> = (0..40)
        .map(|number| {
            let ledger = fixture.ledger();
            let mut capture = capture(call_id(), org, vec![line(Payee::Platform, nano(10))]);
            if number == 17 {
                capture.usage.model_name = "cursed".into();
            }
            tokio::spawn(async move { ledger.capture(capture).await.is_ok() })
        })
        .collect();
    let mut stored = 0;
    for capture in capturing {
        stored += i64::from(capture.await.unwrap());
    }
    assert_eq!(stored, 39);
    assert_eq!(fixture.balance(org).await.unsettled, nano(390));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_given_back_while_its_capture_fails_stays_given_back() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    let call = fixture.hold(org, nano(60)).await.unwrap();
    let mut stranger = fixture.stranger().await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    let ledger = fixture.ledger();
    let capturing = tokio::spawn(async move {
        ledger
            .capture(capture(call, org, vec![line(Payee::Platform, nano(5))]))
            .await
    });
    while fixture.balance(org).await.unsettled != nano(5) {
        tokio::task::yield_now().await;
    }
    fixture.ledger().release(call);
    stranger.execute(BREAK).await.unwrap();
    stranger.execute("COMMIT").await.unwrap();
    assert!(capturing.await.unwrap().is_err());
    let balance = fixture.balance(org).await;
    assert_eq!((balance.available, balance.held), (nano(100), nano(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_is_charged_all_the_same() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    let call = fixture.hold(org, nano(60)).await.unwrap();
    let mut stranger = fixture.stranger().await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    let ledger = fixture.ledger();
    let capturing = tokio::spawn(async move {
        ledger
            .capture(capture(call, org, vec![line(Payee::Platform, nano(5))]))
            .await
    });
    while fixture.balance(org).await.unsettled != nano(5) {
        tokio::task::yield_now().await;
    }
    capturing.abort();
    stranger.execute("COMMIT").await.unwrap();
    // The same call again waits for, or finds, the first.
    let again = fixture.capture(call, org, nano(99)).await.unwrap();
    assert_eq!(again.charged, nano(5));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_captured_before_a_restart_is_not_charged_by_a_hold_after_it() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    let call = fixture.spend(org, nano(30)).await;
    let fixture = fixture.reopened().await;
    fixture.ledger().hold(exactly(call, org, nano(50))).await.unwrap();
    let others: Vec<CallId> = vec![fixture.hold(org, nano(5)).await.unwrap(), call];
    assert_eq!(charge_all(&fixture, org, &others).await, 2);
    let balance = fixture.balance(org).await;
    assert_eq!((balance.held, balance.unsettled), (nano(0), nano(35)));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_can_be_written_no_new_call_is_admitted() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    let call = fixture.hold(org, nano(10)).await.unwrap();
    let mut stranger = fixture.stranger().await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    // SQLite gives up after its busy timeout.
    assert!(fixture.db.is_writable());
    assert!(fixture.capture(call, org, nano(10)).await.is_err());
    assert!(!fixture.db.is_writable(), "a failed write is noted at once");
    assert!(matches!(
        fixture.hold(org, nano(1)).await,
        Err(HoldError::Store(_))
    ));
    stranger.execute("ROLLBACK").await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while fixture.hold(org, nano(1)).await.is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "nobody tried to write again"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(
        fixture.capture(call, org, nano(10)).await.unwrap().charged,
        nano(10)
    );
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_probe_fails_while_the_file_is_locked_and_finds_its_recovery() {
    let (fixture, org) = Fixture::funded(nano(100)).await;
    fixture.db.probe_write().await.unwrap();
    assert!(fixture.db.is_writable());
    let mut stranger = fixture.stranger().await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    assert!(fixture.db.probe_write().await.is_err());
    assert!(!fixture.db.is_writable());
    assert!(fixture.db.is_healthy(), "the writer lives");
    assert!(matches!(
        fixture.hold(org, nano(1)).await,
        Err(HoldError::Store(_))
    ));
    stranger.execute("ROLLBACK").await.unwrap();
    fixture.db.probe_write().await.unwrap();
    assert!(fixture.db.is_writable());
    fixture.hold(org, nano(1)).await.unwrap();
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_must_make_sense() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.mine(vec![crate::fixture::created(2)]).await;
    let other = fixture.org(2).await;
    let call = fixture.hold(org, nano(50)).await.unwrap();
    let ledger = fixture.ledger();
    let charge = |org, payee, amount| capture(call, org, vec![line(payee, nano(amount))]);
    for nonsense in [
        charge(other, Payee::Platform, 5),
        charge(OrgId(99), Payee::Platform, 5),
        charge(org, Payee::Organization(OrgId(99)), 5),
        charge(org, Payee::Organization(org), 5),
        charge(org, Payee::Platform, -5),
    ] {
        assert!(ledger.capture(nonsense).await.is_err());
    }
    assert_eq!(fixture.balance(org).await.held, nano(50));
    assert_eq!(
        ledger
            .capture(charge(org, Payee::Platform, 5))
            .await
            .unwrap()
            .charged,
        nano(5)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_counts_what_was_stored_is_on_its_way_and_failed_exactly_once() {
    let (fixture, org) = Fixture::funded(nano(10_000)).await;
    for _ in 0..5 {
        fixture.spend(org, nano(10)).await;
    }
    let fixture = fixture.reopened().await;
    assert_eq!(left(&fixture, org).await, 50);
    fixture.spend(org, nano(10)).await;
    assert_eq!(left(&fixture, org).await, 40);
    let call = fixture.hold(org, nano(10)).await.unwrap();
    let mut stranger = fixture.stranger().await;
    stranger.execute(BREAK).await.unwrap();
    assert!(fixture.capture(call, org, nano(10)).await.is_err());
    assert_eq!(left(&fixture, org).await, 40);
    stranger.execute(MEND).await.unwrap();
    fixture.capture(call, org, nano(10)).await.unwrap();
    assert_eq!(left(&fixture, org).await, 30);
}

/// What a budget of 100 for project 1, since noon, leaves.
async fn left(fixture: &Fixture, org: OrgId) -> i64 {
    let claim = BudgetClaim {
        subject: BudgetSubject::Project(ProjectId(1)),
        limit: nano(100),
        since: NOON,
    };
    let request = HoldRequest {
        budgets: vec![claim],
        ..exactly(call_id(), org, nano(101))
    };
    match fixture.ledger().hold(request).await {
        Err(HoldError::Budget { left, .. }) => left.nano(),
        other => panic!("{other:?}"),
    }
}

/// Captures 60 for each call at once; how many succeeded.
async fn charge_all(fixture: &Fixture, org: OrgId, calls: &[CallId]) -> usize {
    let capturing: Vec<_> = calls
        .iter()
        .map(|call| {
            let ledger = fixture.ledger();
            let cost = if calls.len() == 2 { 5 } else { 60 };
            let capture = capture(*call, org, vec![line(Payee::Platform, nano(cost))]);
            tokio::spawn(async move {
                tokio::time::timeout(Duration::from_secs(30), ledger.capture(capture)).await
            })
        })
        .collect();
    let mut stored = 0;
    for capture in capturing {
        stored += usize::from(capture.await.unwrap().unwrap().is_ok());
    }
    stored
}
