//! The gas bound of batches holds on the real contract: `GasModel::MEASURED` is at least what every
//! batch takes, and a transaction whose gas limit is the bound never fails.

use alloy::primitives::{Address, U256};
use haithe_billing::batch::{CreditCounts, GasModel};

use crate::{
    bindings::{HaitheOrchestrator, Line},
    scene::{ANY_ROOT, line},
    world::{Money, Person, TOKEN_REVERTS, TOKEN_SILENT, TOKEN_TAKES_FEE, World, events},
};

/// As much gas as one transaction may have (EIP-7825).
const GAS_LIMIT: u64 = 1 << 24;

/// Payers, and payees of both kinds that nobody paid before.
struct Cast {
    world: World,
    payers: Vec<Address>,
    creators: Vec<Address>,
    shops: Vec<Address>,
}

impl Cast {
    async fn on(world: World, payers: usize, creators: usize, shops: usize) -> Self {
        let mut cast = Self {
            payers: Vec::new(),
            creators: Vec::new(),
            shops: Vec::new(),
            world,
        };
        let world = &cast.world;
        for i in 0..payers {
            let name = format!("payer {i}");
            let org = world.organization(&name, &world.people.alice, 1_000).await;
            cast.payers.push(org);
        }
        for i in 0..shops {
            let name = format!("shop {i}");
            let org = world.organization(&name, &world.people.bob, 0).await;
            cast.shops.push(org);
        }
        for i in 0..creators {
            let creator = Person::named(&format!("creator {i}"));
            world.creator(&creator).await;
            cast.creators.push(creator.address);
        }
        cast
    }

    /// So many lines, each with all creators and shops of these ranges.
    fn lines(&self, payers: usize, creators: &[Address], shops: &[Address]) -> Vec<Line> {
        let amount = self.world.usdt(1) / U256::from(100);
        let credits: Vec<_> = creators
            .iter()
            .chain(shops)
            .map(|payee| (*payee, amount))
            .collect();
        self.payers[..payers]
            .iter()
            .map(|org| line(*org, amount, &credits))
            .collect()
    }

    /// Settles with the bound as gas limit; gives what was used and how many lines were skipped.
    async fn settle(&self, what: &str, lines: Vec<Line>) -> usize {
        let gas = GasModel::MEASURED;
        let of = |line: &Line| {
            let shops = line
                .credits
                .iter()
                .filter(|credit| self.shops.contains(&credit.payee));
            let organizations = shops.count() as u64;
            gas.line(CreditCounts {
                creators: line.credits.len() as u64 - organizations,
                organizations,
            })
        };
        let bound = gas.bound(lines.iter().map(of));
        let used_bound = gas.base + lines.iter().map(|line| of(line).used).sum::<u64>();
        let hub = &self.world.hub;
        let seq = hub.nextBatch().call().await.unwrap();
        let count = lines.len();
        let call = hub.settleBatch(seq, ANY_ROOT, lines);
        let server = &self.world.people.server;
        assert!(bound <= GAS_LIMIT, "{what}: no transaction may have {bound} gas");
        let receipt = self.world.attempt_with_gas(server, call, bound).await;
        let used = receipt.gas_used;
        println!("{what:<60} {count:>3} lines: {used:>9} of {used_bound:>9} gas, limit {bound:>9}");
        assert!(
            receipt.status(),
            "{what}: the gas limit of {bound} was not enough"
        );
        assert!(used <= used_bound, "{what}: {used} gas, more than {used_bound}");
        events::<HaitheOrchestrator::LineSkipped>(&receipt).len()
    }
}

async fn fits(world: World, name: &str) {
    let cast = Cast::on(world, 20, 33, 33).await;
    let (creators, shops) = (&cast.creators, &cast.shops);
    let settle = async |what: &str, payers, creators: &[Address], shops: &[Address]| {
        let what = format!("{name}: {what}");
        let skipped = cast.settle(&what, cast.lines(payers, creators, shops)).await;
        assert_eq!(skipped, 0, "{what}");
    };
    settle("first batch ever, first line of a payer", 1, &[], &[]).await;
    settle("one line, a creator's first credit", 1, &creators[..1], &[]).await;
    settle("one line, an organization's first credit", 1, &[], &shops[..1]).await;
    settle(
        "one line, 32 creators for the first time",
        1,
        &creators[1..33],
        &[],
    )
    .await;
    settle(
        "one line, 32 organizations for the first time",
        1,
        &[],
        &shops[1..33],
    )
    .await;
    settle("20 lines, 19 of them for the first time", 20, &[], &[]).await;
    settle("20 lines, 10 creators each", 20, &creators[..10], &[]).await;
    settle("20 lines, 5 organizations each", 20, &[], &shops[..5]).await;
    settle("3 lines, 17 of both kinds each", 3, &creators[..17], &shops[..17]).await;
}

#[tokio::test]
async fn the_bound_covers_batches_of_every_shape() {
    fits(World::plain().await, "18 decimals").await;
    fits(World::with(Money::Tricky(6)).await, "silent token").await;
}

#[tokio::test]
async fn the_bound_covers_lines_that_fail() {
    let cast = Cast::on(World::with(Money::Tricky(6)).await, 20, 16, 16).await;
    let lines = || cast.lines(8, &cast.creators, &cast.shops[..4]);
    for (what, mode) in [
        ("a token that takes a fee", TOKEN_TAKES_FEE),
        ("a token that reverts", TOKEN_REVERTS),
    ] {
        cast.world.misbehave(mode).await;
        let skipped = cast.settle(what, lines()).await;
        assert_eq!(skipped, 8, "{what}");
    }
    cast.world.misbehave(TOKEN_SILENT).await;
    // The last payee is unknown: everything before it was done and is undone.
    let stranger = Person::named("a stranger").address;
    let mut failing = lines();
    for line in &mut failing {
        let mut last = line.credits[0].clone();
        last.payee = stranger;
        line.credits.push(last);
    }
    assert_eq!(cast.settle("an unknown payee at the end", failing).await, 8);
}
