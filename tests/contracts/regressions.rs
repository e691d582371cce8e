//! What the earlier public contracts got wrong, one test each.

use alloy::{
    primitives::{Address, U256, bytes::BufMut, keccak256},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::SolValue,
};

use crate::{
    bindings::{HaitheCreatorIdentity, HaitheOrchestrator, HaitheOrganization},
    scene::{ANY_ROOT, line},
    world::{DELAY, Money, People, TOKEN_RETURNS_FALSE, World, event},
};

#[tokio::test]
async fn anyone_could_call_the_collect_functions_and_empty_any_organization() {
    let world = World::plain().await;
    let People {
        alice, cora, mallory, ..
    } = &world.people;
    let org = world.organization("acme", alice, 100).await;
    let id = world.creator(cora).await;

    let calls = [
        (
            "collectPaymentForCall(address,uint256,address,uint256)",
            (org, id, mallory.address, world.usdt(1)).abi_encode(),
        ),
        (
            "collectPaymentForLLMCall(address,address,uint256)",
            (org, mallory.address, world.usdt(1)).abi_encode(),
        ),
    ];
    for (signature, arguments) in calls {
        let mut input = keccak256(signature)[..4].to_vec();
        input.put_slice(&arguments);
        let request = TransactionRequest::default()
            .to(*world.hub.address())
            .input(input.into());
        assert!(
            world.simulate(mallory, request).await.is_err(),
            "{signature} is gone"
        );
    }
    let lines = vec![line(org, world.usdt(1), &[])];
    let _: HaitheOrchestrator::NotServer = world
        .refused(mallory, world.hub.settleBatch(0, ANY_ROOT, lines))
        .await;
    let _: HaitheOrganization::NotOrchestrator = world
        .refused(mallory, world.org(org).pull(mallory.address, world.usdt(1)))
        .await;
    let allowance = world
        .token
        .allowance(org, *world.hub.address())
        .call()
        .await
        .unwrap();
    assert_eq!(allowance, U256::ZERO, "there is no approval to abuse either");
}

#[tokio::test]
async fn model_fees_landed_in_a_contract_with_no_way_out() {
    let world = World::plain().await;
    let operator = &world.people.operator;
    let org = world.organization("acme", &world.people.alice, 100).await;
    world.settle(vec![line(org, world.usdt(10), &[])]).await;
    world
        .act(
            operator,
            world.hub.withdrawPlatform(operator.address, world.usdt(10)),
        )
        .await;
    assert_eq!(world.balance(operator.address).await, world.usdt(10));
}

#[tokio::test]
async fn creator_withdrawal_paid_native_coin_and_reverted() {
    let world = World::plain().await;
    let cora = &world.people.cora;
    let org = world.organization("acme", &world.people.alice, 100).await;
    let id = world.creator(cora).await;
    world
        .settle(vec![line(org, U256::ZERO, &[(cora.address, world.usdt(10))])])
        .await;
    let native = world.provider.get_balance(cora.address).await.unwrap();
    world.act(cora, world.identity.withdrawFunds(id)).await;
    assert_eq!(world.balance(cora.address).await, world.usdt(10));
    assert!(
        world.provider.get_balance(cora.address).await.unwrap() < native,
        "only gas was spent"
    );
}

#[tokio::test]
async fn organizations_could_never_withdraw() {
    let world = World::plain().await;
    let alice = &world.people.alice;
    let org = world.org(world.organization("acme", alice, 100).await);
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(100)))
        .await;
    world.chain.advance_time(DELAY);
    world.act(alice, org.executeWithdrawal()).await;
    assert_eq!(world.balance(alice.address).await, world.usdt(100));
}

#[tokio::test]
async fn transfer_results_were_ignored() {
    let world = World::with(Money::Tricky(6)).await;
    let cora = &world.people.cora;
    let org = world.organization("acme", &world.people.alice, 100).await;
    let id = world.creator(cora).await;
    world.misbehave(TOKEN_RETURNS_FALSE).await;
    let receipt = world
        .settle(vec![line(org, world.usdt(1), &[(cora.address, world.usdt(1))])])
        .await;
    let settled: HaitheOrchestrator::BatchSettled = event(&receipt);
    assert_eq!((settled.total, settled.skipped), (U256::ZERO, U256::ONE));
    assert_eq!(
        world.identity.funds(id).call().await.unwrap(),
        U256::ZERO,
        "no credit without money"
    );
}

#[tokio::test]
async fn the_index_of_an_organization_was_searched_among_products() {
    let world = World::plain().await;
    let People { alice, cora, .. } = &world.people;
    world.creator(cora).await;
    world.product_of(cora, "book", U256::ZERO).await;
    world.organization("first", alice, 0).await;
    let second = world.organization("second", alice, 0).await;
    assert_eq!(
        world.hub.getOrganizationIndex(second).call().await.unwrap(),
        U256::ONE
    );
}

#[tokio::test]
async fn creator_ids_were_not_checked() {
    let world = World::plain().await;
    let org = world.organization("acme", &world.people.alice, 100).await;
    let nobody = world.people.mallory.address;
    let receipt = world
        .settle(vec![line(org, U256::ZERO, &[(nobody, world.usdt(1))])])
        .await;
    let settled: HaitheOrchestrator::BatchSettled = event(&receipt);
    assert_eq!(settled.skipped, U256::ONE);
    assert_eq!(world.balance(org).await, world.usdt(100));

    // The identity contract checks for itself, whoever would call.
    let hub = *world.hub.address();
    let call = world
        .identity
        .registerFunds(U256::from(99), U256::ONE)
        .into_transaction_request();
    let error = world.provider.call(call.from(hub)).await.unwrap_err();
    let error = error
        .as_error_resp()
        .unwrap()
        .as_decoded_error::<HaitheCreatorIdentity::ERC721NonexistentToken>();
    assert_eq!(error.unwrap().tokenId, U256::from(99));
}

#[tokio::test]
async fn the_seed_was_just_the_address() {
    let (one, other) = (World::plain().await, World::with(Money::Plain(6)).await);
    let creator: Address = one.people.cora.address;
    let seed = one.identity.determineNextSeed(creator).call().await.unwrap();
    assert!(!seed.windows(20).any(|window| window == creator.as_slice()));
    // The same contracts at the same addresses on a chain with another id give another seed; so does another contract.
    assert_eq!(one.identity.address(), other.identity.address());
    assert_eq!(
        seed,
        other.identity.determineNextSeed(creator).call().await.unwrap()
    );
    let elsewhere = World::on_chain(Money::Plain(18), 77).await;
    assert_eq!(one.identity.address(), elsewhere.identity.address());
    assert_ne!(
        seed,
        elsewhere
            .identity
            .determineNextSeed(creator)
            .call()
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn the_price_could_change_after_enabling() {
    let world = World::plain().await;
    let People { alice, cora, .. } = &world.people;
    let org = world.org(world.organization("acme", alice, 100).await);
    world.creator(cora).await;
    let product = world.product_of(cora, "book", world.usdt(1)).await;
    world.act(alice, org.enableProduct_0(product)).await;
    world
        .act(cora, world.product(product).setPricePerCall(world.usdt(99)))
        .await;
    assert_eq!(org.maxPriceOf(product).call().await.unwrap(), world.usdt(1));
}
