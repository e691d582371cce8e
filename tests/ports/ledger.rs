//! [`Ledger`]: decisions about money, made once and never beyond what there is.

use crate::{
    database::{Database, on_every_database},
    world::{World, call_id, capture, exactly, line, nano, platform_lines, transfer, wallet},
};
use haithe_billing::{
    ExpenditureScope,
    capture::Payee,
    chain::EventBody,
    hold::{HoldError, HoldRequest},
    ledger::Balance,
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{Failure, Kind, OrgId, TokenUnits, Usdt};
use haithe_orgs::Project;

async fn a_hold_takes_as_much_of_most_as_there_is(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(100)).await;
    let ledger = world.db.ledger();
    let between = |least, most| HoldRequest {
        most: nano(most),
        least: nano(least),
        ..exactly(call_id(), org.id, nano(0))
    };
    assert_eq!(ledger.hold(between(1, 70)).await.unwrap(), nano(70));
    assert_eq!(ledger.hold(between(1, 70)).await.unwrap(), nano(30));
    match ledger.hold(between(1, 70)).await {
        Err(HoldError::Funds { spendable, least }) => {
            assert_eq!((spendable, least), (nano(0), nano(1)));
        }
        other => panic!("{other:?}"),
    }
    let balance = world.balance(&org).await;
    assert_eq!(
        (balance.available, balance.held, balance.spendable()),
        (nano(100), nano(100), nano(0))
    );
}

async fn what_is_available_is_what_a_hold_would_take_and_is_not_taken(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(100)).await;
    let ledger = world.db.ledger();
    let between = |least, most| HoldRequest {
        most: nano(most),
        least: nano(least),
        ..exactly(call_id(), org.id, nano(0))
    };
    for _ in 0..3 {
        assert_eq!(ledger.available(between(1, 70)).await.unwrap(), nano(70));
        assert_eq!(ledger.available(between(1, 700)).await.unwrap(), nano(100));
    }
    assert_eq!(world.balance(&org).await.held, nano(0));
    ledger.hold(between(1, 70)).await.unwrap();
    assert_eq!(ledger.available(between(1, 70)).await.unwrap(), nano(30));
    match ledger.available(between(31, 70)).await {
        Err(HoldError::Funds { spendable, least }) => {
            assert_eq!((spendable, least), (nano(30), nano(31)));
        }
        other => panic!("{other:?}"),
    }
}

async fn what_is_covered_is_never_refused(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(10)).await;
    world.hold(&org, nano(10)).await.unwrap();
    world.hold(&org, nano(0)).await.unwrap();
    let (poor, _) = world.funded("Poor", nano(0)).await;
    world.hold(&poor, nano(0)).await.unwrap();
    let refused = world.hold(&poor, nano(1)).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (Kind::PaymentRequired, "insufficient_quota")
    );
}

async fn of_many_holds_at_once_exactly_those_that_are_covered_pass(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(1_000_000_007)).await;
    let price = nano(100_000_000);
    let holders = (0..64).map(|_| {
        let (ledger, id) = (world.db.ledger(), org.id);
        tokio::spawn(async move { ledger.hold(exactly(call_id(), id, price)).await })
    });
    let held = futures::future::join_all(holders).await;
    let passed = held.iter().filter(|held| held.as_ref().unwrap().is_ok()).count();
    assert_eq!(passed, 10);
    assert_eq!(world.balance(&org).await.spendable(), nano(7));
}

async fn a_released_hold_can_be_spent_again_and_only_once(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let call = world.hold(&org, nano(60)).await.unwrap();
    let ledger = world.db.ledger();
    ledger.release(call_id());
    assert_eq!(world.balance(&org).await.held, nano(60));
    ledger.release(call);
    ledger.release(call);
    assert_eq!(world.balance(&org).await.held, nano(0));
    let call = world.hold(&org, nano(100)).await.unwrap();
    world.capture(call, &org, &project, nano(100)).await;
    ledger.release(call);
    let balance = world.balance(&org).await;
    assert_eq!(
        (balance.available, balance.held, balance.unsettled),
        (nano(0), nano(0), nano(100))
    );
}

async fn a_capture_takes_the_cost_and_gives_the_rest_back(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let call = world.hold(&org, nano(80)).await.unwrap();
    let first = world.capture(call, &org, &project, nano(30)).await;
    assert_eq!(
        (first.charged, first.lost, first.spent_before),
        (nano(30), nano(0), nano(0))
    );
    let call = world.hold(&org, nano(70)).await.unwrap();
    let second = world.capture(call, &org, &project, nano(1)).await;
    assert_eq!((second.charged, second.spent_before), (nano(1), nano(30)));
    let expected = Balance {
        available: nano(69),
        held: nano(0),
        unsettled: nano(31),
        withdrawing: nano(0),
        onchain: nano(100),
    };
    let balance = world.balance(&org).await;
    assert_eq!(balance, expected);
    assert_eq!(balance.shown(), nano(69));
    assert_eq!(world.db.ledger().expenditure(org.id).await.unwrap(), nano(31));
    world.assert_sound().await;
}

