//! Roles in an organization, and its ownership.

use alloy::primitives::Address;

use crate::{
    bindings::{HaitheOrchestrator, HaitheOrganization},
    world::{Org, People, World, event, events},
};

const NONE: u8 = 0;
const MEMBER: u8 = 1;
const ADMIN: u8 = 2;

async fn acme(world: &World) -> Org {
    world.org(world.organization("acme", &world.people.alice, 10).await)
}

#[tokio::test]
async fn the_owner_gives_and_takes_every_role() {
    let world = World::plain().await;
    let People { alice, walter, .. } = &world.people;
    let org = acme(&world).await;
    for role in [MEMBER, ADMIN, MEMBER, ADMIN, NONE] {
        let receipt = world.act(alice, org.setRole(walter.address, role)).await;
        let changed: HaitheOrchestrator::RoleChanged = event(&receipt);
        assert_eq!(
            (changed.organization, changed.account, changed.role),
            (*org.address(), walter.address, role)
        );
        assert_eq!(org.roles(walter.address).call().await.unwrap(), role);
    }
}

#[tokio::test]
async fn nobody_else_gives_roles_not_even_administrators() {
    let world = World::plain().await;
    let People {
        alice,
        bob,
        walter,
        server,
        operator,
        mallory,
        ..
    } = &world.people;
    let org = acme(&world).await;
    world.act(alice, org.setRole(walter.address, ADMIN)).await;
    for person in [bob, walter, server, operator, mallory] {
        let _: HaitheOrganization::NotOwner =
            world.refused(person, org.setRole(mallory.address, MEMBER)).await;
    }
    for person in [alice, walter, operator, mallory] {
        let _: HaitheOrganization::NotServer =
            world.refused(person, org.setRoleFor(bob.address, MEMBER)).await;
    }
}

#[tokio::test]
async fn the_server_mirrors_members_and_neither_makes_nor_unmakes_administrators() {
    let world = World::plain().await;
    let People {
        alice,
        bob,
        walter,
        server,
        ..
    } = &world.people;
    let org = acme(&world).await;
    world.act(server, org.setRoleFor(bob.address, MEMBER)).await;
    assert_eq!(org.roles(bob.address).call().await.unwrap(), MEMBER);
    let _: HaitheOrganization::RoleAboveServer =
        world.refused(server, org.setRoleFor(bob.address, ADMIN)).await;
    world.act(server, org.setRoleFor(bob.address, NONE)).await;
    world.act(alice, org.setRole(walter.address, ADMIN)).await;
    for role in [NONE, MEMBER, ADMIN, u8::MAX] {
        let _: HaitheOrganization::RoleAboveServer =
            world.refused(server, org.setRoleFor(walter.address, role)).await;
    }
}

#[tokio::test]
async fn an_unknown_role_nobody_and_the_owner_are_refused() {
    let world = World::plain().await;
    let People {
        alice,
        walter,
        server,
        ..
    } = &world.people;
    let org = acme(&world).await;
    let _: HaitheOrganization::BadRole = world.refused(alice, org.setRole(walter.address, 3)).await;
    let _: HaitheOrganization::BadRole = world.refused(alice, org.setRole(alice.address, ADMIN)).await;
    let _: HaitheOrganization::BadRole = world.refused(server, org.setRoleFor(alice.address, MEMBER)).await;
    let _: HaitheOrganization::ZeroAddress = world.refused(alice, org.setRole(Address::ZERO, MEMBER)).await;
}

#[tokio::test]
async fn ownership_passes_when_it_is_accepted() {
    let world = World::plain().await;
    let People {
        alice, bob, mallory, ..
    } = &world.people;
    let org = acme(&world).await;
    let _: HaitheOrganization::NotOwner = world
        .refused(mallory, org.transferOwnership(mallory.address))
        .await;
    let receipt = world.act(alice, org.transferOwnership(bob.address)).await;
    let offered: HaitheOrchestrator::OrganizationOwnershipOffered = event(&receipt);
    assert_eq!((offered.owner, offered.newOwner), (alice.address, bob.address));
    assert_eq!(
        org.owner().call().await.unwrap(),
        alice.address,
        "an offer changes nothing"
    );
    for person in [alice, mallory] {
        let _: HaitheOrganization::NotPendingOwner = world.refused(person, org.acceptOwnership()).await;
    }

    let receipt = world.act(bob, org.acceptOwnership()).await;

    let transferred: HaitheOrchestrator::OrganizationOwnershipTransferred = event(&receipt);
    assert_eq!(transferred.organization, *org.address());
    assert_eq!(
        (transferred.previousOwner, transferred.newOwner),
        (alice.address, bob.address)
    );
    let _: HaitheOrganization::NotOwner = world.refused(alice, org.setRole(mallory.address, MEMBER)).await;
    let _: HaitheOrganization::NotPendingOwner = world.refused(bob, org.acceptOwnership()).await;
    world.act(bob, org.setRole(alice.address, MEMBER)).await;
}

#[tokio::test]
async fn an_offer_can_be_taken_back() {
    let world = World::plain().await;
    let People { alice, bob, .. } = &world.people;
    let org = acme(&world).await;
    world.act(alice, org.transferOwnership(bob.address)).await;
    world.act(alice, org.transferOwnership(Address::ZERO)).await;
    let _: HaitheOrganization::NotPendingOwner = world.refused(bob, org.acceptOwnership()).await;
}

#[tokio::test]
async fn a_new_owner_keeps_no_old_role_and_decides_about_an_announced_withdrawal() {
    let world = World::plain().await;
    let People { alice, walter, .. } = &world.people;
    let org = acme(&world).await;
    world.act(alice, org.setRole(walter.address, ADMIN)).await;
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(10)))
        .await;
    world.act(alice, org.transferOwnership(walter.address)).await;
    let receipt = world.act(walter, org.acceptOwnership()).await;
    let changed = events::<HaitheOrchestrator::RoleChanged>(&receipt);
    assert_eq!(
        changed.iter().map(|c| (c.account, c.role)).collect::<Vec<_>>(),
        [(walter.address, NONE)]
    );
    assert_eq!(org.roles(walter.address).call().await.unwrap(), NONE);
    world.chain.advance_time(crate::world::DELAY);
    let _: HaitheOrganization::NotOwner = world.refused(alice, org.executeWithdrawal()).await;
    world.act(walter, org.cancelWithdrawal()).await;
}
