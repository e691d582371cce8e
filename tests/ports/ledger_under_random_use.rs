//! Sequences of random facts and decisions, against a model that a reader can check by eye.
//!
//! Whatever the order, the ledger stays balanced and agrees with the chain:
//! *on chain = available + unsettled + withdrawing*, with every block final at once.

use crate::{
    database::{Database, on_every_database},
    world::{World, capture, line, nano, transfer, wallet},
};
use haithe_billing::{batch::Batch, capture::Payee, chain::SkipReason};
use haithe_kernel::{CallId, Usdt};
use haithe_orgs::{Organization, Project};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// What the chain holds and what calls have cost, kept apart from the database.
struct Model {
    onchain: i64,
    spent: i64,
    /// Deposits since the last thing that must not be taken back.
    undoable: Vec<i64>,
    held: Vec<(CallId, i64)>,
}

async fn every_sequence_leaves_the_ledger_sound_and_equal_to_the_chain(db: impl Database) {
    let mut world = World::over(db).await;
    for seed in 0..12 {
        let (org, project) = world.funded(&format!("Acme {seed}"), nano(1_000)).await;
        run(&mut world, &org, &project, seed).await;
    }
}

async fn the_same_holds_for_a_token_of_six_decimals(db: impl Database) {
    drop(db);
    let mut world = World::<crate::sqlite::SqliteDatabase>::with_decimals(6).await;
    for seed in 100..106 {
        let (org, project) = world.funded(&format!("Acme {seed}"), Usdt::whole(1)).await;
        run(&mut world, &org, &project, seed).await;
    }
}

async fn run<D: Database>(world: &mut World<D>, org: &Organization, project: &Project, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let start = world.balance(org).await.onchain.nano();
    let mut model = Model {
        onchain: start,
        spent: 0,
        undoable: Vec::new(),
        held: Vec::new(),
    };
    for _ in 0..60 {
        step(world, org, project, &mut model, &mut rng).await;
        let balance = world.balance(org).await;
        let held: i64 = model.held.iter().map(|(_, amount)| amount).sum();
        assert_eq!(balance.onchain.nano(), model.onchain, "seed {seed}");
        assert_eq!(balance.held.nano(), held, "seed {seed}");
        let parts = balance.available.nano() + balance.unsettled.nano() + balance.withdrawing.nano();
        assert_eq!(parts, model.onchain, "seed {seed}: {balance:?}");
        let spent = world.db.ledger().expenditure(org.id).await.unwrap();
        assert_eq!(spent.nano(), model.spent, "seed {seed}");
    }
    for (call, _) in model.held {
        world.db.ledger().release(call);
    }
    world.assert_sound().await;
}

/// Whole base units, so that deposits are exact for every token.
fn deposit_size(rng: &mut StdRng) -> i64 {
    rng.random_range(1..=500) * 1_000
}

async fn step<D: Database>(
    world: &mut World<D>,
    org: &Organization,
    project: &Project,
    model: &mut Model,
    rng: &mut StdRng,
) {
    match rng.random_range(0..10) {
        0 | 1 => {
            let amount = deposit_size(rng);
            world.deposit(org, nano(amount)).await;
            model.onchain += amount;
            model.undoable.push(amount);
        }
        2 => {
            if let Some(amount) = model.undoable.pop() {
                world.rewind(1).await;
                model.onchain -= amount;
            }
        }
        3..=5 => {
            let amount = rng.random_range(0..=400_000);
            let spendable = world.balance(org).await.spendable().nano();
            match world.hold(org, nano(amount)).await {
                Ok(call) => {
                    assert!(amount <= spendable);
                    model.held.push((call, amount));
                }
                Err(refused) => assert!(amount > spendable, "{refused}"),
            }
        }
        6 => {
            if let Some((call, _)) = model.held.pop() {
                world.db.ledger().release(call);
            }
        }
        7 | 8 => {
            if let Some((call, held)) = model.held.pop() {
                let cost = rng.random_range(0..=held + 50_000);
                let spendable = world.balance(org).await.spendable().nano();
                let lines = vec![line(Payee::Platform, nano(cost))];
                let captured = world
                    .db
                    .ledger()
                    .capture(capture(call, org.id, project, lines))
                    .await
                    .unwrap();
                assert_eq!(captured.charged.nano(), cost.min(held + spendable));
                assert_eq!(captured.lost.nano(), cost - captured.charged.nano());
                model.spent += captured.charged.nano();
            }
        }
        _ => {
            // A skipped line waits again; it is settled next, so that no one is suspended.
            let skip = rng.random_bool(0.3);
            for skip in [skip, false] {
                if let Some(batch) = world.seal().await {
                    model.onchain -= settle(world, &batch, org, skip).await;
                }
            }
            // A token of somebody else's that moves past is no concern of ours.
            let foreign = transfer(wallet(7), wallet(8), world.units(nano(1_000)));
            world.mine_one(foreign).await;
            model.undoable.clear();
        }
    }
}

/// Mines the batch, without the organization's line when `skip`; gives what left its contract.
async fn settle<D: Database>(world: &mut World<D>, batch: &Batch, org: &Organization, skip: bool) -> i64 {
    let number = batch.lines.iter().position(|line| line.org == org.id);
    let line = number.map(|number| &batch.lines[number]);
    let amount = line.map_or(0, |line| {
        line.credits.iter().map(|credit| credit.amount.nano()).sum()
    });
    let skipped = number
        .filter(|_| skip)
        .map(|number| (number as u32, SkipReason::InsufficientFunds));
    let skipped: Vec<_> = skipped.into_iter().collect();
    let events = world.settled(batch, &skipped);
    world.mine(vec![events]).await;
    if skipped.is_empty() { amount } else { 0 }
}

on_every_database!(
    every_sequence_leaves_the_ledger_sound_and_equal_to_the_chain,
    the_same_holds_for_a_token_of_six_decimals,
);
