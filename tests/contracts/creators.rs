//! Creators: their identities, their seeds, their earnings.

use alloy::primitives::{B256, U256, keccak256};
use alloy::sol_types::SolValue;

use crate::{
    bindings::{HaitheCreatorIdentity, HaitheOrchestrator},
    scene::line,
    world::{People, World, event, with_every_money},
};

with_every_money! {
    async fn a_creator_withdraws_the_token_and_all_of_it(world: World) {
        let People { alice, cora, cleo, mallory, operator, server, .. } = &world.people;
        let org = world.organization("acme", alice, 100).await;
        let id = world.creator(cora).await;
        let other = world.creator(cleo).await;
        let credits = [(cora.address, world.usdt(7)), (cleo.address, world.usdt(3))];
        world.settle(vec![line(org, world.usdt(1), &credits)]).await;
        for person in [mallory, cleo, operator, server] {
            let _: HaitheCreatorIdentity::NotCreator = world.refused(person, world.identity.withdrawFunds(id)).await;
        }

        let receipt = world.act(cora, world.identity.withdrawFunds(id)).await;

        let withdrawn: HaitheOrchestrator::CreatorWithdrawn = event(&receipt);
        assert_eq!((withdrawn.id, withdrawn.amount), (id, world.usdt(7)));
        assert_eq!((withdrawn.creator, withdrawn.to), (cora.address, cora.address));
        assert_eq!(world.balance(cora.address).await, world.usdt(7));
        assert_eq!(world.identity.funds(id).call().await.unwrap(), U256::ZERO);
        assert_eq!(world.identity.totalFunds().call().await.unwrap(), world.usdt(3));
        assert_eq!(world.balance(*world.hub.address()).await, world.usdt(4), "the other creator's and the platform's");
        let _: HaitheCreatorIdentity::NothingToWithdraw = world.refused(cora, world.identity.withdrawFunds(id)).await;
        world.act(cleo, world.identity.withdrawFunds(other)).await;
    }
}

#[tokio::test]
async fn registration_gives_an_identity_that_says_what_it_was_made_with() {
    let world = World::plain().await;
    let People { server, cora, .. } = &world.people;
    let seed = world
        .identity
        .determineNextSeed(cora.address)
        .call()
        .await
        .unwrap();
    let call =
        world
            .hub
            .registerAsCreator(cora.address, "https://cora.example".into(), seed, "0x04ab".into());
    let registered: HaitheOrchestrator::CreatorRegistered = event(&world.act(server, call).await);

    let id = registered.id;
    assert_eq!(id, U256::ONE, "0 means not registered");
    assert_eq!((registered.creator, registered.seed), (cora.address, seed));
    assert_eq!(world.hub.creators(cora.address).call().await.unwrap(), id);
    assert_eq!(world.identity.ownerOf(id).call().await.unwrap(), cora.address);
    assert_eq!(
        world.identity.tokenURI(id).call().await.unwrap(),
        "https://cora.example"
    );
    assert_eq!(world.identity.pvtKeySeeds(id).call().await.unwrap(), seed);
    assert_eq!(world.identity.pubKeys(id).call().await.unwrap(), "0x04ab");
    assert_eq!(
        world.hub.creators(server.address).call().await.unwrap(),
        U256::ZERO
    );
}

#[tokio::test]
async fn the_seed_binds_chain_contract_creator_and_counter() {
    let world = World::plain().await;
    let cora = world.people.cora.address;
    let seed = |counter: u64| {
        let chain = U256::from(world.chain.chain_id());
        keccak256((chain, *world.identity.address(), cora, U256::from(counter)).abi_encode())
    };
    assert_eq!(
        world.identity.determineNextSeed(cora).call().await.unwrap(),
        seed(0)
    );
    world.creator(&world.people.cleo).await;
    assert_eq!(
        world.identity.determineNextSeed(cora).call().await.unwrap(),
        seed(0),
        "others do not disturb it"
    );
    world.creator(&world.people.cora).await;
    assert_eq!(
        world.identity.determineNextSeed(cora).call().await.unwrap(),
        seed(1)
    );
}

