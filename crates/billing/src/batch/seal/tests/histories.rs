//! Histories of random tenants, and how long a charge can wait.

use super::*;
use crate::batch::GasModel;
use std::thread;

/// Histories of the property test. `HAITHE_DEEP=1` (`cargo xtask test --deep`) runs 10,000.
fn histories() -> u64 {
    if std::env::var_os("HAITHE_DEEP").is_some() {
        10_000
    } else {
        300
    }
}

/// SplitMix64: the same seed always gives the same history.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Gas of a charge: the bound of a batch that contains nothing else.
fn gas_of(item: &BatchItem) -> u64 {
    GasModel::MEASURED.alone(CreditCounts::of(item.credits.iter().map(|(payee, _)| *payee)))
}

/// The tenants of one history.
struct Tenants {
    orgs: i64,
    hostile: i64,
    creators: u64,
    calls: u128,
}

impl Tenants {
    fn charge(&mut self, random: &mut Random) -> BatchItem {
        self.calls += 1;
        let org = 1 + i64::try_from(random.below(self.orgs.unsigned_abs())).unwrap();
        let mut credits = vec![(Payee::Platform, 1_000)];
        let (creators, price) = if org <= self.hostile {
            // A project with up to 32 products at random prices, whose creators earn from no other payer.
            (
                1 + random.below(32),
                1 + i64::try_from(random.below(2_000_000)).unwrap(),
            )
        } else {
            (random.below(4), 50_000)
        };
        for _ in 0..creators {
            let number = if org <= self.hostile {
                self.creators += 1;
                self.creators
            } else {
                random.below(6)
            };
            if !credits.iter().any(|(payee, _)| *payee == creator(number)) {
                credits.push((creator(number), price));
            }
        }
        if random.chance(20) {
            credits.push((
                Payee::Organization(OrgId(50 + i64::try_from(random.below(20)).unwrap())),
                price,
            ));
        }
        item(self.calls, org, &credits)
    }
}

struct Waiting {
    org: OrgId,
    gas: u64,
    most: u64,
    waited: u64,
}

fn check_quarters(batch: &Batch, queue: &Queue, policy: &SealPolicy) {
    for (number, line) in (0u32..).zip(&batch.lines) {
        let others_wait = queue.waiting.iter().any(|item| item.org != line.org);
        let calls = batch.items.iter().filter(|item| item.line == number).count();
        let counts = CreditCounts::of(line.credits.iter().map(|credit| credit.payee));
        assert!(
            !others_wait || calls <= 1 || policy.gas.line(counts).used <= policy.batch_gas / 4,
            "organization {} takes more than a quarter while others wait",
            line.org
        );
    }
}

fn total(amounts: impl Iterator<Item = Usdt>) -> i128 {
    amounts.map(|amount| i128::from(amount.nano())).sum()
}

