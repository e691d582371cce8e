//! Batches: who may settle, in which order, what moves and what is recorded.

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolValue,
};

use crate::{
    bindings::{HaitheOrchestrator, Line},
    scene::{ANY_ROOT, line},
    world::{World, event, events, with_every_money},
};

with_every_money! {
    async fn a_line_pays_the_platform_creators_and_other_organizations(world: World) {
        let people = &world.people;
        let payer = world.organization("payer", &people.alice, 100).await;
        let project = world.organization("project", &people.bob, 0).await;
        let cora = world.creator(&people.cora).await;
        let cleo = world.creator(&people.cleo).await;
        let [ten, seven, five, two] = [10, 7, 5, 2].map(|n| world.usdt(n));

        let credits = [(people.cora.address, seven), (project, five), (people.cleo.address, two)];
        let receipt = world.settle(vec![line(payer, ten, &credits)]).await;

        assert_eq!(world.balance(payer).await, world.usdt(100 - 24));
        assert_eq!(world.balance(project).await, five);
        assert_eq!(world.hub.platformFunds().call().await.unwrap(), ten);
        assert_eq!(world.identity.funds(cora).call().await.unwrap(), seven);
        assert_eq!(world.identity.funds(cleo).call().await.unwrap(), two);
        assert_eq!(world.balance(*world.hub.address()).await, world.usdt(19));
        let spent: HaitheOrchestrator::OrganizationExpenditure = event(&receipt);
        assert_eq!((spent.organization, spent.amount, spent.spender), (payer, world.usdt(24), people.server.address));
        let settled: HaitheOrchestrator::BatchSettled = event(&receipt);
        assert_eq!((settled.seq, settled.total, settled.skipped), (0, world.usdt(24), U256::ZERO));
    }

    async fn a_creator_gets_one_entry_for_all_lines_of_a_batch(world: World) {
        let people = &world.people;
        let first = world.organization("first", &people.alice, 10).await;
        let second = world.organization("second", &people.bob, 10).await;
        let id = world.creator(&people.cora).await;
        let share = |org| line(org, U256::ZERO, &[(people.cora.address, world.usdt(3))]);

        let receipt = world.settle(vec![share(first), share(second), share(first)]).await;

        let credited: HaitheOrchestrator::CreatorCredited = event(&receipt);
        assert_eq!((credited.id, credited.seq, credited.amount), (id, 0, world.usdt(9)));
        assert_eq!(world.identity.funds(id).call().await.unwrap(), world.usdt(9));
        assert_eq!(world.identity.totalFunds().call().await.unwrap(), world.usdt(9));

        let receipt = world.settle(vec![share(second)]).await;
        let credited: HaitheOrchestrator::CreatorCredited = event(&receipt);
        assert_eq!((credited.seq, credited.amount), (1, world.usdt(3)), "nothing is left over from the first batch");
    }
}

#[tokio::test]
async fn a_replayed_a_skipping_and_a_reordered_batch_are_refused() {
    let world = World::plain().await;
    let org = world.organization("acme", &world.people.alice, 100).await;
    let lines = || vec![line(org, world.usdt(1), &[])];
    let server = &world.people.server;
    world.settle(lines()).await;

    for wrong in [0, 2, 3, u64::MAX] {
        let error: HaitheOrchestrator::WrongSequence = world
            .refused(server, world.hub.settleBatch(wrong, ANY_ROOT, lines()))
            .await;
        assert_eq!((error.expected, error.got), (1, wrong));
    }
    world
        .act(server, world.hub.settleBatch(1, ANY_ROOT, lines()))
        .await;
    assert_eq!(world.hub.nextBatch().call().await.unwrap(), 2);
    assert_eq!(world.balance(org).await, world.usdt(98));
}

#[tokio::test]
async fn the_recorded_hash_binds_chain_contract_sequence_receipts_and_lines() {
    let world = World::plain().await;
    let people = &world.people;
    let org = world.organization("acme", &people.alice, 100).await;
    world.creator(&people.cora).await;
    let lines = vec![
        line(org, world.usdt(1), &[(people.cora.address, world.usdt(2))]),
        line(org, U256::ZERO, &[]),
    ];

    let receipt = world
        .act(&people.server, world.hub.settleBatch(0, ANY_ROOT, lines.clone()))
        .await;

    let hash = |seq: u64, root: B256, hub: Address, lines: &Vec<Line>| {
        keccak256((U256::from(world.chain.chain_id()), hub, seq, root, lines.clone()).abi_encode_params())
    };
    let expected = hash(0, ANY_ROOT, *world.hub.address(), &lines);
    assert_eq!(world.hub.batchHash(0).call().await.unwrap(), expected);
    assert_eq!(world.hub.receiptsRoot(0).call().await.unwrap(), ANY_ROOT);
    let settled: HaitheOrchestrator::BatchSettled = event(&receipt);
    assert_eq!((settled.hash, settled.root), (expected, ANY_ROOT));
    assert_ne!(
        expected,
        hash(0, ANY_ROOT, *world.hub.address(), &lines[..1].to_vec())
    );
    assert_eq!(world.hub.batchHash(1).call().await.unwrap(), B256::ZERO);
}

