//! [`Ledger`]: what may be spent besides the balance: withdrawals freeze, caps and budgets bound.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, call_id, capture, exactly, nano, platform_lines, transfer, wallet},
};
use haithe_billing::{
    chain::EventBody,
    hold::{BudgetClaim, BudgetSubject, HoldError, HoldRequest},
    ledger::Balance,
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, Usdt};
use std::time::Duration;

async fn a_withdrawal_freezes_at_first_sight(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(100)).await;
    world.confirmations = 10;
    world.finality = 20;
    let requested = withdrawal(&world, &org, nano(70));
    world.mine_one(requested).await;
    let balance = world.balance(&org).await;
    assert_eq!((balance.withdrawing, balance.spendable()), (nano(70), nano(30)));
    assert!(world.hold(&org, nano(31)).await.is_err());
    world
        .mine_one(EventBody::WithdrawalCancelled { org: org.address })
        .await;
    world.mine_empty(20).await;
    assert_eq!(world.balance(&org).await.spendable(), nano(100));
    world.assert_sound().await;
}

async fn a_withdrawal_beyond_what_is_left_freezes_later_deposits_too(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    world.spend(&org, &project, nano(60)).await;
    let requested = withdrawal(&world, &org, nano(100));
    world.mine_one(requested).await;
    assert_eq!(world.balance(&org).await.spendable(), nano(0));
    world.deposit(&org, nano(50)).await;
    assert_eq!(
        world.balance(&org).await.spendable(),
        nano(0),
        "60 are owed, 100 may leave, 150 are there"
    );
    world.deposit(&org, nano(15)).await;
    assert_eq!(world.balance(&org).await.spendable(), nano(5));
    world.assert_sound().await;
}

async fn an_executed_withdrawal_leaves_once_it_is_final(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(100)).await;
    let requested = withdrawal(&world, &org, nano(70));
    world.mine_one(requested).await;
    let units = world.units(nano(70));
    let executed = EventBody::WithdrawalExecuted {
        org: org.address,
        to: wallet(1),
        amount: Some(units.get()),
    };
    world
        .mine(vec![vec![transfer(org.address, wallet(1), units), executed]])
        .await;
    world.mine_empty(1).await;
    let expected = Balance {
        available: nano(30),
        onchain: nano(30),
        ..Balance::default()
    };
    assert_eq!(world.balance(&org).await, expected);
    world.assert_sound().await;
}

async fn the_tightest_daily_cap_now_or_scheduled_bounds_a_day(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(1000)).await;
    let cap = |world: &World<_>, amount, after| EventBody::DailyCapChanged {
        org: org.address,
        cap: Some(world.units(nano(amount)).get()),
        effective_at: NOON.plus(Duration::from_secs(after)),
    };
    let raised = cap(&world, 100, 0);
    world.mine_one(raised).await;
    world.spend(&org, &project, nano(60)).await;
    let held = world.hold(&org, nano(30)).await.unwrap();
    match world.hold(&org, nano(11)).await {
        Err(HoldError::DailyCap { left }) => assert_eq!(left, nano(10)),
        other => panic!("{other:?}"),
    }
    world.db.ledger().release(held);
    let scheduled = cap(&world, 70, 86_400);
    world.mine_one(scheduled).await;
    assert!(matches!(
        world.hold(&org, nano(11)).await,
        Err(HoldError::DailyCap { .. })
    ));
    world.hold(&org, nano(10)).await.unwrap();
}

async fn a_budget_bounds_what_is_captured_and_held_since_its_window_began(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(1000)).await;
    let ledger = world.db.ledger();
    let claim = |subject, limit, since| BudgetClaim {
        subject,
        limit: nano(limit),
        since,
    };
    let within = |call: CallId, amount, claim| HoldRequest {
        budgets: vec![claim],
        ..exactly(call, org.id, nano(amount))
    };
    let of_project = BudgetSubject::Project(project.id);
    let midnight = NOON.minus(Duration::from_secs(12 * 3600));
    let first = call_id();
    ledger
        .hold(within(first, 60, claim(of_project, 100, midnight)))
        .await
        .unwrap();
    ledger
        .capture(capture(first, org.id, &project, platform_lines(nano(50))))
        .await
        .unwrap();
    ledger
        .hold(within(call_id(), 30, claim(of_project, 100, midnight)))
        .await
        .unwrap();
    match ledger
        .hold(within(call_id(), 21, claim(of_project, 100, midnight)))
        .await
    {
        Err(HoldError::Budget { subject, left }) => assert_eq!((subject, left), (of_project, nano(20))),
        other => panic!("{other:?}"),
    }
    let tomorrow = NOON.plus(Duration::from_secs(86_400));
    ledger
        .hold(within(call_id(), 21, claim(of_project, 100, tomorrow)))
        .await
        .unwrap();
    let of_key = BudgetSubject::ApiKey(ApiKeyId(1));
    ledger
        .hold(within(call_id(), 21, claim(of_key, 100, midnight)))
        .await
        .unwrap();
}

fn withdrawal<D: Database>(world: &World<D>, org: &haithe_orgs::Organization, amount: Usdt) -> EventBody {
    EventBody::WithdrawalRequested {
        org: org.address,
        to: wallet(1),
        amount: Some(world.units(amount).get()),
        ready_at: NOON.plus(Duration::from_secs(86_400)),
    }
}

on_every_database!(
    a_withdrawal_freezes_at_first_sight,
    a_withdrawal_beyond_what_is_left_freezes_later_deposits_too,
    an_executed_withdrawal_leaves_once_it_is_final,
    the_tightest_daily_cap_now_or_scheduled_bounds_a_day,
    a_budget_bounds_what_is_captured_and_held_since_its_window_began,
);
