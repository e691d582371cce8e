//! Calls within calls: several batches in one transaction, and a token that calls back while it is moving money. The
//! token itself plays the server, the creator and the owner here, since they are who may call.

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};

use crate::{
    bindings::{
        HaitheCreatorIdentity::{self, withdrawFundsCall},
        HaitheOrchestrator::{self, acceptServerCall, settleBatchCall},
        HaitheOrganization::{self, executeWithdrawalCall, requestWithdrawalCall},
    },
    scene::{ANY_ROOT, line},
    world::{DAY, DELAY, Money, World, event, events, reason},
};

/// A world whose server is the token.
async fn token_serves() -> World {
    let world = World::with(Money::Tricky(6)).await;
    let (token, hub) = (*world.token.address(), *world.hub.address());
    world
        .act(&world.people.operator, world.hub.proposeServer(token))
        .await;
    world.chain.advance_time(DELAY + DAY);
    world.relay(hub, vec![acceptServerCall {}.abi_encode()]).await;
    world
}

impl World {
    /// The token makes these calls in one transaction.
    async fn relay(&self, target: Address, calls: Vec<Vec<u8>>) -> alloy::rpc::types::TransactionReceipt {
        let calls = calls.into_iter().map(Bytes::from).collect();
        self.act(&self.people.mallory, self.token.relay(target, calls))
            .await
    }

    /// From now on the token makes this call whenever money moves.
    async fn hook(&self, target: Address, call: Vec<u8>) {
        self.act(&self.people.mallory, self.token.setHook(target, call.into()))
            .await;
    }
}

fn batch(seq: u64, lines: Vec<crate::bindings::Line>) -> Vec<u8> {
    settleBatchCall {
        seq,
        root: ANY_ROOT,
        lines,
    }
    .abi_encode()
}

#[tokio::test]
async fn two_batches_in_one_transaction_do_not_mix() {
    let world = token_serves().await;
    let cora = world.people.cora.address;
    let org = world.organization("acme", &world.people.alice, 100).await;
    let seed = world.identity.determineNextSeed(cora).call().await.unwrap();
    let (uri, key) = (String::new, String::new);
    let register = world
        .hub
        .registerAsCreator(cora, uri(), seed, key())
        .calldata()
        .to_vec();
    let pays = |whole| vec![line(org, U256::ZERO, &[(cora, world.usdt(whole))])];

    let receipt = world
        .relay(
            *world.hub.address(),
            vec![register, batch(0, pays(3)), batch(1, pays(4))],
        )
        .await;

    let credited: Vec<_> = events::<HaitheOrchestrator::CreatorCredited>(&receipt);
    let credited: Vec<_> = credited
        .iter()
        .map(|credit| (credit.seq, credit.amount))
        .collect();
    assert_eq!(credited, [(0, world.usdt(3)), (1, world.usdt(4))]);
    assert_eq!(world.identity.totalFunds().call().await.unwrap(), world.usdt(7));
    assert_eq!(world.balance(*world.hub.address()).await, world.usdt(7));
}

#[tokio::test]
async fn a_batch_cannot_be_settled_inside_a_batch() {
    let world = token_serves().await;
    let hub = *world.hub.address();
    let org = world.organization("acme", &world.people.alice, 100).await;
    let lines = || vec![line(org, world.usdt(1), &[])];
    world.hook(hub, batch(1, lines())).await;

    let receipt = world.relay(hub, vec![batch(0, lines())]).await;

    let skipped: HaitheOrchestrator::LineSkipped = event(&receipt);
    let _: HaitheOrchestrator::ReentrancyGuardReentrantCall = reason(&skipped.reason);
    assert_eq!(world.hub.nextBatch().call().await.unwrap(), 1);
    assert_eq!(world.balance(org).await, world.usdt(100));
}

#[tokio::test]
async fn a_creator_is_paid_neither_inside_a_batch_nor_twice() {
    let world = World::with(Money::Tricky(6)).await;
    let (token, hub, identity) = (
        *world.token.address(),
        *world.hub.address(),
        *world.identity.address(),
    );
    let org = world.organization("acme", &world.people.alice, 100).await;
    let seed = world.identity.determineNextSeed(token).call().await.unwrap();
    let register = world
        .hub
        .registerAsCreator(token, String::new(), seed, String::new());
    world.act(&world.people.server, register).await;
    let id = U256::ONE;
    world
        .settle(vec![line(org, world.usdt(5), &[(token, world.usdt(2))])])
        .await;
    world.hook(identity, withdrawFundsCall { id }.abi_encode()).await;

    let receipt = world.settle(vec![line(org, world.usdt(1), &[])]).await;
    let skipped: HaitheOrchestrator::LineSkipped = event(&receipt);
    let _: HaitheOrchestrator::ReentrancyGuardReentrantCall = reason(&skipped.reason);

    let twice = world
        .token
        .relay(identity, vec![withdrawFundsCall { id }.abi_encode().into()]);
    let _: HaitheCreatorIdentity::NothingToWithdraw = world.refused(&world.people.mallory, twice).await;
    assert_eq!(world.balance(hub).await, world.usdt(7));
    assert_eq!(world.identity.funds(id).call().await.unwrap(), world.usdt(2));

    world.hook(Address::ZERO, vec![]).await;
    world
        .relay(identity, vec![withdrawFundsCall { id }.abi_encode()])
        .await;
    assert_eq!(world.balance(token).await, world.usdt(2));
}

#[tokio::test]
async fn a_withdrawal_is_executed_once() {
    let world = World::with(Money::Tricky(6)).await;
    let token = *world.token.address();
    let org = world.org(world.organization("acme", &world.people.alice, 100).await);
    world.act(&world.people.alice, org.transferOwnership(token)).await;
    let accept = HaitheOrganization::acceptOwnershipCall {}.abi_encode();
    let request = requestWithdrawalCall {
        to: token,
        amount: world.usdt(10),
    }
    .abi_encode();
    world.relay(*org.address(), vec![accept, request]).await;
    world.chain.advance_time(DELAY);
    let execute = executeWithdrawalCall {}.abi_encode();
    world.hook(*org.address(), execute.clone()).await;

    let twice = world.token.relay(*org.address(), vec![execute.clone().into()]);
    let _: HaitheOrganization::NoWithdrawal = world.refused(&world.people.mallory, twice).await;
    assert_eq!(world.balance(*org.address()).await, world.usdt(100));

    world.hook(Address::ZERO, vec![]).await;
    world.relay(*org.address(), vec![execute]).await;
    assert_eq!(world.balance(*org.address()).await, world.usdt(90));
}
