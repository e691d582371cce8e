//! What settlement costs. `abi/README.md` prints these figures.

use alloy::{
    primitives::{Address, U256},
    providers::Provider,
};

use crate::{
    bindings::{HaitheOrchestrator, Line},
    scene::{ANY_ROOT, line},
    world::{DELAY, NOTICE, Person, World},
};

/// The most a batch may take, so that it fits into a block next to others.
const BATCH_LIMIT: u64 = 8_000_000;

struct Scene {
    world: World,
    orgs: Vec<Address>,
    creators: Vec<Address>,
}

/// A hundred organizations, ten creators, and a batch that touched all of them: what follows finds storage in use, as
/// it is in daily life.
async fn scene() -> Scene {
    let world = World::plain().await;
    let mut orgs = Vec::new();
    for i in 0..100 {
        orgs.push(
            world
                .organization(&format!("org {i}"), &world.people.alice, 1_000)
                .await,
        );
    }
    let mut creators = Vec::new();
    for i in 0..10 {
        let creator = Person::named(&format!("creator {i}"));
        world.creator(&creator).await;
        creators.push(creator.address);
    }
    let scene = Scene {
        world,
        orgs,
        creators,
    };
    scene.settle(100, 10).await;
    scene
}

impl Scene {
    fn lines(&self, lines: usize, credits: usize) -> Vec<Line> {
        let amount = self.world.usdt(1);
        let credits: Vec<_> = self.creators[..credits]
            .iter()
            .map(|payee| (*payee, amount))
            .collect();
        self.orgs[..lines]
            .iter()
            .map(|org| line(*org, amount, &credits))
            .collect()
    }

    /// Gas used by a batch.
    async fn settle(&self, lines: usize, credits: usize) -> u64 {
        self.world.settle(self.lines(lines, credits)).await.gas_used
    }

    /// The gas limit that an estimate asks for: more than is used, because every line finds its own allowance.
    async fn estimate(&self, lines: usize, credits: usize) -> u64 {
        let seq = self.world.hub.nextBatch().call().await.unwrap();
        let call = self
            .world
            .hub
            .settleBatch(seq, ANY_ROOT, self.lines(lines, credits));
        let request = call
            .from(self.world.people.server.address)
            .into_transaction_request();
        self.world.provider.estimate_gas(request).await.unwrap()
    }
}

#[tokio::test]
async fn a_batch_of_a_hundred_lines_stays_within_the_bound() {
    let scene = scene().await;
    for (lines, credits, bound) in [
        (1, 0, 160_000),
        (1, 2, 210_000),
        (100, 0, 3_700_000),
        (100, 2, 4_400_000),
        (100, 10, 7_200_000),
    ] {
        let used = scene.settle(lines, credits).await;
        println!("{lines:>3} lines x {credits:>2} creators: {used:>9} gas");
        assert!(used <= bound, "{lines} x {credits} took {used}, not {bound}");
    }
    let estimate = scene.estimate(100, 10).await;
    println!("estimate of the last: {estimate}");
    assert!(estimate <= BATCH_LIMIT, "{estimate}");
}

#[tokio::test]
async fn a_first_batch_with_fresh_storage_stays_within_the_bound() {
    let world = World::plain().await;
    let mut lines = Vec::new();
    for i in 0..100 {
        let org = world
            .organization(&format!("org {i}"), &world.people.alice, 10)
            .await;
        lines.push(line(org, U256::ONE, &[]));
    }
    let used = world.settle(lines).await.gas_used;
    println!("100 fresh organizations: {used} gas");
    assert!(used <= 5_500_000, "{used}");
}

#[tokio::test]
async fn organizations_and_creators_are_cheap_to_make() {
    let world = World::plain().await;
    let people = &world.people;
    world.organization("first", &people.alice, 0).await;
    let create = world
        .act(&people.alice, world.hub.createOrganization("second".into()))
        .await
        .gas_used;
    assert!(create <= 250_000, "{create}");
    world.creator(&people.cora).await;
    let seed = world
        .identity
        .determineNextSeed(people.cleo.address)
        .call()
        .await
        .unwrap();
    let call = world.hub.registerAsCreator(
        people.cleo.address,
        "https://x.example".into(),
        seed,
        "0x04".into(),
    );
    let register = world.act(&people.server, call).await.gas_used;
    assert!(register <= 250_000, "{register}");
}

#[tokio::test]
async fn the_deployment_takes_what_the_readme_says() {
    let world = World::plain().await;
    let people = &world.people;
    let deploy = HaitheOrchestrator::deploy_builder(
        &world.provider,
        *world.token.address(),
        people.operator.address,
        people.server.address,
        people.guardian.address,
        DELAY,
        U256::MAX,
        NOTICE,
    );
    let receipt = world
        .send(&people.operator, deploy.into_transaction_request())
        .await;
    assert!(receipt.status());
    println!("deployment: {} gas", receipt.gas_used);
    let rounded = (receipt.gas_used + 5_000) / 10_000;
    assert_eq!(rounded, 863, "{} gas", receipt.gas_used);
}
