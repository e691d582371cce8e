//! Addresses of organizations and products: each follows from the account that it is made for, and from nothing that
//! other accounts do.

use alloy::primitives::{Address, U256, keccak256};
use alloy::sol_types::SolValue;

use crate::{
    bindings::HaitheOrchestrator,
    scene::line,
    world::{People, World, event},
};

/// The address of an EIP-1167 clone that `deployer` makes with CREATE2.
fn clone_address(deployer: Address, implementation: Address, account: Address, counter: u64) -> Address {
    let code = [
        &alloy::primitives::hex!("3d602d80600a3d3981f3363d3d373d3d3d363d73")[..],
        implementation.as_slice(),
        &alloy::primitives::hex!("5af43d82803e903d91602b57fd5bf3")[..],
    ]
    .concat();
    let salt = keccak256((account, U256::from(counter)).abi_encode());
    deployer.create2(salt, keccak256(code))
}

#[tokio::test]
async fn the_address_follows_from_the_account_and_its_own_counter() {
    let world = World::plain().await;
    let People {
        alice,
        bob,
        cora,
        cleo,
        ..
    } = &world.people;
    let hub = *world.hub.address();
    let orgs = world.hub.organizationImplementation().call().await.unwrap();
    let products = world.hub.productImplementation().call().await.unwrap();
    for creator in [cora, cleo] {
        world.creator(creator).await;
    }
    for counter in 0..2u64 {
        for owner in [alice, bob] {
            let expected = clone_address(hub, orgs, owner.address, counter);
            let predicted = world.hub.predictOrganization(owner.address).call().await.unwrap();
            assert_eq!(predicted, expected);
            let name = format!("{} {counter}", owner.address);
            assert_eq!(world.organization(&name, owner, 0).await, expected);
            let count = world.hub.organizationCountOf(owner.address).call().await.unwrap();
            assert_eq!(count, U256::from(counter + 1));
        }
        for creator in [cora, cleo] {
            let expected = clone_address(hub, products, creator.address, counter);
            let predicted = world.hub.predictProduct(creator.address).call().await.unwrap();
            assert_eq!(predicted, expected);
            let name = format!("{} {counter}", creator.address);
            assert_eq!(world.product_of(creator, &name, U256::ZERO).await, expected);
            let count = world.hub.productCountOf(creator.address).call().await.unwrap();
            assert_eq!(count, U256::from(counter + 1));
        }
    }
}

#[tokio::test]
async fn the_server_creates_at_the_owners_address_and_not_at_its_own() {
    let world = World::plain().await;
    let People { alice, server, .. } = &world.people;
    let expected = world.hub.predictOrganization(alice.address).call().await.unwrap();
    let call = world.hub.createOrganizationFor("acme".into(), alice.address);
    let created: HaitheOrchestrator::OrganizationCreated = event(&world.act(server, call).await);
    assert_eq!(created.organization, expected);
    let counter = |account| world.hub.organizationCountOf(account);
    assert_eq!(counter(server.address).call().await.unwrap(), U256::ZERO);
    assert_eq!(counter(alice.address).call().await.unwrap(), U256::ONE);
}

#[tokio::test]
async fn other_accounts_do_not_move_an_accounts_addresses() {
    let world = World::plain().await;
    let People {
        alice,
        mallory,
        server,
        cora,
        ..
    } = &world.people;
    let org = world.hub.predictOrganization(alice.address).call().await.unwrap();
    let product = world.hub.predictProduct(cora.address).call().await.unwrap();
    world.creator(mallory).await;
    for name in ["a", "b", "c"] {
        world.organization(name, mallory, 0).await;
        world.product_of(mallory, name, U256::ZERO).await;
        let call = world
            .hub
            .createOrganizationFor(format!("{name} for"), mallory.address);
        world.act(server, call).await;
    }
    let taken = world.hub.createOrganizationFor("mine".into(), alice.address);
    let _: HaitheOrchestrator::NotServer = world.refused(mallory, taken).await;
    assert_eq!(
        world.hub.predictOrganization(alice.address).call().await.unwrap(),
        org
    );
    assert_eq!(
        world.hub.predictProduct(cora.address).call().await.unwrap(),
        product
    );
    assert_eq!(world.organization("acme", alice, 0).await, org);
}

#[tokio::test]
async fn money_that_arrives_before_the_organization_is_reported_and_spendable() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let address = world.hub.predictOrganization(alice.address).call().await.unwrap();
    world.deposit(address, world.usdt(3)).await;
    let receipt = world
        .act(alice, world.hub.createOrganization("acme".into()))
        .await;
    let funded: HaitheOrchestrator::OrganizationFunded = event(&receipt);
    assert_eq!((funded.organization, funded.amount), (address, world.usdt(3)));
    world.settle(vec![line(address, world.usdt(2), &[])]).await;
    assert_eq!(world.balance(address).await, world.usdt(1));
}
