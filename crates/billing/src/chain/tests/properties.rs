//! What must hold whatever the chain does: rewinding undoes, cutting and ordering do not matter.

use super::{
    event,
    memory::Memory,
    story::{FIRST, LAST, NANO, Story, batch, block, created, facts, in_block, story, transfer, units},
    time_of,
};
use crate::{
    chain::{
        BookedEnd, ChainEvent, Effect, EventBody, IndexStep, IndexTransaction, PauseClock, apply, rewind,
    },
    ledger::{Account, Entry, Transfer},
};
use haithe_kernel::{Decimals, OrgId, Usdt};
use proptest::prelude::*;

fn decimals() -> Decimals {
    Decimals::new(18).unwrap()
}

/// An index that has come to some block of a story.
#[derive(Debug, Clone)]
struct Run {
    memory: Memory,
    at: u64,
    /// Blocks on top of a block, its own included, before its facts count as final; half as many confirm it.
    finality: u64,
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

impl Run {
    fn start(finality: u64) -> Self {
        let mut this = Self {
            memory: Memory::default(),
            at: 0,
            finality: 1,
        };
        let bodies = vec![
            created(1),
            created(2),
            transfer(1, units(5_000)),
            transfer(2, units(5_000)),
        ];
        this.index(1, in_block(1, bodies));
        this.finality = finality;
        let batch = batch();
        for line in &batch.lines {
            let charged = Transfer::new(
                Account::Available(line.org),
                Account::Unsettled(line.org),
                Usdt::from_nano(700),
            );
            let entry = Entry {
                key: format!("call/{}", line.line),
                at: time_of(1),
                block: None,
                transfers: vec![charged],
            };
            run(this.memory.write(Effect::Book(entry))).unwrap();
        }
        this.memory.batches.insert(0, batch);
        this
    }

    fn index(&mut self, to: u64, events: Vec<ChainEvent>) {
        let step = IndexStep {
            events,
            blocks: (self.at + 1..=to).map(block).collect(),
            to: block(to),
            confirmed: (to + 1).saturating_sub(self.finality.div_ceil(2)),
            last_final: (to + 1).saturating_sub(self.finality),
        };
        run(apply(&mut self.memory, decimals(), step)).unwrap();
        self.at = to;
    }

    fn forward(&mut self, story: &Story, count: u64) {
        let to = (self.at + count).min(LAST);
        if to > self.at {
            let events = (self.at + 1..=to)
                .flat_map(|number| story.events(number))
                .collect();
            self.index(to, events);
        }
    }

    fn back(&mut self, count: u64) {
        let to = self.at.saturating_sub(count).max(FIRST - 1);
        if to < self.at {
            run(rewind(&mut self.memory, decimals(), block(to))).unwrap();
            self.at = to;
        }
    }

    /// To the end of the story, and on until all of it is final.
    fn finished(mut self, story: &Story) -> State {
        while self.at < LAST {
            self.forward(story, LAST);
        }
        for number in LAST + 1..LAST + 12 {
            self.index(number, Vec::new());
        }
        self.state()
    }

