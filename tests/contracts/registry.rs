//! Organizations, names and positions; implementations and clones.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheOrchestrator, HaitheOrganization, HaitheProduct},
    world::{People, World, event},
};

#[tokio::test]
async fn an_organization_belongs_to_the_wallet_that_creates_it() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let receipt = world
        .act(alice, world.hub.createOrganization("acme".into()))
        .await;
    let created: HaitheOrchestrator::OrganizationCreated = event(&receipt);
    assert_eq!(
        (created.owner, created.index, created.name.as_str()),
        (alice.address, U256::ZERO, "acme")
    );
    let org = world.org(created.organization);
    assert_eq!(org.owner().call().await.unwrap(), alice.address);
    assert_eq!(org.name().call().await.unwrap(), "acme");
    assert_eq!(org.balance().call().await.unwrap(), U256::ZERO);
    world.deposit(created.organization, world.usdt(3)).await;
    assert_eq!(org.balance().call().await.unwrap(), world.usdt(3));
}

#[tokio::test]
async fn the_server_creates_for_others_and_strangers_do_not() {
    let world = World::plain().await;
    let People {
        server,
        alice,
        mallory,
        ..
    } = &world.people;
    let create = |owner: Address| world.hub.createOrganizationFor("acme".into(), owner);
    for person in [alice, mallory] {
        let _: HaitheOrchestrator::NotServer = world.refused(person, create(alice.address)).await;
    }
    let _: HaitheOrchestrator::ZeroAddress = world.refused(server, create(Address::ZERO)).await;
    let receipt = world.act(server, create(alice.address)).await;
    let created: HaitheOrchestrator::OrganizationCreated = event(&receipt);
    assert_eq!(
        world.org(created.organization).owner().call().await.unwrap(),
        alice.address
    );
}

#[tokio::test]
async fn names_are_unique_bounded_and_not_empty() {
    let world = World::plain().await;
    let People { alice, bob, cora, .. } = &world.people;
    world.organization("acme", alice, 0).await;
    let taken: HaitheOrchestrator::NameTaken = world
        .refused(bob, world.hub.createOrganization("acme".into()))
        .await;
    assert_eq!(taken.name, "acme");
    assert!(
        world
            .hub
            .organizationNameExists("acme".into())
            .call()
            .await
            .unwrap()
    );
    assert!(
        !world
            .hub
            .organizationNameExists("Acme".into())
            .call()
            .await
            .unwrap()
    );
    for name in [String::new(), "x".repeat(65)] {
        let _: HaitheOrchestrator::BadText = world.refused(bob, world.hub.createOrganization(name)).await;
    }
    world.organization(&"x".repeat(64), bob, 0).await;

    world.creator(cora).await;
    world.product_of(cora, "acme", U256::ZERO).await;
    let add = |name: String, uri: String, iv: String, key: String, category: String| {
        world.hub.addProduct(name, uri, iv, key, category, U256::ZERO)
    };
    let long = |limit: usize| "x".repeat(limit + 1);
    let none = String::new;
    let _: HaitheOrchestrator::NameTaken = world
        .refused(cora, add("acme".into(), none(), none(), none(), none()))
        .await;
    for call in [
        add(none(), none(), none(), none(), none()),
        add(long(64), none(), none(), none(), none()),
        add("new".into(), long(2048), none(), none(), none()),
        add("new".into(), none(), long(256), none(), none()),
        add("new".into(), none(), none(), long(8192), none()),
        add("new".into(), none(), none(), none(), long(64)),
    ] {
        let _: HaitheOrchestrator::BadText = world.refused(cora, call).await;
    }
}

#[tokio::test]
async fn every_organization_knows_its_position() {
    let world = World::plain().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(world.organization(name, &world.people.alice, 0).await);
    }
    assert_eq!(
        world.hub.organizationsCount().call().await.unwrap(),
        U256::from(3)
    );
    for (i, org) in all.into_iter().enumerate() {
        let i = U256::from(i);
        assert_eq!(world.hub.organizations(i).call().await.unwrap(), org);
        assert_eq!(world.hub.getOrganizationIndex(org).call().await.unwrap(), i);
        assert!(world.hub.isOrganization(org).call().await.unwrap());
    }
    let stranger = world.people.mallory.address;
    assert!(!world.hub.isOrganization(stranger).call().await.unwrap());
    let call = world.hub.getOrganizationIndex(stranger);
    let _: HaitheOrchestrator::UnknownOrganization = world.refused(&world.people.alice, call).await;
}

#[tokio::test]
async fn neither_clones_nor_implementations_can_be_set_up_by_strangers() {
    let world = World::plain().await;
    let People {
        alice, cora, mallory, ..
    } = &world.people;
    let org = world.organization("acme", alice, 0).await;
    world.creator(cora).await;
    let product = world.product_of(cora, "book", U256::ZERO).await;
    let none = String::new;
    for org in [org, world.hub.organizationImplementation().call().await.unwrap()] {
        let call = world.org(org);
        let call = call.initialize("mine".into(), mallory.address, U256::ZERO);
        let _: HaitheOrganization::NotOrchestrator = world.refused(mallory, call).await;
    }
    for product in [product, world.hub.productImplementation().call().await.unwrap()] {
        let call = world.product(product);
        let call = call.initialize(
            mallory.address,
            none(),
            none(),
            none(),
            none(),
            none(),
            U256::ZERO,
        );
        let _: HaitheProduct::NotOrchestrator = world.refused(mallory, call).await;
    }
}

#[tokio::test]
async fn strangers_cannot_make_the_orchestrator_say_things() {
    let world = World::plain().await;
    let People { mallory, server, .. } = &world.people;
    for person in [mallory, server] {
        let (me, n) = (person.address, U256::ONE);
        type Refusal = HaitheOrchestrator::NotAChild;
        let _: Refusal = world.refused(person, world.hub.reportRoleChanged(me, 2)).await;
        let _: Refusal = world
            .refused(person, world.hub.reportOwnershipOffered(me, me))
            .await;
        let _: Refusal = world
            .refused(person, world.hub.reportOwnershipTransferred(me, me))
            .await;
        let _: Refusal = world.refused(person, world.hub.reportDailyCapChanged(n, 1)).await;
        let _: Refusal = world.refused(person, world.hub.reportProductEnabled(me, n)).await;
        let _: Refusal = world.refused(person, world.hub.reportProductDisabled(me)).await;
        let _: Refusal = world
            .refused(person, world.hub.reportWithdrawalRequested(me, n, 1, 2))
            .await;
        let _: Refusal = world
            .refused(person, world.hub.reportWithdrawalExecuted(me, n))
            .await;
        let _: Refusal = world.refused(person, world.hub.reportWithdrawalCancelled()).await;
        let _: Refusal = world.refused(person, world.hub.reportPriceChanged(n)).await;
        let _: Refusal = world
            .refused(person, world.hub.reportPriceScheduled(n, n, 1))
            .await;
        let _: Refusal = world.refused(person, world.hub.reportFunded(n)).await;
        let _: Refusal = world
            .refused(person, world.hub.reportPayoutAddressProposed(n, me, me, 1))
            .await;
        let _: Refusal = world
            .refused(person, world.hub.reportPayoutAddressCancelled(n, me))
            .await;
        let _: Refusal = world
            .refused(person, world.hub.reportUriChanged("x".into()))
            .await;
        let _: Refusal = world.refused(person, world.hub.reportProductRetired()).await;
        let _: Refusal = world
            .refused(person, world.hub.reportStrayRecovered(me, me, n))
            .await;
    }
}
