//! What happens outside of all instances: blocks, owners, and faults of the chain and its node.

use crate::{
    contract::Act,
    parties,
    plan::Action,
    world::{Handle, World},
};
use haithe_billing::ledger::{Account, Balances, escrow_total};
use haithe_kernel::Usdt;
use rand::Rng;
use std::collections::HashMap;

/// Blocks, one after the other.
pub async fn mine(handle: Handle) {
    loop {
        let seconds = handle.lock().setup.block_seconds;
        handle.seconds(seconds).await;
        let mut world = handle.lock();
        let (now, all) = (world.now(), world.is_draining);
        let World { chain, rng, .. } = &mut *world;
        chain.mine(rng, now, all);
    }
}

fn units(world: &World, nano: i64) -> u128 {
    let units = Usdt::from_nano(nano).to_units(world.store.decimals());
    units.map_or(0, |(units, _)| units.get())
}

/// Carries out what happens outside of all instances.
pub fn act(handle: &Handle, action: Action) {
    let mut world = handle.lock();
    let again = |seconds: u64, undo: fn(&mut World)| {
        let handle = handle.clone();
        async move {
            handle.seconds(seconds).await;
            undo(&mut handle.lock());
        }
    };
    match action {
        Action::Deposit { org, nano, dust } => {
            let dust = if world.setup.decimals == 18 {
                u128::from(dust)
            } else {
                0
            };
            let units = units(&world, nano) + dust;
            world.chain.send(Act::Deposit { org, units });
        }
        Action::RequestWithdrawal { org, nano } => {
            let units = units(&world, nano);
            world.chain.send(Act::Request { org, units });
        }
        Action::ExecuteWithdrawal { org } => world.spawn("owner", execute(handle.clone(), org)),
        Action::CancelWithdrawal { org } => world.chain.send(Act::Cancel { org }),
        Action::SetCap { org, nano } => {
            let units = nano.map(|nano| units(&world, nano));
            world.chain.send(Act::SetCap { org, units });
        }
        Action::CreatorWithdraws { creator } => world.chain.send(Act::CreatorWithdraws { creator }),
        Action::PlatformWithdraws => {
            let balances: HashMap<Account, Usdt> = world.store.books.balances().collect();
            let escrow = units(&world, escrow_total(&balances).nano());
            let earned = units(&world, balances.balance_of(Account::Platform).nano().max(0));
            let units = earned.min(world.chain.state().platform.saturating_sub(escrow));
            world.chain.send(Act::PlatformWithdraws { units });
        }
        Action::Pause { seconds } => {
            world.disturb(seconds);
            world.chain.send(Act::Pause);
            world.spawn("guardian", again(seconds, |world| world.chain.send(Act::Unpause)));
        }
        Action::BlockPayee { org, seconds } => {
            world.chain.around.blocked.push(parties::contract(org));
            world.chain.around.names_receiver = world.rng.random_bool(0.5);
            world.spawn(
                "payee",
                again(seconds, |world| {
                    world.chain.around.blocked.pop();
                }),
            );
        }
        Action::NodeAway { seconds } => {
            world.disturb(seconds);
            world.chain.is_away = true;
            world.spawn("node", again(seconds, |world| world.chain.is_away = false));
        }
        Action::Stuck { seconds } => {
            world.disturb(seconds);
            world.chain.is_stuck = true;
            world.spawn("node", again(seconds, |world| world.chain.is_stuck = false));
        }
        Action::RepeatEvents { seconds } => {
            world.chain.repeats = true;
            world.spawn("node", again(seconds, |world| world.chain.repeats = false));
        }
        Action::RefuseBatches { calls, seconds } => {
            world.disturb(seconds);
            world.chain.around.most_calls = Some(calls);
            world.spawn(
                "contract",
                again(seconds, |world| world.chain.around.most_calls = None),
            );
        }
        Action::Reorg { depth, loses } => {
            let finality = world.setup.finality;
            let World {
                chain, rng, oracle, ..
            } = &mut *world;
            let dropped = chain.reorganize(rng, depth, finality, loses);
            oracle.had_reorganization = true;
            let head = world.chain.head().reference.number;
            world.log(format_args!(
                "{dropped} blocks are gone; the head is block {head}"
            ));
        }
        Action::Call(_) | Action::Crash { .. } | Action::Stall { .. } | Action::StoreFails { .. } => {}
    }
}

/// The owner executes its withdrawal once the delay has passed.
async fn execute(handle: Handle, org: i64) {
    loop {
        {
            let mut world = handle.lock();
            let (now, state) = (world.now(), world.chain.state());
            let request = state
                .orgs
                .get(&parties::contract(org))
                .and_then(|org| org.request);
            match request {
                None => return,
                Some((_, ready)) if state.active_time(now) >= ready => {
                    world.chain.send(Act::Execute { org });
                    return;
                }
                Some(_) => {}
            }
        }
        handle.seconds(60).await;
    }
}
