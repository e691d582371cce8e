//! The owner's way to the money: announced, delayed, bounded in time, and never stuck.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheOrchestrator, HaitheOrganization},
    scene::line,
    world::{DAY, DELAY, HOUR, World, event, with_every_money},
};

with_every_money! {
    async fn the_owner_withdraws_after_the_delay(world: World) {
        let (alice, bob) = (&world.people.alice, &world.people.bob);
        let org = world.org(world.organization("acme", alice, 100).await);
        let receipt = world.act(alice, org.requestWithdrawal(bob.address, world.usdt(60))).await;
        let requested: HaitheOrchestrator::WithdrawalRequested = event(&receipt);
        let now = world.active_time().await;
        assert_eq!((requested.organization, requested.to, requested.amount), (*org.address(), bob.address, world.usdt(60)));
        assert_eq!((requested.readyAt, requested.validUntil), (now + DELAY, now + DELAY + DAY));
        world.chain.advance_time(DELAY);

        let receipt = world.act(alice, org.executeWithdrawal()).await;

        let executed: HaitheOrchestrator::WithdrawalExecuted = event(&receipt);
        assert_eq!((executed.organization, executed.to, executed.amount), (*org.address(), bob.address, world.usdt(60)));
        assert_eq!(world.balance(bob.address).await, world.usdt(60));
        assert_eq!(world.balance(*org.address()).await, world.usdt(40));
        let _: HaitheOrganization::NoWithdrawal = world.refused(alice, org.executeWithdrawal()).await;
    }

    async fn what_was_settled_in_between_is_not_paid_twice(world: World) {
        let alice = &world.people.alice;
        let org = world.org(world.organization("acme", alice, 100).await);
        world.act(alice, org.requestWithdrawal(alice.address, world.usdt(100))).await;
        world.settle(vec![line(*org.address(), world.usdt(30), &[])]).await;
        world.chain.advance_time(DELAY);

        let receipt = world.act(alice, org.executeWithdrawal()).await;

        let executed: HaitheOrchestrator::WithdrawalExecuted = event(&receipt);
        assert_eq!(executed.amount, world.usdt(70));
        assert_eq!(world.balance(alice.address).await, world.usdt(70));
        assert_eq!(world.balance(*org.address()).await, U256::ZERO);
    }
}

struct Scene {
    world: World,
    org: crate::world::Org,
    ready_at: u64,
}

/// An organization of alice with 100 tokens, 60 of them requested.
async fn requested() -> Scene {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let org = world.org(world.organization("acme", alice, 100).await);
    let receipt = world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(60)))
        .await;
    let event: HaitheOrchestrator::WithdrawalRequested = event(&receipt);
    Scene {
        world,
        org,
        ready_at: event.readyAt,
    }
}

#[tokio::test]
async fn a_second_too_early_is_refused_and_the_first_second_is_not() {
    let Scene { world, org, ready_at } = requested().await;
    let alice = &world.people.alice;
    world.next_block_at(ready_at - 1);
    assert!(!world.attempt(alice, org.executeWithdrawal()).await.status());
    assert!(world.attempt(alice, org.executeWithdrawal()).await.status());
    assert_eq!(world.chain.head_time(), ready_at);
}

#[tokio::test]
async fn the_last_second_is_in_time_and_the_next_is_not() {
    let Scene { world, org, ready_at } = requested().await;
    let alice = &world.people.alice;
    let snapshot = world.chain.snapshot();
    world.next_block_at(ready_at + DAY);
    assert!(world.attempt(alice, org.executeWithdrawal()).await.status());
    world.chain.revert(snapshot);

    world.next_block_at(ready_at + DAY + 1);
    assert!(!world.attempt(alice, org.executeWithdrawal()).await.status());
    let void: HaitheOrganization::WithdrawalVoid = world.refused(alice, org.executeWithdrawal()).await;
    assert_eq!(void.validUntil, U256::from(ready_at + DAY));
    assert_eq!(world.balance(*org.address()).await, world.usdt(100));
}

#[tokio::test]
async fn one_at_a_time_until_it_is_executed_cancelled_or_void() {
    let Scene { world, org, ready_at } = requested().await;
    let alice = &world.people.alice;
    let again = || org.requestWithdrawal(alice.address, world.usdt(1));
    for moment in [ready_at - HOUR, ready_at, ready_at + DAY - HOUR] {
        world.next_block_at(moment);
        let pending: HaitheOrganization::WithdrawalPending = world.refused(alice, again()).await;
        assert_eq!(pending.readyAt, U256::from(ready_at));
    }
    world.next_block_at(ready_at + DAY);
    assert!(
        !world.attempt(alice, again()).await.status(),
        "the last second still belongs to the first request"
    );
    assert!(
        world.attempt(alice, again()).await.status(),
        "a void request is in nobody's way"
    );

    let receipt = world.act(alice, org.cancelWithdrawal()).await;
    let cancelled: HaitheOrchestrator::WithdrawalCancelled = event(&receipt);
    assert_eq!(cancelled.organization, *org.address());
    world.act(alice, again()).await;
}