    fn state(&self) -> State {
        State::of(&self.memory)
    }
}

/// Everything that must be the same, without what a cut of the chain into steps may change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State(Vec<String>);

impl State {
    fn of(memory: &Memory) -> Self {
        let mut lines = Vec::new();
        for (number, row) in memory.orgs.iter().filter(|(_, row)| row.on_chain) {
            let org = OrgId(*number);
            let mut row = row.clone();
            // Parts of a nano may leave as dust or as a nano more: money is compared in base units.
            let dust = i128::from(std::mem::take(&mut row.dust));
            // Not taken back by a rewind.
            row.skips_from = 0;
            let nano = |account| i128::from(memory.balance(account)) * i128::try_from(NANO).unwrap();
            let available = nano(Account::Available(org)) + dust;
            let held = dust - nano(Account::ChainOrg(org));
            let unsettled = nano(Account::Unsettled(org));
            let withdrawing = nano(Account::Withdrawing(org));
            lines.push(format!("{row:?}"));
            lines.push(format!("{available} {held} {unsettled} {withdrawing}"));
            assert_eq!(
                available + unsettled + withdrawing,
                held,
                "the identity of organization {org}"
            );
        }
        let is_live = |org: &OrgId| memory.orgs[&org.0].on_chain;
        let members = memory.members.iter().filter(|((org, _), _)| is_live(org));
        lines.extend(members.map(|member| format!("{member:?}")));
        let roles = memory.chain_roles.iter().filter(|((org, _), _)| is_live(org));
        lines.extend(roles.map(|role| format!("{role:?}")));
        let enabled = memory.enabled.iter().filter(|((org, _), _)| is_live(org));
        lines.extend(enabled.map(|enabled| format!("{enabled:?}")));
        let products = memory.products.values().filter(|row| row.on_chain);
        lines.extend(products.map(|row| {
            let mut row = row.clone();
            row.added.prices.rose_at = None;
            format!("{row:?}")
        }));
        lines.extend(memory.creators.values().map(|row| format!("{row:?}")));
        lines.extend(memory.deposits.values().map(|row| format!("{row:?}")));
        for request in &memory.requests {
            // What a step finds void, another may find cancelled in the same step.
            let booked = request.booked.map(|(end, _)| end == BookedEnd::Executed);
            lines.push(format!(
                "{:?} {:?} {:?} {booked:?}",
                request.event, request.frozen, request.org
            ));
        }
        lines.extend(memory.batches.values().map(|batch| format!("{batch:?}")));
        lines.push(format!("{:?} {:?}", memory.requeued, memory.shared_accounts()));
        // A request that is cancelled twice, which no contract allows, may be void or cancelled the first time.
        let kinds = memory.alarms.iter().map(|alarm| alarm.kind);
        let mut alarms: Vec<_> = kinds
            .filter(|kind| *kind != crate::chain::AlarmKind::UnknownWithdrawal)
            .collect();
        alarms.sort_unstable();
        lines.push(format!("{alarms:?}"));
        lines.extend(memory.events.values().map(|event| format!("{event:?}")));
        Self(lines)
    }
}

/// What one run does next.
#[derive(Debug, Clone)]
enum Move {
    /// Indexes so many more blocks in one step.
    Forward(u64),
    /// Drops so many blocks.
    Back(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => (1..5u64).prop_map(Move::Forward),
        2 => (1..6u64).prop_map(Move::Back),
    ];
    prop::collection::vec(one, 0..14)
}

proptest! {
    #[test]
    fn rewinding_ends_in_the_state_before_the_blocks(story in story(), to in FIRST - 1..LAST, cut in 1..5u64) {
        let mut run = Run::start(1);
        run.forward(&story, to + 1 - FIRST);
        let before = run.clone();
        while run.at < LAST {
            run.forward(&story, cut);
        }
        run.back(LAST - to);
        prop_assert_eq!(run.state(), before.state());
        prop_assert_eq!(&run.memory.blocks, &before.memory.blocks);
        let counted = |run: &Run| (run.memory.confirmed, run.memory.last_final);
        prop_assert_eq!(counted(&run), counted(&before));
    }

    #[test]
    fn any_way_through_the_chain_ends_where_the_straight_way_does(
        story in story(), moves in moves(), finality in 1..5u64,
    ) {
        let mut straight = Run::start(finality);
        while straight.at < LAST {
            straight.forward(&story, 1);
        }
        let mut winding = Run::start(finality);
        for step in moves {
            match step {
                Move::Forward(count) => winding.forward(&story, count),
                Move::Back(count) => winding.back(count),
            }
            winding.state();
        }
        prop_assert_eq!(winding.finished(&story), straight.finished(&story));
    }

    /// Deposits, payouts and settlements of one range of blocks, in any order of their logs.
    #[test]
    fn facts_in_any_order_give_the_same_balances(
        (facts, shuffled) in prop::collection::vec(facts(), 0..12)
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        blocks in 1..4u64,
    ) {
        let balances = |facts: Vec<EventBody>| {
            let mut run = Run::start(1);
            let last = FIRST + blocks - 1;
            let count = u64::try_from(facts.len()).unwrap();
            let mut events = Vec::new();
            for (position, body) in (0u64..).zip(facts) {
                events.push(event(FIRST + position * blocks / count.max(1), position, body));
            }
            run.index(last, events);
            let orgs = [OrgId(1), OrgId(2)];
            let accounts = orgs.iter().flat_map(|org| Account::of_organization(*org));
            let balances: Vec<i64> = accounts.map(|account| run.memory.balance(account)).collect();
            let dust: Vec<i64> = run.memory.orgs.values().map(|row| row.dust).collect();
            (balances, dust, run.memory.shared_accounts())
        };
        prop_assert_eq!(balances(facts), balances(shuffled));
    }

    #[test]
    fn active_time_never_runs_backwards(pauses in prop::collection::vec((1..200u64, any::<bool>()), 0..20)) {
        let mut at = 0;
        let mut clock = PauseClock::default();
        let mut active = time_of(0);
        for (blocks, pause) in pauses {
            at += blocks;
            let now = time_of(at);
            let reached = now.minus(clock.until(now));
            prop_assert!(reached >= active, "{reached:?} {active:?}");
            active = reached;
            clock.see(&event(at, 0, if pause { EventBody::Paused } else { EventBody::Unpaused }));
        }
    }
}
