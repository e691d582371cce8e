//! A line that cannot be settled moves nothing, says why, and leaves the others alone.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheOrchestrator, Line, TrickyToken},
    scene::line,
    world::{
        Money, TOKEN_BURNS_GAS, TOKEN_FLOODS, TOKEN_LIES, TOKEN_RETURNS_FALSE, TOKEN_REVERTS, TOKEN_SILENT,
        TOKEN_TAKES_FEE, World, event, reason,
    },
};

/// Settles `bad` between two good lines; returns the report after checking that only the good ones moved money.
async fn skipped(world: &World, good: Address, bad: Line) -> HaitheOrchestrator::LineSkipped {
    let one = world.usdt(1);
    let total = bad.credits.iter().fold(U256::from(bad.platform), |sum, credit| {
        sum + U256::from(credit.amount)
    });
    let watched = [
        bad.org,
        *world.identity.address(),
        world.people.cora.address,
        world.people.mallory.address,
    ];
    let mut before = Vec::new();
    for address in watched {
        before.push(world.balance(address).await);
    }
    let good_before = world.balance(good).await;
    let credited = world.identity.totalFunds().call().await.unwrap();
    let seq = world.hub.nextBatch().call().await.unwrap();

    let receipt = world
        .settle(vec![line(good, one, &[]), bad.clone(), line(good, one, &[])])
        .await;

    for (address, before) in watched.into_iter().zip(before) {
        assert_eq!(world.balance(address).await, before);
    }
    assert_eq!(world.balance(good).await, good_before - one - one);
    assert_eq!(world.identity.totalFunds().call().await.unwrap(), credited);
    let batch: HaitheOrchestrator::BatchSettled = event(&receipt);
    assert_eq!((batch.total, batch.skipped), (one + one, U256::ONE));
    let mut settled = Vec::new();
    for i in 0..3 {
        settled.push(world.hub.lineSettled(seq, i).call().await.unwrap());
    }
    assert_eq!(settled, [true, false, true]);
    let skipped: HaitheOrchestrator::LineSkipped = event(&receipt);
    assert_eq!((skipped.seq, skipped.line), (seq, U256::ONE));
    assert_eq!((skipped.organization, skipped.amount), (bad.org, total));
    skipped
}

struct Scene {
    world: World,
    good: Address,
    org: Address,
}

async fn scene(money: Money) -> Scene {
    let world = World::with(money).await;
    let good = world.organization("good", &world.people.alice, 1_000).await;
    let org = world.organization("other", &world.people.bob, 100).await;
    world.creator(&world.people.cora).await;
    Scene { world, good, org }
}

#[tokio::test]
async fn without_enough_money() {
    let Scene { world, good, org } = scene(Money::Plain(18)).await;
    let cora = world.people.cora.address;
    let skipped = skipped(&world, good, line(org, world.usdt(60), &[(cora, world.usdt(41))])).await;
    let error: HaitheOrchestrator::InsufficientFunds = reason(&skipped.reason);
    assert_eq!(
        (error.organization, error.held, error.needed),
        (org, world.usdt(100), world.usdt(101))
    );
}

#[tokio::test]
async fn over_the_daily_cap() {
    let Scene { world, good, org } = scene(Money::Plain(18)).await;
    world
        .act(&world.people.bob, world.org(org).setDailyCap(world.usdt(10)))
        .await;
    world.chain.advance_time(crate::world::DAY);
    world.settle(vec![line(org, world.usdt(7), &[])]).await;

    let skipped = skipped(&world, good, line(org, world.usdt(4), &[])).await;

    let error: HaitheOrchestrator::DailyCapExceeded = reason(&skipped.reason);
    assert_eq!(
        (error.organization, error.cap, error.wouldBe),
        (org, world.usdt(10), world.usdt(11))
    );
}

#[tokio::test]
async fn with_an_unknown_payee_even_after_known_ones() {
    let Scene { world, good, org } = scene(Money::Plain(18)).await;
    let credits = [
        (world.people.cora.address, world.usdt(1)),
        (good, world.usdt(1)),
        (world.people.mallory.address, world.usdt(1)),
    ];
    let skipped = skipped(&world, good, line(org, world.usdt(1), &credits)).await;
    let error: HaitheOrchestrator::UnknownPayee = reason(&skipped.reason);
    assert_eq!(error.payee, world.people.mallory.address);
}