#[tokio::test]
async fn only_the_server_settles() {
    let world = World::plain().await;
    let people = &world.people;
    let org = world.organization("acme", &people.alice, 100).await;
    for person in [&people.operator, &people.guardian, &people.alice, &people.mallory] {
        let lines = vec![line(org, world.usdt(1), &[])];
        let error: HaitheOrchestrator::NotServer = world
            .refused(person, world.hub.settleBatch(0, ANY_ROOT, lines))
            .await;
        assert_eq!(error.caller, person.address);
    }
    assert_eq!(world.balance(org).await, world.usdt(100));
}

#[tokio::test]
async fn a_line_cannot_be_settled_outside_a_batch() {
    let world = World::plain().await;
    let org = world.organization("acme", &world.people.alice, 100).await;
    for person in [&world.people.server, &world.people.mallory] {
        let call = world.hub.settleLine(line(org, world.usdt(1), &[]));
        let _: HaitheOrchestrator::NotOrchestrator = world.refused(person, call).await;
    }
}

#[tokio::test]
async fn an_empty_batch_is_refused_and_a_line_of_nothing_is_not() {
    let world = World::plain().await;
    let people = &world.people;
    let org = world.organization("acme", &people.alice, 0).await;
    let id = world.creator(&people.cora).await;
    let _: HaitheOrchestrator::EmptyBatch = world
        .refused(&people.server, world.hub.settleBatch(0, ANY_ROOT, vec![]))
        .await;

    let receipt = world
        .settle(vec![line(org, U256::ZERO, &[(people.cora.address, U256::ZERO)])])
        .await;

    assert!(world.hub.lineSettled(0, 0).call().await.unwrap());
    assert_eq!(events::<HaitheOrchestrator::CreatorCredited>(&receipt), []);
    assert_eq!(world.identity.funds(id).call().await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn lines_beyond_256_are_recorded_one_by_one() {
    let world = World::plain().await;
    let org = world.organization("acme", &world.people.alice, 1).await;
    let stranger = world.people.mallory.address;
    let bad = [0, 255, 256, 299];
    let lines = (0..300)
        .map(|i| line(if bad.contains(&i) { stranger } else { org }, U256::ONE, &[]))
        .collect();

    let receipt = world.settle(lines).await;

    let settled: HaitheOrchestrator::BatchSettled = event(&receipt);
    assert_eq!((settled.total, settled.skipped), (U256::from(296), U256::from(4)));
    for i in 0..310 {
        let expected = i < 300 && !bad.contains(&i);
        assert_eq!(
            world.hub.lineSettled(0, i).call().await.unwrap(),
            expected,
            "line {i}"
        );
    }
    assert!(
        !world.hub.lineSettled(1, 1).call().await.unwrap(),
        "of a batch that is not there yet"
    );
}

#[tokio::test]
async fn too_little_gas_fails_the_batch_and_skips_nothing() {
    let world = World::plain().await;
    let people = &world.people;
    let org = world.organization("acme", &people.alice, 100).await;
    world.creator(&people.cora).await;
    let lines = || vec![line(org, world.usdt(1), &[(people.cora.address, world.usdt(1))]); 3];
    let server = &people.server;

    let mut settled = 0;
    for gas in (200_000..1_200_000).step_by(50_000) {
        let seq = world.hub.nextBatch().call().await.unwrap();
        let receipt = world
            .attempt_with_gas(server, world.hub.settleBatch(seq, ANY_ROOT, lines()), gas)
            .await;
        assert_eq!(
            events::<HaitheOrchestrator::LineSkipped>(&receipt),
            [],
            "with {gas} gas"
        );
        settled += u64::from(receipt.status());
    }
    assert!(settled > 0, "the largest limits suffice");
    assert_eq!(world.balance(org).await, world.usdt(100 - 6 * settled));
}