/// One history: charges arrive, batches are sealed, until nothing waits.
fn live(seed: u64) {
    let mut random = Random(seed);
    let deferring = random.chance(30);
    let policy = SealPolicy {
        batch_gas: 7_000_000 + random.below(8_000_000),
        max_items: 40 + u32::try_from(random.below(400)).unwrap(),
        // More than fit into a quarter of the largest batch, so that gas is what bounds a line.
        max_credits_per_line: 100,
        min_credit: Usdt::from_nano(if deferring { 300_000 } else { 0 }),
        ..policy()
    };
    let mut tenants = Tenants {
        orgs: 2 + i64::try_from(random.below(12)).unwrap(),
        hostile: 1 + i64::try_from(random.below(2)).unwrap(),
        creators: 1_000,
        calls: 0,
    };
    let mut queue = Queue::default();
    let mut waits: BTreeMap<CallId, Waiting> = BTreeMap::new();
    let (mut charged, mut paid) = (0, 0);
    let mut now = NOW;
    let rounds = 1 + random.below(8);
    let rate = 1 + random.below(30);
    for round in 0.. {
        if round < rounds {
            for _ in 0..random.below(rate * 2) {
                let item = tenants.charge(&mut random);
                let (mut own, mut others) = (0, 0);
                for older in waits.values() {
                    let sum = if older.org == item.org {
                        &mut own
                    } else {
                        &mut others
                    };
                    *sum += older.gas;
                }
                let waiting = Waiting {
                    org: item.org,
                    gas: gas_of(&item),
                    most: (4 * own + others).div_ceil(policy.batch_gas) + 1,
                    waited: 0,
                };
                charged += total(item.credits.iter().map(|(_, amount)| *amount));
                waits.insert(item.call, waiting);
                queue.waiting.push_back(item);
            }
        } else if queue.waiting.is_empty() {
            break;
        }
        now = now.plus(DAY);
        let oldest = queue.waiting.front().map(|item| item.org);
        let Some(batch) = queue.seal(policy, Payers::default(), now) else {
            assert!(oldest.is_none(), "something waits and nothing is sealed");
            continue;
        };
        assert!(policy.gas.bound_of(&batch.lines, &batch.payouts) <= policy.batch_gas);
        if let Some(oldest) = oldest {
            assert!(
                batch.lines.iter().any(|line| line.org == oldest),
                "oldest organization first"
            );
        }
        check_quarters(&batch, &queue, &policy);
        for waiting in waits.values_mut() {
            waiting.waited += 1;
        }
        for sealed in batch.items.iter() {
            let waiting = waits.remove(&sealed.call).expect("sealed once");
            assert!(
                waiting.waited <= waiting.most || deferring,
                "seed {seed}: waited {} batches, not {}",
                waiting.waited,
                waiting.most
            );
        }
        paid += total(
            batch
                .lines
                .iter()
                .flat_map(|line| &line.credits)
                .map(|credit| credit.amount),
        );
        let carried = total(queue.carry.values().map(|carry| carry.amount));
        let waiting = total(
            queue
                .waiting
                .iter()
                .flat_map(|item| &item.credits)
                .map(|(_, amount)| *amount),
        );
        assert_eq!(charged, paid + carried + waiting, "money is conserved");
    }
    assert!(queue.unsealable.is_empty());
    // What is carried is paid out after a week without any further call.
    for _ in 0..200 {
        now = now.plus(policy.max_deferral);
        let Some(batch) = queue.seal(policy, Payers::default(), now) else {
            break;
        };
        assert!(policy.gas.bound_of(&batch.lines, &batch.payouts) <= policy.batch_gas);
    }
    assert!(
        queue
            .carry
            .values()
            .all(|carry| carry.amount < Usdt::from_nano(1_000))
    );
}

#[test]
fn batches_of_random_tenants_fit_are_fair_and_keep_nobody_waiting() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for first in (0..histories()).take(threads) {
            scope.spawn(move || (first..histories()).step_by(threads).for_each(live));
        }
    });
}

/// Batches that a charge may wait for, if the charges before it are counted once.
fn bare_bound(older: impl Iterator<Item = u64>, policy: &SealPolicy) -> u64 {
    older.sum::<u64>().div_ceil(policy.batch_gas) + 1
}

/// The quarter and the bound without the factor of four exclude each other, for every sealer: while two
/// payers wait, a quarter holds one of these charges, so the fourth charge of the older payer is part of the
/// fourth batch at the earliest, although three older charges have the gas of two batches.
#[test]
fn under_the_quarter_rule_own_older_charges_count_four_times() {
    let policy = SealPolicy {
        max_credits_per_line: 100,
        ..policy()
    };
    let charge = |number: u64| {
        let payer = if number < 4 { 1 } else { 2 };
        let creators = (0..32).map(|creator| (self::creator(100 * number + creator), 1_000));
        item(u128::from(number), payer, &creators.collect::<Vec<_>>())
    };
    let items: Vec<_> = (0..8).map(charge).collect();
    let two = CreditCounts {
        creators: 64,
        organizations: 0,
    };
    assert!(
        policy.gas.line(two).used > policy.batch_gas / 4,
        "a quarter holds one charge"
    );

    let mut queue = Queue::of(items.clone());
    let mut batch_of = BTreeMap::new();
    for number in 1..=4 {
        let batch = queue.seal(policy, Payers::default(), NOW).unwrap();
        check_quarters(&batch, &queue, &policy);
        for item in batch.items.iter() {
            batch_of.insert(item.call, number);
        }
    }
    assert!(queue.waiting.is_empty());
    let older: Vec<_> = items[..3].iter().map(gas_of).collect();
    let waited = batch_of[&items[3].call];
    assert_eq!(waited, 4);
    assert!(waited > bare_bound(older.iter().copied(), &policy));
    assert!(waited <= bare_bound(older.iter().map(|gas| 4 * gas), &policy));
}
