//! Tokens that were sent to the wrong place come back out; other people's money does not.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheCreatorIdentity, HaitheOrchestrator, HaitheOrganization, TrickyToken},
    scene::line,
    world::{Money, People, World, event, with_every_money},
};

with_every_money! {
    async fn the_owner_recovers_strays_from_the_orchestrator_and_no_earnings(world: World) {
        let People { operator, alice, bob, cora, .. } = &world.people;
        let (hub, token) = (*world.hub.address(), *world.token.address());
        let org = world.organization("acme", alice, 100).await;
        let id = world.creator(cora).await;
        world.settle(vec![line(org, world.usdt(5), &[(cora.address, world.usdt(7))])]).await;
        let _: HaitheOrchestrator::NothingToWithdraw =
            world.refused(operator, world.hub.recoverStray(token, bob.address)).await;
        world.deposit(hub, world.usdt(3)).await;

        let receipt = world.act(operator, world.hub.recoverStray(token, bob.address)).await;

        let recovered: HaitheOrchestrator::StrayRecovered = event(&receipt);
        assert_eq!((recovered.from, recovered.token, recovered.to), (hub, token, bob.address));
        assert_eq!(recovered.amount, world.usdt(3));
        assert_eq!(world.balance(bob.address).await, world.usdt(3));
        world.act(operator, world.hub.withdrawPlatform(operator.address, world.usdt(5))).await;
        world.act(cora, world.identity.withdrawFunds(id)).await;
        assert_eq!(world.balance(hub).await, U256::ZERO);
    }
}

/// Another token, of which `holder` has 9 units.
async fn foreign_token(world: &World, holder: Address) -> Address {
    let mallory = &world.people.mallory;
    let deploy = TrickyToken::deploy_builder(&world.provider, 6);
    let token = TrickyToken::new(
        world.deploy(mallory, deploy.into_transaction_request()).await,
        world.provider.clone(),
    );
    world.act(mallory, token.mint(holder, U256::from(9))).await;
    *token.address()
}

#[tokio::test]
async fn foreign_tokens_come_out_of_organizations_and_the_identity_contract() {
    let world = World::with(Money::Tricky(6)).await;
    let People {
        operator,
        alice,
        bob,
        mallory,
        ..
    } = &world.people;
    let org = world.org(world.organization("acme", alice, 100).await);
    let identity = &world.identity;
    let in_org = foreign_token(&world, *org.address()).await;
    let in_identity = foreign_token(&world, *identity.address()).await;
    for person in [operator, bob, mallory] {
        let _: HaitheOrganization::NotOwner =
            world.refused(person, org.recoverStray(in_org, bob.address)).await;
    }
    for person in [alice, bob, mallory] {
        let _: HaitheCreatorIdentity::NotOwner = world
            .refused(person, identity.recoverStray(in_identity, bob.address))
            .await;
    }

    let receipt = world.act(alice, org.recoverStray(in_org, bob.address)).await;
    let recovered: HaitheOrchestrator::StrayRecovered = event(&receipt);
    assert_eq!((recovered.from, recovered.token), (*org.address(), in_org));
    let receipt = world
        .act(operator, identity.recoverStray(in_identity, bob.address))
        .await;
    let recovered: HaitheOrchestrator::StrayRecovered = event(&receipt);
    assert_eq!(
        (recovered.from, recovered.amount),
        (*identity.address(), U256::from(9))
    );

    for token in [in_org, in_identity] {
        let token = TrickyToken::new(token, world.provider.clone());
        assert_eq!(token.balanceOf(bob.address).call().await.unwrap(), U256::from(9));
    }
}

#[tokio::test]
async fn a_deposit_is_no_stray() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let org = world.org(world.organization("acme", alice, 100).await);
    let call = org.recoverStray(*world.token.address(), alice.address);
    let _: HaitheOrganization::PaymentTokenIsNotStray = world.refused(alice, call).await;
}

#[tokio::test]
async fn the_platforms_share_goes_where_the_owner_says_once() {
    let world = World::plain().await;
    let People {
        operator, alice, bob, ..
    } = &world.people;
    let org = world.organization("acme", alice, 100).await;
    world.settle(vec![line(org, world.usdt(5), &[])]).await;
    let _: HaitheOrchestrator::ZeroAddress = world
        .refused(operator, world.hub.withdrawPlatform(Address::ZERO, U256::ONE))
        .await;
    let withdraw = |amount| world.hub.withdrawPlatform(bob.address, amount);
    let _: HaitheOrchestrator::ZeroAmount = world.refused(operator, withdraw(U256::ZERO)).await;
    let above: HaitheOrchestrator::InsufficientFunds = world.refused(operator, withdraw(world.usdt(6))).await;
    assert_eq!(
        (above.organization, above.held),
        (*world.hub.address(), world.usdt(5))
    );
    let receipt = world.act(operator, withdraw(world.usdt(3))).await;
    let withdrawn: HaitheOrchestrator::PlatformWithdrawn = event(&receipt);
    assert_eq!((withdrawn.to, withdrawn.amount), (bob.address, world.usdt(3)));
    assert_eq!(
        world.hub.platformFunds().call().await.unwrap(),
        world.usdt(2),
        "the rest stays in"
    );
    world.act(operator, withdraw(world.usdt(2))).await;
    assert_eq!(world.balance(bob.address).await, world.usdt(5));
    let _: HaitheOrchestrator::InsufficientFunds = world.refused(operator, withdraw(U256::ONE)).await;
}