async fn a_call_that_costs_more_takes_what_is_free_and_the_rest_is_the_platforms_loss(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let other = world.hold(&org, nano(50)).await.unwrap();
    let call = world.hold(&org, nano(20)).await.unwrap();
    let captured = world.capture(call, &org, &project, nano(90)).await;
    assert_eq!((captured.charged, captured.lost), (nano(50), nano(40)));
    let balance = world.balance(&org).await;
    assert_eq!(
        (balance.available, balance.held),
        (nano(50), nano(50)),
        "another call's hold is untouched"
    );
    let captured = world.capture(other, &org, &project, nano(50)).await;
    assert_eq!((captured.charged, captured.lost), (nano(50), nano(0)));
    world.assert_sound().await;
}

async fn a_capture_again_gives_the_first_answer_and_takes_nothing(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    let call = world.hold(&org, nano(40)).await.unwrap();
    let captures = (0..16).map(|_| {
        let ledger = world.db.ledger();
        let capture = capture(call, org.id, &project, platform_lines(nano(40)));
        tokio::spawn(async move { ledger.capture(capture).await.unwrap() })
    });
    for answer in futures::future::join_all(captures).await {
        let answer = answer.unwrap();
        assert_eq!((answer.charged, answer.spent_before), (nano(40), nano(0)));
    }
    let later = world.capture(call, &org, &project, nano(99)).await;
    assert_eq!(later.charged, nano(40));
    let world = world.reopened().await;
    let after_restart = world.capture(call, &org, &project, nano(99)).await;
    assert_eq!(after_restart.charged, nano(40));
    assert_eq!(world.balance(&org).await.available, nano(60));
    world.assert_sound().await;
}

async fn a_restart_forgets_holds_and_keeps_captures(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(100)).await;
    world.hold(&org, nano(50)).await.unwrap();
    world.spend(&org, &project, nano(10)).await;
    let world = world.reopened().await;
    let balance = world.balance(&org).await;
    assert_eq!(
        (balance.available, balance.held, balance.unsettled),
        (nano(90), nano(0), nano(10))
    );
    assert_eq!(world.db.ledger().expenditure(org.id).await.unwrap(), nano(10));
    world.hold(&org, nano(90)).await.unwrap();
    world.assert_sound().await;
}

async fn many_captures_at_once_sum_to_the_nano(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(1_000_000)).await;
    let calls = (0..200i64).map(|number| {
        let ledger = world.db.ledger();
        let call = call_id();
        let capture = capture(call, org.id, &project, platform_lines(nano(number)));
        let id = org.id;
        tokio::spawn(async move {
            ledger.hold(exactly(call, id, nano(1000))).await.unwrap();
            if number % 5 == 0 {
                ledger.release(call);
                return nano(0);
            }
            ledger.capture(capture).await.unwrap().charged
        })
    });
    let charged = futures::future::join_all(calls).await;
    let total: Usdt = charged.into_iter().map(|charged| charged.unwrap()).sum();
    assert_eq!(total, nano((0..200).filter(|number| number % 5 != 0).sum()));
    let balance = world.balance(&org).await;
    assert_eq!(balance.available.nano() + total.nano(), 1_000_000);
    assert_eq!((balance.held, balance.unsettled), (nano(0), total));
    world.assert_sound().await;
}

async fn organizations_do_not_share_money(db: impl Database) {
    let mut world = World::over(db).await;
    let (rich, _) = world.funded("Rich", nano(100)).await;
    let (poor, _) = world.funded("Poor", nano(1)).await;
    assert!(world.hold(&poor, nano(2)).await.is_err());
    world.hold(&rich, nano(100)).await.unwrap();
    world.hold(&poor, nano(1)).await.unwrap();
}

async fn an_unknown_organization_can_hold_nothing(db: impl Database) {
    let world = World::over(db).await;
    let held = world
        .db
        .ledger()
        .hold(exactly(call_id(), OrgId(77), nano(1)))
        .await;
    assert!(held.is_err());
}

async fn a_deposit_can_be_spent_once_it_is_confirmed(db: impl Database) {
    let mut world = World::over(db).await;
    world.confirmations = 3;
    world.finality = 5;
    let (org, _) = world.funded("Acme", nano(100)).await;
    let balance = world.balance(&org).await;
    assert_eq!((balance.available, balance.onchain), (nano(0), nano(100)));
    assert!(world.hold(&org, nano(1)).await.is_err());
    world.mine_empty(1).await;
    assert!(world.hold(&org, nano(1)).await.is_err());
    world.mine_empty(1).await;
    world.hold(&org, nano(100)).await.unwrap();
}

