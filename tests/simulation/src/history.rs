//! One history: a start, the steps of a plan, and a drain in which everything has to settle.

use crate::{
    background,
    contract::Act,
    defect::Defect,
    executor::Executor,
    oracle::Violation,
    outside,
    parties::{self, CREATORS},
    plan::Plan,
    ports::{Port, ledger::LedgerPort},
    world::{Handle, Spawn, World},
};
use haithe_billing::{
    ExpenditureScope,
    hold::HoldRequest,
    holds::Holds,
    ledger::{Account, Balances, escrow_total},
};
use haithe_kernel::{CallId, OrgId, Usdt};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Virtual seconds within which everything has to settle once there are no more faults.
const DRAIN: u64 = 14_400;

/// What became of a history.
#[derive(Debug)]
pub struct Outcome {
    /// The broken invariant, if one is.
    pub violation: Option<Violation>,
    /// The digest of the log: the same plan has the same one.
    pub digest: u64,
    /// Lines of the log.
    pub lines: u64,
    /// The log, where it was asked for.
    pub log: Vec<String>,
    /// Polls of tasks.
    pub turns: u64,
    /// Calls that were charged.
    pub charges: u64,
    /// Batches that are final.
    pub batches: u64,
    /// Virtual time that passed.
    pub virtual_time: Duration,
    /// Real time that passed.
    pub real_time: Duration,
}

/// Runs a plan. `keeps_log` keeps the lines of the log.
pub fn run(plan: &Plan, defect: Option<Defect>, keeps_log: bool) -> Outcome {
    let began = Instant::now();
    let mut world = World::new(&plan.setup, plan.seed, defect);
    world.log.lines = keeps_log.then(Vec::new);
    world.log(format_args!("{}", plan.setup));
    genesis(&mut world);
    let handle = Handle::new(world);
    let mut executor = Executor::new(handle.clone(), plan);
    handle.lock().spawn("miner", outside::mine(handle.clone()));
    for number in 0..plan.setup.instances {
        background::start(&handle, number);
    }
    let end = handle.lock().start.plus(Duration::from_secs(plan.setup.seconds));
    if executor.run_until(end) {
        drain(&handle, &mut executor);
    }
    let turns = executor.turns;
    let mut world = handle.lock();
    let log = world.log.lines.take().unwrap_or_default();
    let outcome = Outcome {
        violation: world.oracle.violation.take(),
        digest: world.log.digest(),
        lines: world.log.count(),
        log,
        turns,
        charges: u64::try_from(world.store.usage.len()).unwrap_or(u64::MAX),
        batches: world.chain.state().next_batch,
        virtual_time: world.now().since(world.start),
        real_time: began.elapsed(),
    };
    drop(world);
    // Tasks hold the world, and dropping them needs its lock.
    drop(executor);
    outcome
}

/// Organizations with deposits, and creators.
fn genesis(world: &mut World) {
    let (orgs, now) = (world.setup.orgs, world.now());
    let World { chain, rng, .. } = world;
    for org in 1..=orgs {
        chain.send(Act::Create { org });
        chain.mine(rng, now, true);
    }
    for creator in 0..CREATORS {
        chain.send(Act::Register { creator });
    }
    chain.mine(rng, now, true);
    chain.keep();
    let decimals = world.store.decimals();
    for org in 1..=orgs {
        let units = Usdt::from_nano(400_000_000)
            .to_units(decimals)
            .map_or(0, |(units, _)| units.get());
        world.chain.send(Act::Deposit { org, units });
    }
}

/// Ends all faults and waits until everything is settled, then compares.
fn drain(handle: &Handle, executor: &mut Executor) {
    {
        let mut world = handle.lock();
        world.log(format_args!("faults end; everything has to settle"));
        world.is_draining = true;
        let now = world.now();
        let World { chain, rng, .. } = &mut *world;
        (chain.is_stuck, chain.is_away, chain.repeats) = (false, false, false);
        chain.around = Default::default();
        // What owners sent before comes first.
        chain.mine(rng, now, true);
        chain.send(Act::Unpause);
        for org in 1..=world.setup.orgs {
            world.chain.send(Act::SetCap { org, units: None });
            // Enough for every charge that a lost deposit had paid for.
            let charged = world.store.charged(OrgId(org)).saturating_add(Usdt::whole(1_000));
            let units = charged
                .to_units(world.store.decimals())
                .map_or(0, |(units, _)| units.get());
            world.chain.send(Act::Deposit { org, units });
        }
        // Calls that were set aside wait for a new start.
        for number in 0..world.instances.len() {
            world.instances[number].stalled_until = None;
            world.instances[number].crash_after = None;
            world.instances[number].store_fails = (0, false);
            world.crashes.push((number, 1));
        }
    }
    executor.crash_now();
    let began = handle.lock().now();
    let end = began.plus(Duration::from_secs(DRAIN));
    loop {
        let next = handle.lock().now().plus(Duration::from_secs(120));
        if !executor.run_until(next) {
            return;
        }
        let mut world = handle.lock();
        match world.unsettled() {
            None => break,
            Some(what) if world.now() >= end => {
                world.violate("everything settles once faults end", what);
                return;
            }
            Some(_) => {}
        }
    }
    // The gates hear of it with the next steps of settlement.
    let end = handle.lock().now().plus(Duration::from_secs(60));
    if !executor.run_until(end) {
        return;
    }
    probe(handle);
    let end = handle.lock().now().plus(Duration::from_secs(60));
    if executor.run_until(end) {
        let mut world = handle.lock();
        world.check_store();
        world.check_end();
    }
}