#[tokio::test]
async fn a_cancelled_withdrawal_pays_nothing() {
    let Scene { world, org, .. } = requested().await;
    let alice = &world.people.alice;
    world.act(alice, org.cancelWithdrawal()).await;
    world.chain.advance_time(DELAY);
    let _: HaitheOrganization::NoWithdrawal = world.refused(alice, org.executeWithdrawal()).await;
    let _: HaitheOrganization::NoWithdrawal = world.refused(alice, org.cancelWithdrawal()).await;
}

#[tokio::test]
async fn only_the_owner_requests_executes_and_cancels() {
    let Scene { world, org, ready_at } = requested().await;
    let people = &world.people;
    world
        .act(&people.alice, org.setRole(people.walter.address, 2))
        .await;
    world.next_block_at(ready_at + 1);
    for person in [
        &people.walter,
        &people.server,
        &people.operator,
        &people.guardian,
        &people.mallory,
    ] {
        let request = org.requestWithdrawal(person.address, U256::ONE);
        let _: HaitheOrganization::NotOwner = world.refused(person, request).await;
        let _: HaitheOrganization::NotOwner = world.refused(person, org.executeWithdrawal()).await;
        let _: HaitheOrganization::NotOwner = world.refused(person, org.cancelWithdrawal()).await;
    }
}

#[tokio::test]
async fn the_clock_stands_still_while_paused() {
    let Scene { world, org, ready_at } = requested().await;
    let people = &world.people;
    let before = world.active_time().await;
    world.act(&people.guardian, world.hub.pause()).await;
    let paused_at = world.active_time().await;
    world.chain.advance_time(3 * DAY);
    assert_eq!(world.active_time().await, paused_at);
    let _: HaitheOrganization::EnforcedPause = world.refused(&people.alice, org.executeWithdrawal()).await;
    world.act(&people.operator, world.hub.unpause()).await;

    assert!(
        world.active_time().await < before + HOUR,
        "three days of pause are not three days of waiting"
    );
    let early: HaitheOrganization::WithdrawalTooEarly =
        world.refused(&people.alice, org.executeWithdrawal()).await;
    assert_eq!(early.readyAt, U256::from(ready_at));
    world.chain.advance_time(ready_at - world.active_time().await);
    world.act(&people.alice, org.executeWithdrawal()).await;
}

#[tokio::test]
async fn a_pause_inside_the_window_costs_none_of_it() {
    let Scene { world, org, ready_at } = requested().await;
    let people = &world.people;
    world.next_block_at(ready_at + DAY - HOUR);
    world.act(&people.guardian, world.hub.pause()).await;
    world.chain.advance_time(7 * DAY + HOUR / 2);
    assert!(!world.hub.paused().call().await.unwrap(), "the pause ran out");

    world.act(&people.alice, org.executeWithdrawal()).await;
}

#[tokio::test]
async fn a_request_during_a_pause_waits_for_its_end() {
    let world = World::plain().await;
    let people = &world.people;
    let org = world.org(world.organization("acme", &people.alice, 100).await);
    world.act(&people.guardian, world.hub.pause()).await;
    world
        .act(
            &people.alice,
            org.requestWithdrawal(people.alice.address, world.usdt(1)),
        )
        .await;
    world.chain.advance_time(7 * DAY);
    world.chain.advance_time(DELAY - HOUR);
    let _: HaitheOrganization::WithdrawalTooEarly =
        world.refused(&people.alice, org.executeWithdrawal()).await;
    world.chain.advance_time(HOUR);
    world.act(&people.alice, org.executeWithdrawal()).await;
}

#[tokio::test]
async fn later_deposits_are_part_of_what_was_requested() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let org = world.org(world.organization("acme", alice, 10).await);
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(50)))
        .await;
    world.deposit(*org.address(), world.usdt(90)).await;
    world.chain.advance_time(DELAY);
    world.act(alice, org.executeWithdrawal()).await;
    assert_eq!(world.balance(alice.address).await, world.usdt(50));
}

#[tokio::test]
async fn nothing_nowhere_and_from_nothing_are_refused() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let org = world.org(world.organization("acme", alice, 0).await);
    let _: HaitheOrganization::ZeroAmount = world
        .refused(alice, org.requestWithdrawal(alice.address, U256::ZERO))
        .await;
    let _: HaitheOrganization::ZeroAddress = world
        .refused(alice, org.requestWithdrawal(Address::ZERO, U256::ONE))
        .await;
    world
        .act(alice, org.requestWithdrawal(alice.address, U256::MAX))
        .await;
    world.chain.advance_time(DELAY);
    let _: HaitheOrganization::NothingToWithdraw = world.refused(alice, org.executeWithdrawal()).await;
}
