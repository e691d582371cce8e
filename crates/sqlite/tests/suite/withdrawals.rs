//! Withdrawals: frozen at first sight, ended once their end is final.

use crate::fixture::{DAY, Fixture, OWNER, contract, created, nano, transfer, units, wallet};
use haithe_billing::{chain::EventBody, hold::HoldError, ledger::Balance, ports::Books};
use haithe_kernel::{Timestamp, Usdt};
use std::time::Duration;

fn requested(fixture: &Fixture, amount: Option<u128>) -> EventBody {
    EventBody::WithdrawalRequested {
        org: contract(1),
        to: OWNER,
        amount,
        ready_at: ready_at(fixture),
    }
}

/// A day after the newest block.
fn ready_at(fixture: &Fixture) -> Timestamp {
    fixture.head.unwrap().time.plus(Duration::from_secs(DAY))
}

/// The transaction that executes a withdrawal of so many base units.
fn executed(amount: u128) -> Vec<EventBody> {
    let executed = EventBody::WithdrawalExecuted {
        org: contract(1),
        to: OWNER,
        amount: Some(amount),
    };
    vec![executed, transfer(contract(1), OWNER, amount)]
}

const CANCELLED: EventBody = EventBody::WithdrawalCancelled { org: contract(1) };

async fn days(fixture: &mut Fixture, days: u64) {
    fixture
        .mine_later(Duration::from_secs(days * DAY), Vec::new())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_void_a_day_after_it_was_ready() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    let request = requested(&fixture, Some(units(nano(60))));
    fixture.mine(vec![request]).await;
    days(&mut fixture, 1).await;
    assert_eq!(fixture.balance(org).await.withdrawing, nano(60));
    fixture.mine_later(Duration::from_secs(DAY - 2), Vec::new()).await;
    assert_eq!(
        fixture.balance(org).await.withdrawing,
        nano(60),
        "its window is still open"
    );
    fixture.mine_later(Duration::from_secs(2), Vec::new()).await;
    let balance = fixture.balance(org).await;
    assert_eq!((balance.withdrawing, balance.spendable()), (nano(0), nano(100)));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_void_only_when_that_is_final() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    let request = requested(&fixture, Some(units(nano(60))));
    fixture.mine(vec![request]).await;
    fixture.finality = 3;
    days(&mut fixture, 3).await;
    days(&mut fixture, 1).await;
    assert_eq!(fixture.balance(org).await.withdrawing, nano(60));
    let passed = fixture.head.unwrap();
    days(&mut fixture, 1).await;
    assert_eq!(fixture.balance(org).await.withdrawing, nano(0));
    fixture.rewind(passed).await;
    assert_eq!(
        fixture.balance(org).await.withdrawing,
        nano(0),
        "what remains is enough to know it"
    );
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_a_request_stands_still_during_a_pause() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    let request = requested(&fixture, Some(units(nano(60))));
    fixture.mine(vec![request, EventBody::Paused]).await;
    days(&mut fixture, 5).await;
    fixture.mine(vec![EventBody::Unpaused]).await;
    days(&mut fixture, 1).await;
    assert_eq!(
        fixture.balance(org).await.withdrawing,
        nano(60),
        "one active day has passed"
    );
    fixture.mine_transactions(vec![executed(units(nano(60)))]).await;
    let expected = Balance {
        available: nano(40),
        onchain: nano(40),
        ..Balance::default()
    };
    assert_eq!(fixture.balance(org).await, expected);
    assert!(fixture.index().alarms().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_frees_once_it_is_final() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.finality = 3;
    let request = requested(&fixture, Some(units(nano(60))));
    fixture.mine(vec![request, CANCELLED]).await;
    fixture.mine(Vec::new()).await;
    assert_eq!(fixture.balance(org).await.spendable(), nano(40));
    fixture.mine(Vec::new()).await;
    assert_eq!(fixture.balance(org).await.spendable(), nano(100));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_everything_halts_all_spending_until_it_is_over() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    let request = requested(&fixture, None);
    fixture.mine(vec![request]).await;
    assert_eq!(fixture.balance(org).await.withdrawing, nano(100));
    fixture.mine(vec![crate::fixture::deposit(1, nano(50))]).await;
    let refused = fixture.hold(org, nano(1)).await;
    assert!(
        matches!(
            refused,
            Err(HoldError::Funds {
                spendable: Usdt::ZERO,
                ..
            })
        ),
        "later deposits too"
    );
    let fixture_again = fixture.reopened().await;
    assert!(
        fixture_again.hold(org, nano(1)).await.is_err(),
        "also after a restart"
    );
    let mut fixture = fixture_again;
    fixture.mine_transactions(vec![executed(units(nano(150)))]).await;
    assert_eq!(fixture.balance(org).await, Balance::default());
    fixture.mine(vec![crate::fixture::deposit(1, nano(8))]).await;
    fixture.hold(org, nano(8)).await.unwrap();
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_of_vast_requests_stops_the_index() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.finality = 50;
    let vast = units(Usdt::MAX) / 3;
    for _ in 0..8 {
        let request = requested(&fixture, Some(vast));
        fixture.mine(vec![request, CANCELLED]).await;
    }
    assert!(fixture.hold(org, nano(1)).await.is_err());
    fixture.finality = 1;
    fixture.mine(Vec::new()).await;
    let balance = fixture.balance(org).await;
    assert_eq!((balance.withdrawing, balance.spendable()), (nano(0), nano(100)));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_to_another_organization_is_a_deposit_there() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    fixture.mine(vec![created(2)]).await;
    let other = fixture.org(2).await;
    let request = requested(&fixture, Some(units(nano(60))));
    fixture.mine(vec![request]).await;
    let amount = units(nano(60));
    let executed = EventBody::WithdrawalExecuted {
        org: contract(1),
        to: contract(2),
        amount: Some(amount),
    };
    fixture
        .mine_transactions(vec![vec![executed, transfer(contract(1), contract(2), amount)]])
        .await;
    assert_eq!(fixture.balance(org).await.onchain, nano(40));
    let arrived = fixture.balance(other).await;
    assert_eq!((arrived.available, arrived.onchain), (nano(60), nano(60)));
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_nano_leave_from_the_dust_first() {
    let (mut fixture, org) = Fixture::funded(nano(10)).await;
    fixture
        .mine(vec![transfer(wallet(9), contract(1), 300_000_000)])
        .await;
    let all = units(nano(10)) + 300_000_000;
    let request = requested(&fixture, Some(all));
    fixture.mine(vec![request]).await;
    assert_eq!(fixture.balance(org).await.withdrawing, nano(11), "rounded up");
    fixture.mine_transactions(vec![executed(all)]).await;
    assert_eq!(fixture.balance(org).await, Balance::default());
    let snapshot = fixture.books().snapshot().await.unwrap();
    assert_eq!(snapshot.orgs[0].dust.get(), 0);
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dust_a_part_of_a_nano_costs_a_whole_one_and_leaves_dust() {
    let (mut fixture, org) = Fixture::funded(nano(10)).await;
    let request = requested(&fixture, Some(units(nano(5))));
    fixture.mine(vec![request]).await;
    fixture
        .mine_transactions(vec![executed(units(nano(4)) + 1)])
        .await;
    let balance = fixture.balance(org).await;
    assert_eq!((balance.available, balance.onchain), (nano(5), nano(5)));
    let snapshot = fixture.books().snapshot().await.unwrap();
    assert_eq!(snapshot.orgs[0].dust.get(), 999_999_999);
    fixture.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_seen_and_not_final_is_on_its_way_out() {
    let (mut fixture, org) = Fixture::funded(nano(100)).await;
    let request = requested(&fixture, Some(units(nano(60))));
    fixture.mine(vec![request]).await;
    let before = fixture.head.unwrap();
    fixture.finality = 3;
    fixture.mine_transactions(vec![executed(units(nano(60)))]).await;
    let balance = fixture.balance(org).await;
    assert_eq!((balance.withdrawing, balance.onchain), (nano(60), nano(40)));
    let snapshot = fixture.books().snapshot().await.unwrap();
    assert_eq!(snapshot.orgs[0].unconfirmed_out.get(), units(nano(60)));
    fixture.rewind(before).await;
    assert_eq!(fixture.balance(org).await.onchain, nano(100));
}