/// Every organization has funds now, so that each is admitted by each instance.
fn probe(handle: &Handle) {
    let mut world = handle.lock();
    for number in 0..world.instances.len() {
        let (start, gate) = (
            world.instances[number].start,
            Arc::clone(&world.instances[number].gate),
        );
        for org in 1..=world.setup.orgs {
            let port = Port {
                world: handle.clone(),
                instance: number,
                start,
            };
            let holds = Holds::new(Arc::new(LedgerPort(port.clone())), Arc::clone(&gate));
            let call = u128::from(u32::try_from(number).unwrap_or(u32::MAX)) << 32;
            let request = HoldRequest {
                call: CallId(Uuid::from_u128(
                    (1 << 100) + call + u128::from(org.unsigned_abs()),
                )),
                org: OrgId(org),
                most: Usdt::from_nano(1),
                least: Usdt::from_nano(1),
                budgets: Vec::new(),
                expenditure: ExpenditureScope::Organization,
            };
            let future = Box::pin(async move {
                if let Err(refusal) = holds.hold(request).await {
                    let mut world = port.world.lock();
                    let is_covered = world.spendable(OrgId(org)) > 0;
                    if is_covered {
                        let detail = format!("instance {number} refuses organization {org}: {refusal}");
                        world.violate("no tenant blocks another", detail);
                    }
                }
            });
            let instance = Some((number, start));
            world.spawned.push(Spawn {
                name: "probe",
                instance,
                polls: None,
                future,
            });
        }
    }
}

impl World {
    /// What is not settled yet.
    fn unsettled(&self) -> Option<String> {
        if let Some(down) = self.instances.iter().position(|instance| !instance.is_up) {
            return Some(format!("instance {down} is down"));
        }
        for org in 1..=self.setup.orgs {
            if let Some(call) = self.store.oldest_waiting(OrgId(org)) {
                return Some(format!(
                    "a charge of organization {org} waits for a batch: {call:?}"
                ));
            }
        }
        let unit = background::policy(self).payable_unit();
        if let Some(carry) = self.store.carry.values().find(|carry| carry.amount >= unit) {
            return Some(format!("carry waits: {carry:?}"));
        }
        if let Some(open) = self.store.open().next() {
            return Some(format!("batch {} is open", open.batch.seq));
        }
        let indexed = self.store.checkpoint().map_or(0, |block| block.number);
        let head = self.chain.head().reference.number;
        if indexed + 2 < head {
            return Some(format!("the index is at block {indexed} of {head}"));
        }
        let held: i64 = self.oracle.holds.values().map(|(_, nano)| nano).sum();
        (held != 0).then(|| format!("{held} nano-USDT are still held for calls that have ended"))
    }

    /// The ledger and the chain agree, and charges are settled or carried.
    fn check_end(&mut self) {
        let balances: HashMap<Account, Usdt> = self.store.books.balances().collect();
        let scale = self.store.scale();
        let units = |account: Account| scale.to_units(i128::from(balances.balance_of(account).nano()));
        let mut pairs = Vec::new();
        for org in 1..=self.setup.orgs {
            let id = OrgId(org);
            let contract = self
                .chain
                .state()
                .orgs
                .get(&parties::contract(org))
                .cloned()
                .unwrap_or_default();
            let ledger = self.store.money(id).balance(scale).onchain;
            let on_chain = scale.to_nano(contract.balance.cast_signed()).0;
            pairs.push((
                format!("the balance of organization {org}"),
                i128::from(ledger.nano()),
                on_chain,
            ));
            let carried = self.store.carry.values().filter(|carry| carry.key.org == id);
            let carried: i64 = carried.map(|carry| carry.amount.nano()).sum();
            let settled = scale.to_nano(contract.settled.cast_signed()).0;
            let charged = i128::from(self.store.charged(id).nano());
            pairs.push((
                format!("charges of organization {org}"),
                charged,
                settled + i128::from(carried),
            ));
            let unsettled = i128::from(balances.balance_of(Account::Unsettled(id)).nano());
            pairs.push((
                format!("what organization {org} has not settled"),
                unsettled,
                i128::from(carried),
            ));
            let frozen = i128::from(balances.balance_of(Account::Withdrawing(id)).nano());
            let requested = i128::from(self.store.frozen(id));
            pairs.push((format!("what organization {org} withdraws"), frozen, requested));
            pairs.push((
                format!("what organization {org} holds"),
                0,
                i128::from(self.held_but_probes(id)),
            ));
        }
        let state = self.chain.state();
        for (wallet, earned) in &state.creators {
            let ledger = units(Account::Creator(*wallet));
            pairs.push((
                format!("what creator {wallet} can withdraw"),
                ledger,
                earned.cast_signed(),
            ));
        }
        // What calls cost beyond what could be charged is booked against the platform and is no money on chain.
        let nano = |account: Account| i128::from(balances.balance_of(account).nano());
        let platform = nano(Account::Platform) + nano(Account::PlatformLoss);
        let share = platform + i128::from(escrow_total(&balances).nano());
        pairs.push((
            "the platform's share with escrow".to_owned(),
            scale.to_units(share),
            state.platform.cast_signed(),
        ));
        pairs.push((
            "the orchestrator's balance".to_owned(),
            -units(Account::ChainOrchestrator),
            state.orchestrator.cast_signed(),
        ));
        for (what, ledger, chain) in pairs {
            if ledger != chain {
                self.violate(
                    "the chain equals the ledger",
                    format!("{what}: {ledger} in the ledger, {chain} on chain"),
                );
            }
        }
    }

    fn held_but_probes(&self, org: OrgId) -> i64 {
        let of_calls = |call: &CallId| call.0.as_u128() < 1 << 100;
        let holds = self
            .store
            .holds
            .values()
            .filter(|(record, _)| record.org == org && of_calls(&record.call));
        holds.map(|(record, _)| record.amount.nano()).sum()
    }
}