#[tokio::test]
async fn a_wrong_seed_a_second_registration_and_a_stranger_are_refused() {
    let world = World::plain().await;
    let People {
        server,
        cora,
        cleo,
        mallory,
        operator,
        ..
    } = &world.people;
    let register = |who: &crate::world::Person, seed: B256| {
        world
            .hub
            .registerAsCreator(who.address, String::new(), seed, String::new())
    };
    let right = world
        .identity
        .determineNextSeed(cora.address)
        .call()
        .await
        .unwrap();
    for wrong in [
        B256::ZERO,
        world
            .identity
            .determineNextSeed(cleo.address)
            .call()
            .await
            .unwrap(),
    ] {
        let _: HaitheCreatorIdentity::WrongSeed = world.refused(server, register(cora, wrong)).await;
    }
    for person in [cora, mallory, operator] {
        let _: HaitheOrchestrator::NotServer = world.refused(person, register(cora, right)).await;
        let mint = world
            .identity
            .mint(cora.address, String::new(), right, String::new());
        let _: HaitheCreatorIdentity::NotOrchestrator = world.refused(person, mint).await;
    }
    world.act(server, register(cora, right)).await;
    let next = world
        .identity
        .determineNextSeed(cora.address)
        .call()
        .await
        .unwrap();
    let _: HaitheOrchestrator::AlreadyRegistered = world.refused(server, register(cora, next)).await;
}

#[tokio::test]
async fn an_identity_stays_with_its_creator() {
    let world = World::plain().await;
    let People { cora, mallory, .. } = &world.people;
    let id = world.creator(cora).await;
    let identity = &world.identity;
    type Refusal = HaitheCreatorIdentity::Soulbound;
    let _: Refusal = world
        .refused(cora, identity.transferFrom(cora.address, mallory.address, id))
        .await;
    let _: Refusal = world
        .refused(
            cora,
            identity.safeTransferFrom_0(cora.address, mallory.address, id),
        )
        .await;
    let _: Refusal = world.refused(cora, identity.approve(mallory.address, id)).await;
    let _: Refusal = world
        .refused(cora, identity.setApprovalForAll(mallory.address, true))
        .await;
    let _: Refusal = world
        .refused(mallory, identity.transferFrom(cora.address, mallory.address, id))
        .await;
    assert!(identity.locked(id).call().await.unwrap());
    for interface in [[0xb4, 0x5a, 0x3c, 0x0e], [0x80, 0xac, 0x58, 0xcd]] {
        assert!(
            identity.supportsInterface(interface.into()).call().await.unwrap(),
            "{interface:02x?}"
        );
    }
}

#[tokio::test]
async fn nobody_registers_or_pays_funds_from_outside() {
    let world = World::plain().await;
    let People {
        server,
        operator,
        cora,
        mallory,
        ..
    } = &world.people;
    let id = world.creator(cora).await;
    for person in [server, operator, cora, mallory] {
        let _: HaitheCreatorIdentity::NotOrchestrator = world
            .refused(person, world.identity.registerFunds(id, U256::ONE))
            .await;
        let _: HaitheOrchestrator::NotAChild = world
            .refused(
                person,
                world
                    .hub
                    .payCreator(id, person.address, person.address, U256::ONE),
            )
            .await;
    }
}

#[tokio::test]
async fn a_payment_that_the_token_refuses_leaves_the_creator_credited() {
    let world = World::with(crate::world::Money::Tricky(6)).await;
    let cora = &world.people.cora;
    let org = world.organization("acme", &world.people.alice, 10).await;
    let id = world.creator(cora).await;
    world
        .settle(vec![line(org, U256::ZERO, &[(cora.address, world.usdt(2))])])
        .await;
    for mode in [crate::world::TOKEN_RETURNS_FALSE, crate::world::TOKEN_REVERTS] {
        world.misbehave(mode).await;
        assert!(
            !world
                .attempt(cora, world.identity.withdrawFunds(id))
                .await
                .status()
        );
        assert_eq!(world.identity.funds(id).call().await.unwrap(), world.usdt(2));
    }
    world.misbehave(crate::world::TOKEN_SILENT).await;
    world.act(cora, world.identity.withdrawFunds(id)).await;
    assert_eq!(world.balance(cora.address).await, world.usdt(2));
}