async fn a_rewound_deposit_freezes_an_organization_that_spent_it(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(30)).await;
    world.deposit(&org, nano(70)).await;
    world.spend(&org, &project, nano(50)).await;
    world.rewind(1).await;
    let balance = world.balance(&org).await;
    assert_eq!((balance.available, balance.onchain), (nano(-20), nano(30)));
    assert_eq!(balance.spendable(), nano(0));
    assert!(world.hold(&org, nano(1)).await.is_err());
    world.assert_sound().await;
    world.deposit(&org, nano(70)).await;
    assert_eq!(world.balance(&org).await.available, nano(50));
    world.hold(&org, nano(50)).await.unwrap();
    world.assert_sound().await;
}

async fn payees_are_credited_when_the_batch_is_final_and_not_before(db: impl Database) {
    let mut world = World::over(db).await;
    let (payer, _) = world.funded("Payer", nano(100)).await;
    let (seller, public) = world.funded("Seller", nano(5)).await;
    let call = world.hold(&payer, nano(60)).await.unwrap();
    let lines = vec![
        line(Payee::Platform, nano(40)),
        line(Payee::Organization(seller.id), nano(20)),
    ];
    world
        .db
        .ledger()
        .capture(capture(call, payer.id, &public, lines))
        .await
        .unwrap();
    assert_eq!(
        world.balance(&seller).await.available,
        nano(5),
        "pending earnings are not spendable"
    );
    world.settle().await;
    assert_eq!(world.balance(&seller).await.available, nano(25));
    let expected = Balance {
        available: nano(40),
        onchain: nano(40),
        ..Balance::default()
    };
    assert_eq!(world.balance(&payer).await, expected);
    world.assert_sound().await;
}

async fn amounts_the_token_cannot_express_are_no_reason_to_stop(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, _) = world.funded("Acme", nano(100)).await;
    let whale = EventBody::Transfer {
        from: wallet(9),
        to: org.address,
        amount: None,
    };
    world.mine_one(whale).await;
    let vast = transfer(wallet(9), org.address, TokenUnits::new(u128::MAX));
    world.mine_one(vast).await;
    world.deposit(&org, nano(1)).await;
    assert_eq!(world.balance(&org).await.available, nano(101));
    world.assert_sound().await;
}

/// Captures `amount` of a project; what the scope had spent before.
async fn spend_in<D: Database>(
    world: &World<D>,
    project: &Project,
    key: Option<ApiKeyId>,
    scope: ExpenditureScope,
    amount: i64,
) -> i64 {
    let call = call_id();
    let ledger = world.db.ledger();
    ledger
        .hold(exactly(call, project.org, nano(amount)))
        .await
        .unwrap();
    let mut capture = capture(call, project.org, project, platform_lines(nano(amount)));
    capture.usage.api_key = key;
    capture.expenditure = scope;
    ledger.capture(capture).await.unwrap().spent_before.nano()
}

/// Finding 22: what was spent before is told of the scope that the capture names, without gaps and also after
/// a restart.
async fn a_capture_says_what_its_scope_had_spent(db: impl Database) {
    use ExpenditureScope::{ApiKey, Organization, Project as OfProject};
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(1_000)).await;
    let (other, key) = (world.project(&org).await, Some(ApiKeyId(7)));
    assert_eq!(spend_in(&world, &other, None, OfProject, 100).await, 0);
    assert_eq!(spend_in(&world, &project, key, OfProject, 10).await, 0);
    assert_eq!(spend_in(&world, &other, key, ApiKey, 1).await, 10);
    assert_eq!(spend_in(&world, &project, None, OfProject, 20).await, 10);
    let world = world.reopened().await;
    assert_eq!(spend_in(&world, &project, key, ApiKey, 2).await, 11);
    assert_eq!(spend_in(&world, &project, None, OfProject, 0).await, 32);
    assert_eq!(spend_in(&world, &other, None, OfProject, 0).await, 101);
    assert_eq!(spend_in(&world, &other, None, Organization, 0).await, 133);
    assert_eq!(
        spend_in(&world, &project, None, ApiKey, 0).await,
        32,
        "without a key"
    );
}

on_every_database!(
    what_is_available_is_what_a_hold_would_take_and_is_not_taken,
    a_capture_says_what_its_scope_had_spent,
    a_hold_takes_as_much_of_most_as_there_is,
    what_is_covered_is_never_refused,
    of_many_holds_at_once_exactly_those_that_are_covered_pass,
    a_released_hold_can_be_spent_again_and_only_once,
    a_capture_takes_the_cost_and_gives_the_rest_back,
    a_call_that_costs_more_takes_what_is_free_and_the_rest_is_the_platforms_loss,
    a_capture_again_gives_the_first_answer_and_takes_nothing,
    a_restart_forgets_holds_and_keeps_captures,
    many_captures_at_once_sum_to_the_nano,
    organizations_do_not_share_money,
    an_unknown_organization_can_hold_nothing,
    a_deposit_can_be_spent_once_it_is_confirmed,
    a_rewound_deposit_freezes_an_organization_that_spent_it,
    payees_are_credited_when_the_batch_is_final_and_not_before,
    amounts_the_token_cannot_express_are_no_reason_to_stop,
);
