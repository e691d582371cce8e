//! The daily cap: what a stolen server key can take at most.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheOrchestrator, HaitheOrganization},
    scene::line,
    world::{DAY, DELAY, HOUR, Money, Org, World, event, events},
};

async fn capped(cap: u64) -> (World, Org) {
    let world = World::with_cap(
        Money::Plain(18),
        U256::from(cap) * U256::from(10).pow(U256::from(18)),
    )
    .await;
    let org = world.organization("acme", &world.people.alice, 10_000).await;
    let org = world.org(org);
    (world, org)
}

/// Whether the organization pays `whole` tokens now.
async fn pays(world: &World, org: &Org, whole: u64) -> bool {
    let receipt = world
        .settle(vec![line(*org.address(), world.usdt(whole), &[])])
        .await;
    events::<HaitheOrchestrator::LineSkipped>(&receipt).is_empty()
}

#[tokio::test]
async fn an_organization_begins_with_the_configured_cap_and_says_so() {
    let (world, org) = capped(100).await;
    assert_eq!(org.dailyCap().call().await.unwrap(), world.usdt(100));
    let receipt = world
        .act(&world.people.bob, world.hub.createOrganization("second".into()))
        .await;
    let changed: HaitheOrchestrator::DailyCapChanged = event(&receipt);
    assert_eq!(changed.cap, world.usdt(100));
}

#[tokio::test]
async fn all_lines_of_a_utc_day_share_the_cap_and_the_next_day_begins_anew() {
    let (world, org) = capped(100).await;
    assert!(pays(&world, &org, 60).await);
    assert!(!pays(&world, &org, 41).await);
    assert!(pays(&world, &org, 40).await);
    assert!(!pays(&world, &org, 1).await);
    assert_eq!(org.takenToday().call().await.unwrap(), world.usdt(100));

    let midnight = (world.chain.head_time() / DAY + 1) * DAY;
    world.next_block_at(midnight - 1);
    assert!(!pays(&world, &org, 1).await, "the last second of the day");
    assert!(pays(&world, &org, 100).await, "the first second of the next");
}

#[tokio::test]
async fn every_payee_counts() {
    let (world, org) = capped(100).await;
    let people = &world.people;
    let project = world.organization("project", &people.bob, 0).await;
    world.creator(&people.cora).await;
    let credits: [(Address, U256); 2] = [(people.cora.address, world.usdt(30)), (project, world.usdt(30))];
    let receipt = world
        .settle(vec![line(*org.address(), world.usdt(41), &credits)])
        .await;
    assert_eq!(events::<HaitheOrchestrator::LineSkipped>(&receipt).len(), 1);
    let receipt = world
        .settle(vec![line(*org.address(), world.usdt(40), &credits)])
        .await;
    assert!(events::<HaitheOrchestrator::LineSkipped>(&receipt).is_empty());
    assert_eq!(org.takenToday().call().await.unwrap(), world.usdt(100));
}

#[tokio::test]
async fn raising_is_immediate() {
    let (world, org) = capped(100).await;
    assert!(!pays(&world, &org, 150).await);
    let receipt = world
        .act(&world.people.alice, org.setDailyCap(world.usdt(150)))
        .await;
    let changed: HaitheOrchestrator::DailyCapChanged = event(&receipt);
    assert_eq!(
        (changed.organization, changed.cap),
        (*org.address(), world.usdt(150))
    );
    assert_eq!(changed.effectiveAt, world.active_time().await);
    assert!(pays(&world, &org, 150).await);
}

#[tokio::test]
async fn lowering_takes_effect_after_the_delay() {
    let (world, org) = capped(100).await;
    let receipt = world
        .act(&world.people.alice, org.setDailyCap(world.usdt(10)))
        .await;
    let changed: HaitheOrchestrator::DailyCapChanged = event(&receipt);
    assert_eq!(changed.effectiveAt, world.active_time().await + DELAY);
    let scheduled = org.scheduledDailyCap().call().await.unwrap();
    assert_eq!(
        (scheduled.cap, scheduled.effectiveAt),
        (world.usdt(10), changed.effectiveAt)
    );
    assert!(
        pays(&world, &org, 90).await,
        "calls admitted under the old cap can be settled"
    );

    world.next_block_at(changed.effectiveAt - 1);
    assert!(pays(&world, &org, 11).await, "the last second before");
    assert!(
        !pays(&world, &org, 1).await,
        "the first second after: 11 of 10 were taken today"
    );
    assert_eq!(org.dailyCap().call().await.unwrap(), world.usdt(10));
    assert_eq!(org.scheduledDailyCap().call().await.unwrap().effectiveAt, 0);
    world.chain.advance_time(DAY);
    assert!(!pays(&world, &org, 11).await);
    assert!(pays(&world, &org, 10).await);
}

#[tokio::test]
async fn a_pause_delays_a_lower_cap_too() {
    let (world, org) = capped(100).await;
    world
        .act(&world.people.alice, org.setDailyCap(world.usdt(10)))
        .await;
    world.act(&world.people.guardian, world.hub.pause()).await;
    world.chain.advance_time(3 * DAY);
    world.act(&world.people.operator, world.hub.unpause()).await;
    assert!(
        pays(&world, &org, 90).await,
        "what could not be settled during the pause still can"
    );
    world.chain.advance_time(DELAY);
    assert!(!pays(&world, &org, 11).await);
}

#[tokio::test]
async fn a_later_change_replaces_one_that_is_not_in_effect() {
    let (world, org) = capped(100).await;
    let alice = &world.people.alice;
    world.act(alice, org.setDailyCap(world.usdt(10))).await;
    world.chain.advance_time(DELAY - HOUR);
    world.act(alice, org.setDailyCap(world.usdt(20))).await;
    world.chain.advance_time(2 * HOUR);
    assert_eq!(
        org.dailyCap().call().await.unwrap(),
        world.usdt(100),
        "the first lowering is void"
    );
    world.act(alice, org.setDailyCap(world.usdt(100))).await;
    world.chain.advance_time(2 * DELAY);
    assert_eq!(
        org.dailyCap().call().await.unwrap(),
        world.usdt(100),
        "and so is the second"
    );
}

#[tokio::test]
async fn a_cap_of_nothing_stops_paid_lines_only() {
    let (world, org) = capped(0).await;
    assert!(!pays(&world, &org, 1).await);
    assert!(pays(&world, &org, 0).await);
}

#[tokio::test]
async fn only_the_owner_sets_the_cap() {
    let (world, org) = capped(100).await;
    let people = &world.people;
    world
        .act(&people.alice, org.setRole(people.walter.address, 2))
        .await;
    for person in [&people.walter, &people.server, &people.operator, &people.mallory] {
        let _: HaitheOrganization::NotOwner = world.refused(person, org.setDailyCap(U256::MAX)).await;
    }
}
