//! A creator's second payout address, and registration by the wallet itself.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::{HaitheCreatorIdentity, HaitheOrchestrator},
    scene::line,
    world::{DELAY, Money, People, Person, World, event},
};

/// A creator with 5 tokens of earnings; returns its identity.
async fn earned(world: &World, cora: &Person) -> U256 {
    let org = world.organization("acme", &world.people.alice, 10).await;
    let id = world.creator(cora).await;
    world
        .settle(vec![line(org, U256::ZERO, &[(cora.address, world.usdt(5))])])
        .await;
    id
}

#[tokio::test]
async fn a_creator_whom_the_token_refuses_is_paid_at_the_second_address() {
    let world = World::with(Money::Tricky(6)).await;
    let People { cora, walter, .. } = &world.people;
    let identity = &world.identity;
    let id = earned(&world, cora).await;
    world.act(cora, world.token.setBlocked(cora.address, true)).await;
    assert!(!world.attempt(cora, identity.withdrawFunds(id)).await.status());

    let receipt = world
        .act(cora, identity.proposePayoutAddress(id, walter.address))
        .await;

    let at = world.time_of(&receipt).await + DELAY;
    let proposed: HaitheOrchestrator::PayoutAddressProposed = event(&receipt);
    assert_eq!((proposed.id, proposed.creator), (id, cora.address));
    assert_eq!((proposed.payout, proposed.effectiveAt), (walter.address, at));
    let pending = identity.proposedPayoutAddress(id).call().await.unwrap();
    assert_eq!((pending.to, pending.effectiveAt), (walter.address, at));
    let _: HaitheCreatorIdentity::NotAPayoutAddress = world
        .refused(cora, identity.withdrawFundsTo(id, walter.address))
        .await;

    world.chain.advance_time(DELAY);
    assert_eq!(identity.payoutAddress(id).call().await.unwrap(), walter.address);
    let receipt = world
        .act(cora, identity.withdrawFundsTo(id, walter.address))
        .await;
    let withdrawn: HaitheOrchestrator::CreatorWithdrawn = event(&receipt);
    assert_eq!((withdrawn.creator, withdrawn.to), (cora.address, walter.address));
    assert_eq!(world.balance(walter.address).await, world.usdt(5));
    assert_eq!(identity.totalFunds().call().await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn the_own_address_can_always_be_chosen_and_no_other() {
    let world = World::plain().await;
    let People {
        cora,
        walter,
        mallory,
        ..
    } = &world.people;
    let identity = &world.identity;
    let id = earned(&world, cora).await;
    for to in [Address::ZERO, walter.address, *world.hub.address()] {
        let _: HaitheCreatorIdentity::NotAPayoutAddress =
            world.refused(cora, identity.withdrawFundsTo(id, to)).await;
    }
    for person in [walter, mallory] {
        type Refusal = HaitheCreatorIdentity::NotCreator;
        let me = person.address;
        let _: Refusal = world.refused(person, identity.withdrawFundsTo(id, me)).await;
        let _: Refusal = world.refused(person, identity.proposePayoutAddress(id, me)).await;
        let _: Refusal = world.refused(person, identity.cancelPayoutAddress(id)).await;
    }
    world.act(cora, identity.withdrawFundsTo(id, cora.address)).await;
    assert_eq!(world.balance(cora.address).await, world.usdt(5));
}

#[tokio::test]
async fn a_proposal_can_be_cancelled_replaced_and_removed() {
    let world = World::plain().await;
    let People {
        cora, walter, bob, ..
    } = &world.people;
    let identity = &world.identity;
    let id = world.creator(cora).await;
    let _: HaitheCreatorIdentity::NoPayoutProposal =
        world.refused(cora, identity.cancelPayoutAddress(id)).await;
    world
        .act(cora, identity.proposePayoutAddress(id, walter.address))
        .await;
    world.chain.advance_time(DELAY);
    world
        .act(cora, identity.proposePayoutAddress(id, bob.address))
        .await;
    assert_eq!(
        identity.payoutAddress(id).call().await.unwrap(),
        walter.address,
        "the earlier address stays until the new one is in effect"
    );
    let receipt = world.act(cora, identity.cancelPayoutAddress(id)).await;
    let cancelled: HaitheOrchestrator::PayoutAddressCancelled = event(&receipt);
    assert_eq!((cancelled.id, cancelled.creator), (id, cora.address));
    world.chain.advance_time(DELAY);
    assert_eq!(identity.payoutAddress(id).call().await.unwrap(), walter.address);
    let _: HaitheCreatorIdentity::NoPayoutProposal =
        world.refused(cora, identity.cancelPayoutAddress(id)).await;

    world
        .act(cora, identity.proposePayoutAddress(id, bob.address))
        .await;
    world
        .act(cora, identity.proposePayoutAddress(id, Address::ZERO))
        .await;
    assert_eq!(identity.payoutAddress(id).call().await.unwrap(), Address::ZERO);
    world.chain.advance_time(DELAY);
    assert_eq!(
        identity.payoutAddress(id).call().await.unwrap(),
        Address::ZERO,
        "the removal is immediate and takes the proposal with it"
    );
}

#[tokio::test]
async fn a_wallet_registers_itself_once_with_the_seed_determined_for_it() {
    let world = World::plain().await;
    let People { server, cora, .. } = &world.people;
    let seed = world
        .identity
        .determineNextSeed(cora.address)
        .call()
        .await
        .unwrap();
    let register = || {
        world
            .hub
            .registerCreator("https://cora.example".into(), "0x04ab".into())
    };
    let registered: HaitheOrchestrator::CreatorRegistered = event(&world.act(cora, register()).await);
    assert_eq!((registered.creator, registered.seed), (cora.address, seed));
    let id = registered.id;
    assert_eq!(world.hub.creators(cora.address).call().await.unwrap(), id);
    assert_eq!(world.identity.ownerOf(id).call().await.unwrap(), cora.address);
    assert_eq!(world.identity.pubKeys(id).call().await.unwrap(), "0x04ab");
    let _: HaitheOrchestrator::AlreadyRegistered = world.refused(cora, register()).await;
    let next = world
        .identity
        .determineNextSeed(cora.address)
        .call()
        .await
        .unwrap();
    let again = world
        .hub
        .registerAsCreator(cora.address, String::new(), next, String::new());
    let _: HaitheOrchestrator::AlreadyRegistered = world.refused(server, again).await;
    let too_long = world.hub.registerCreator("x".repeat(2049), String::new());
    let _: HaitheOrchestrator::BadText = world.refused(&world.people.cleo, too_long).await;
}
