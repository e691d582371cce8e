//! The gas bound of batches holds on the real contract: `GasModel::MEASURED` is at least what every
//! batch takes, and a transaction whose gas limit is the bound never fails.

use alloy::primitives::{Address, U256};
use haithe_billing::batch::{CreditCounts, GasModel};

use crate::{
    bindings::{HaitheOrchestrator, Line},
    line_gas::{EXTRA_GAS, gas_of, slow_token},
    scene::{ANY_ROOT, line},
    world::{
        GAS_LIMIT, Money, Person, TOKEN_BURNS_GAS, TOKEN_REVERTS, TOKEN_SILENT, TOKEN_TAKES_FEE, World,
        events,
    },
};

/// Payers, and payees of both kinds that were never paid before.
pub struct Cast {
    pub world: World,
    pub payers: Vec<Address>,
    pub creators: Vec<Address>,
    pub shops: Vec<Address>,
}

impl Cast {
    pub async fn on(world: World, payers: usize, creators: usize, shops: usize) -> Self {
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

    /// So many lines, each with all of these creators and shops.
    pub fn lines(&self, payers: usize, creators: &[Address], shops: &[Address]) -> Vec<Line> {
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

    /// How many credits of each kind a line has.
    pub fn counts(&self, line: &Line) -> CreditCounts {
        let shops = line
            .credits
            .iter()
            .filter(|credit| self.shops.contains(&credit.payee));
        let organizations = shops.count() as u64;
        CreditCounts {
            creators: line.credits.len() as u64 - organizations,
            organizations,
        }
    }

    /// Settles with the bound as gas limit; returns how many lines were skipped.
    async fn settle(&self, what: &str, lines: Vec<Line>) -> usize {
        let gas = GasModel::MEASURED;
        let of = |line: &Line| gas.line(self.counts(line));
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
        let lines = cast.lines(payers, creators, shops);
        // The last line is the only one that may be the first of its payer.
        for line in [&lines[0], &lines[payers - 1]] {
            let (least, limit) = (
                gas_of(&cast.world, line).await,
                GasModel::MEASURED.line_limit(cast.counts(line)),
            );
            assert!(least <= limit, "{what}: a line takes {least} of {limit} gas");
        }
        let skipped = cast.settle(&what, lines).await;
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

/// Finding 1: a batch settles with its bound as gas limit, and each line within its allowance.
#[tokio::test]
async fn the_bound_covers_batches_of_every_shape() {
    fits(World::plain().await, "18 decimals").await;
    fits(World::with(Money::Tricky(6)).await, "silent token").await;
    fits(slow_token().await, &format!("{EXTRA_GAS} more per transfer")).await;
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

#[tokio::test]
async fn the_bound_covers_one_line_of_a_token_that_burns_all_gas() {
    let cast = Cast::on(World::with(Money::Tricky(6)).await, 1, 16, 16).await;
    cast.world.misbehave(TOKEN_BURNS_GAS).await;
    let gas = GasModel::MEASURED;
    for (creators, shops) in [(0, 0), (16, 0), (0, 16), (16, 16)] {
        let lines = cast.lines(1, &cast.creators[..creators], &cast.shops[..shops]);
        let bound = gas.alone(cast.counts(&lines[0]));
        let seq = cast.world.hub.nextBatch().call().await.unwrap();
        let call = cast.world.hub.settleBatch(seq, ANY_ROOT, lines);
        let server = &cast.world.people.server;
        let receipt = cast.world.attempt_with_gas(server, call, bound).await;
        assert!(receipt.status(), "{creators} creators, {shops} organizations");
        assert_eq!(events::<HaitheOrchestrator::LineSkipped>(&receipt).len(), 1);
    }
}
