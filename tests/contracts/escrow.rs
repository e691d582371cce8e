//! Escrow: what earlier lines settled as the platform's share because its payees could not be paid, paid out by a line
//! whose payer is the orchestrator.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheOrchestrator, Line},
    scene::line,
    world::{
        DAY, Money, People, TOKEN_REVERTS, TOKEN_SILENT, TOKEN_TAKES_FEE, World, event, reason,
        with_every_money,
    },
};

/// Settles one line that has to be skipped, moving nothing; returns the report.
async fn skipped(world: &World, bad: Line) -> HaitheOrchestrator::LineSkipped {
    let hub = *world.hub.address();
    let before = (
        world.balance(hub).await,
        world.hub.platformFunds().call().await.unwrap(),
        world.identity.totalFunds().call().await.unwrap(),
    );
    let receipt = world.settle(vec![bad]).await;
    let after = (
        world.balance(hub).await,
        world.hub.platformFunds().call().await.unwrap(),
        world.identity.totalFunds().call().await.unwrap(),
    );
    assert_eq!(before, after);
    let skipped: HaitheOrchestrator::LineSkipped = event(&receipt);
    assert_eq!(skipped.organization, hub);
    skipped
}

/// A world whose platform has 10 tokens, and an organization of bob.
async fn earned(money: Money) -> (World, Address) {
    let world = World::with(money).await;
    let payer = world.organization("acme", &world.people.alice, 100).await;
    let payee = world.organization("payee", &world.people.bob, 0).await;
    world.settle(vec![line(payer, world.usdt(10), &[])]).await;
    (world, payee)
}

with_every_money! {
    async fn escrow_is_paid_out_of_the_platforms_share(world: World) {
        let People { alice, bob, cora, operator, .. } = &world.people;
        let hub = *world.hub.address();
        let payer = world.organization("acme", alice, 100).await;
        let payee = world.organization("payee", bob, 0).await;
        world.settle(vec![line(payer, world.usdt(10), &[])]).await;
        let id = world.creator(cora).await;

        let credits = [(payee, world.usdt(3)), (cora.address, world.usdt(4))];
        let ordinary = line(payer, U256::ZERO, &[(cora.address, world.usdt(1))]);
        let receipt = world.settle(vec![line(hub, U256::ZERO, &credits), ordinary]).await;

        let paid: HaitheOrchestrator::EscrowPaid = event(&receipt);
        assert_eq!((paid.amount, paid.spender), (world.usdt(7), world.people.server.address));
        let batch: HaitheOrchestrator::BatchSettled = event(&receipt);
        assert_eq!((batch.total, batch.skipped), (world.usdt(8), U256::ZERO));
        let credited: HaitheOrchestrator::CreatorCredited = event(&receipt);
        assert_eq!((credited.id, credited.amount), (id, world.usdt(5)), "both lines in one event");
        assert_eq!(world.balance(payee).await, world.usdt(3));
        assert_eq!(world.hub.platformFunds().call().await.unwrap(), world.usdt(3));
        world.act(operator, world.hub.withdrawPlatform(operator.address, world.usdt(3))).await;
        world.act(cora, world.identity.withdrawFunds(id)).await;
        assert_eq!(world.balance(hub).await, U256::ZERO, "everything has an owner");
    }
}

#[tokio::test]
async fn more_than_the_platform_has_is_not_paid() {
    let (world, payee) = earned(Money::Plain(18)).await;
    let hub = *world.hub.address();
    let above = world.usdt(10) + U256::ONE;
    let report = skipped(&world, line(hub, U256::ZERO, &[(payee, above)])).await;
    let error: HaitheOrchestrator::InsufficientFunds = reason(&report.reason);
    assert_eq!((error.organization, error.held), (hub, world.usdt(10)));
    world
        .settle(vec![line(hub, U256::ZERO, &[(payee, world.usdt(10))])])
        .await;
    assert_eq!(world.balance(payee).await, world.usdt(10));
}

#[tokio::test]
async fn an_escrow_line_cannot_touch_what_creators_earned() {
    let (world, payee) = earned(Money::Plain(18)).await;
    let cora = &world.people.cora;
    let id = world.creator(cora).await;
    let hub = *world.hub.address();
    let all = line(hub, U256::ZERO, &[(cora.address, world.usdt(10))]);
    world.settle(vec![all]).await;
    let report = skipped(&world, line(hub, U256::ZERO, &[(payee, U256::ONE)])).await;
    let _: HaitheOrchestrator::InsufficientFunds = reason(&report.reason);
    assert_eq!(world.identity.funds(id).call().await.unwrap(), world.usdt(10));
}

#[tokio::test]
async fn an_escrow_line_has_no_platform_share_and_only_known_payees() {
    let (world, payee) = earned(Money::Plain(18)).await;
    let hub = *world.hub.address();
    let share = line(hub, U256::ONE, &[(payee, U256::ONE)]);
    let _: HaitheOrchestrator::PlatformShareOfEscrow = reason(&skipped(&world, share).await.reason);
    for stranger in [world.people.mallory.address, hub, *world.identity.address()] {
        let bad = line(hub, U256::ZERO, &[(payee, U256::ONE), (stranger, U256::ONE)]);
        let _: HaitheOrchestrator::UnknownPayee = reason(&skipped(&world, bad).await.reason);
    }
}

#[tokio::test]
async fn a_payment_that_the_token_refuses_or_shortens_leaves_the_escrow_in() {
    let (world, payee) = earned(Money::Tricky(6)).await;
    let cora = &world.people.cora;
    world.creator(cora).await;
    let hub = *world.hub.address();
    let pays = || {
        line(
            hub,
            U256::ZERO,
            &[(cora.address, world.usdt(1)), (payee, world.usdt(1))],
        )
    };
    for mode in [TOKEN_REVERTS, TOKEN_TAKES_FEE] {
        world.misbehave(mode).await;
        skipped(&world, pays()).await;
    }
    world.misbehave(TOKEN_SILENT).await;
    world.settle(vec![pays()]).await;
    assert_eq!(world.balance(payee).await, world.usdt(1));
}

#[tokio::test]
async fn a_day_of_escrow_is_held_to_the_initial_daily_cap() {
    let cap = U256::from(6) * U256::from(10).pow(U256::from(18));
    let world = World::with_cap(Money::Plain(18), cap).await;
    let hub = *world.hub.address();
    let payer = world.organization("acme", &world.people.alice, 100).await;
    let payee = world.organization("payee", &world.people.bob, 0).await;
    for _ in 0..2 {
        world.settle(vec![line(payer, world.usdt(5), &[])]).await;
        world.chain.advance_time(DAY);
    }
    let pays = |whole| line(hub, U256::ZERO, &[(payee, world.usdt(whole))]);
    world.settle(vec![pays(4)]).await;
    let report = skipped(&world, pays(3)).await;
    let error: HaitheOrchestrator::DailyCapExceeded = reason(&report.reason);
    assert_eq!((error.organization, error.wouldBe), (hub, world.usdt(7)));
    world.settle(vec![pays(2)]).await;
    world.chain.advance_time(DAY);
    world.settle(vec![pays(3)]).await;
    assert_eq!(world.balance(payee).await, world.usdt(9));
}