#[tokio::test]
async fn of_an_address_that_is_no_organization() {
    let Scene { world, good, .. } = scene(Money::Plain(18)).await;
    for stranger in [world.people.mallory.address, *world.identity.address()] {
        let skipped = skipped(&world, good, line(stranger, U256::ZERO, &[])).await;
        let error: HaitheOrchestrator::UnknownOrganization = reason(&skipped.reason);
        assert_eq!(error.organization, stranger);
    }
}

#[tokio::test]
async fn that_pays_its_own_organization() {
    let Scene { world, good, org } = scene(Money::Plain(18)).await;
    let skipped = skipped(&world, good, line(org, world.usdt(1), &[(org, world.usdt(1))])).await;
    let error: HaitheOrchestrator::PayeeIsPayer = reason(&skipped.reason);
    assert_eq!(error.organization, org);
}

/// A line of `org` alone, with a token that misbehaves as told.
async fn with_a_bad_token(mode: u8) -> (World, HaitheOrchestrator::LineSkipped) {
    let Scene { world, org, .. } = scene(Money::Tricky(6)).await;
    world.misbehave(mode).await;
    let cora = world.people.cora.address;
    let receipt = world
        .settle(vec![line(org, world.usdt(1), &[(cora, world.usdt(2))])])
        .await;
    let skipped: HaitheOrchestrator::LineSkipped = event(&receipt);

    assert_eq!(world.balance(org).await, world.usdt(100));
    assert_eq!(world.hub.platformFunds().call().await.unwrap(), U256::ZERO);
    assert_eq!(world.identity.totalFunds().call().await.unwrap(), U256::ZERO);

    // The token recovers and the same money moves in the next batch.
    world.misbehave(TOKEN_SILENT).await;
    world
        .settle(vec![line(org, world.usdt(1), &[(cora, world.usdt(2))])])
        .await;
    assert_eq!(world.balance(org).await, world.usdt(97));
    (world, skipped)
}

#[tokio::test]
async fn because_the_token_returns_false() {
    let (world, skipped) = with_a_bad_token(TOKEN_RETURNS_FALSE).await;
    let error: HaitheOrchestrator::SafeERC20FailedOperation = reason(&skipped.reason);
    assert_eq!(error.token, *world.token.address());
}

#[tokio::test]
async fn because_the_token_reverts() {
    let (world, skipped) = with_a_bad_token(TOKEN_REVERTS).await;
    let error: TrickyToken::Refused = reason(&skipped.reason);
    assert_eq!(error.to, *world.hub.address());
}

#[tokio::test]
async fn because_the_token_burns_all_gas() {
    let (_, skipped) = with_a_bad_token(TOKEN_BURNS_GAS).await;
    assert!(skipped.reason.is_empty());
}

#[tokio::test]
async fn because_the_token_floods_and_only_the_first_bytes_are_kept() {
    let (_, skipped) = with_a_bad_token(TOKEN_FLOODS).await;
    assert_eq!(skipped.reason.len(), 256);
}

#[tokio::test]
async fn because_the_token_takes_a_fee() {
    let (world, skipped) = with_a_bad_token(TOKEN_TAKES_FEE).await;
    let error: HaitheOrchestrator::WrongAmountReceived = reason(&skipped.reason);
    assert_eq!(
        (error.expected, error.received),
        (world.usdt(3), U256::from(2_970_000))
    );
}

#[tokio::test]
async fn because_the_token_says_yes_and_moves_nothing() {
    let (_, skipped) = with_a_bad_token(TOKEN_LIES).await;
    let error: HaitheOrchestrator::WrongAmountReceived = reason(&skipped.reason);
    assert_eq!(error.received, U256::ZERO);
}

#[tokio::test]
async fn because_the_token_refuses_one_payee() {
    let Scene { world, good, org } = scene(Money::Tricky(6)).await;
    let payee = world.organization("refused", &world.people.walter, 0).await;
    world
        .act(&world.people.mallory, world.token.setBlocked(payee, true))
        .await;
    let skipped = skipped(&world, good, line(org, world.usdt(1), &[(payee, world.usdt(1))])).await;
    let error: TrickyToken::Refused = reason(&skipped.reason);
    assert_eq!(error.to, payee);
}
