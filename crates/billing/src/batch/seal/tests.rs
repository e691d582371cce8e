use super::*;
use crate::{
    batch::{Batch, CarryKey},
    ports::SealInput,
};
use haithe_kernel::{CallId, Decimals, WalletAddress};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use uuid::Uuid;

mod histories;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn policy() -> SealPolicy {
    SealPolicy::new(Decimals::new(6).unwrap())
}

fn creator(number: u64) -> Payee {
    let mut bytes = [0xcc; 20];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Payee::Creator(WalletAddress::new(bytes))
}

fn contract(org: OrgId) -> WalletAddress {
    let mut bytes = [0xdd; 20];
    bytes[..8].copy_from_slice(&org.0.to_be_bytes());
    WalletAddress::new(bytes)
}

fn item(call: u128, org: i64, credits: &[(Payee, i64)]) -> BatchItem {
    BatchItem {
        call: CallId(Uuid::from_u128(call)),
        org: OrgId(org),
        org_address: contract(OrgId(org)),
        credits: credits
            .iter()
            .map(|(payee, nano)| (*payee, Usdt::from_nano(*nano)))
            .collect(),
        receipt_hash: [1; 32],
        due_since: NOW,
    }
}

/// Waiting charges, oldest first, and what is carried.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<BatchItem>,
    carry: BTreeMap<CarryKey, Carry>,
    unsealable: Vec<CallId>,
}

impl Queue {
    fn of(items: Vec<BatchItem>) -> Self {
        Self {
            waiting: items.into(),
            ..Self::default()
        }
    }

    fn carry_of(&self, item: &BatchItem) -> Vec<Carry> {
        let key = |payee| CarryKey { org: item.org, payee };
        item.credits
            .iter()
            .filter_map(|(payee, _)| self.carry.get(&key(*payee)).copied())
            .collect()
    }

    /// What a store does to seal a batch.
    fn seal(&mut self, policy: SealPolicy, payers: Payers, now: Timestamp) -> Option<Batch> {
        let withdrawing = payers.withdrawing.clone();
        let mut sealer = Sealer::new(policy, now, payers);
        let mut carried = Vec::new();
        let mut carry = BTreeMap::new();
        let mut taken = HashSet::new();
        for item in &self.waiting {
            let known = self.carry_of(item);
            if sealer.wants(item.org) && sealer.offer(item, &known) == Verdict::Taken {
                taken.insert(item.call);
                carry.extend(known.into_iter().map(|carry| (carry.key, carry)));
                break;
            }
        }
        for overdue in self.carry.values() {
            let is_overdue =
                now.since(overdue.since) >= policy.max_deferral && overdue.amount >= Usdt::from_nano(1_000);
            if is_overdue && sealer.offer_carry(overdue) {
                carried.push((overdue.key.org, contract(overdue.key.org)));
                carry.insert(overdue.key, *overdue);
            }
        }
        loop {
            for item in &self.waiting {
                if sealer.is_full() {
                    break;
                }
                if taken.contains(&item.call) || !sealer.wants(item.org) {
                    continue;
                }
                let known = self.carry_of(item);
                match sealer.offer(item, &known) {
                    Verdict::Taken => {
                        taken.insert(item.call);
                        carry.extend(known.into_iter().map(|carry| (carry.key, carry)));
                    }
                    Verdict::Waits => {}
                    Verdict::Unsealable => self.unsealable.push(item.call),
                }
            }
            if sealer.next_pass().is_none() {
                break;
            }
        }
        let unsealable = &self.unsealable;
        self.waiting.retain(|item| !unsealable.contains(&item.call));
        if taken.is_empty() && carried.is_empty() {
            return None;
        }
        let items: Vec<_> = self
            .waiting
            .iter()
            .filter(|item| taken.contains(&item.call))
            .cloned()
            .collect();
        self.waiting.retain(|item| !taken.contains(&item.call));
        let payee_orgs = (50..100).map(|org| (OrgId(org), contract(OrgId(org)))).collect();
        let input = SealInput {
            items,
            carry: carry.into_values().collect(),
            carried,
            withdrawing,
            payee_orgs,
            ..SealInput::default()
        };
        let before: BTreeMap<CarryKey, Carry> = input.carry.iter().map(|carry| (carry.key, *carry)).collect();
        let batch = Batch::build(1, input, &policy, now).unwrap();
        for (key, amount) in &batch.carry {
            let since = before.get(key).map_or(now, |carry| carry.since);
            self.carry.remove(key);
            if *amount != Usdt::ZERO {
                let carry = Carry {
                    key: *key,
                    amount: *amount,
                    since,
                };
                self.carry.insert(*key, carry);
            }
        }
        Some(batch)
    }
}

#[test]
fn a_charge_with_more_payees_than_a_line_holds_is_unsealable() {
    let policy = policy();
    let credits: Vec<_> = (0..51).map(|number| (creator(number), 1)).collect();
    let mut queue = Queue::of(vec![
        item(1, 1, &credits),
        item(2, 2, &[(Payee::Platform, 1_000)]),
    ]);
    let batch = queue.seal(policy, Payers::default(), NOW).unwrap();
    assert_eq!(batch.items.len(), 1);
    assert_eq!(queue.unsealable, [CallId(Uuid::from_u128(1))]);
    assert!(queue.waiting.is_empty());
}

#[test]
fn a_probed_payers_lines_credit_one_organization_unless_one_call_credits_several() {
    let [one, other] = [50, 51].map(|org| Payee::Organization(OrgId(org)));
    let mut queue = Queue::of(vec![
        item(1, 1, &[(one, 5_000)]),
        item(2, 1, &[(one, 5_000), (other, 5_000)]),
        item(3, 1, &[(other, 5_000)]),
    ]);
    for call in [1, 2, 3] {
        let payers = Payers {
            probed: HashSet::from([OrgId(1)]),
            ..Payers::default()
        };
        let batch = queue.seal(policy(), payers, NOW).unwrap();
        let calls: Vec<CallId> = batch.items.iter().map(|item| item.call).collect();
        assert_eq!(calls, [CallId(Uuid::from_u128(call))]);
    }
}

#[test]
fn the_payers_of_the_first_audit_no_longer_make_one_batch() {
    // 24 payers × 49 public projects of 49 organizations: one sealed batch of more than 12 M gas.
    let mut items = Vec::new();
    let mut call = 0;
    for project in 0..49 {
        for payer in 1..=24 {
            call += 1;
            let owner = Payee::Organization(OrgId(50 + project));
            items.push(item(call, payer, &[(Payee::Platform, 1_000_000), (owner, 1_000)]));
        }
    }
    let mut queue = Queue::of(items);
    let (mut batches, mut calls) = (0, 0);
    while let Some(batch) = queue.seal(policy(), Payers::default(), NOW) {
        assert!(policy().gas.bound_of(&batch.lines, &batch.payouts) <= policy().batch_gas);
        batches += 1;
        calls += batch.items.len();
    }
    assert_eq!(calls, 24 * 49);
    assert!((2..60).contains(&batches), "{batches}");
}

#[test]
fn a_small_credit_waits_for_more_of_its_kind_and_at_most_seven_days() {
    let policy = SealPolicy {
        min_credit: Usdt::from_nano(10_000),
        ..policy()
    };
    let charge = |call| item(call, 1, &[(Payee::Platform, 20_000), (creator(1), 4_000)]);
    let credits = |batch: &Batch| -> Vec<i64> {
        batch.lines[0]
            .credits
            .iter()
            .map(|credit| credit.amount.nano())
            .collect()
    };
    let mut queue = Queue::default();
    for (call, expected) in [(1, vec![20_000]), (2, vec![20_000]), (3, vec![20_000, 12_000])] {
        queue.waiting.push_back(charge(call));
        let batch = queue.seal(policy, Payers::default(), NOW).unwrap();
        assert_eq!(credits(&batch), expected);
    }
    queue.waiting.push_back(charge(4));
    queue.seal(policy, Payers::default(), NOW).unwrap();
    assert_eq!(queue.seal(policy, Payers::default(), NOW.plus(6 * DAY)), None);
    let batch = queue.seal(policy, Payers::default(), NOW.plus(7 * DAY)).unwrap();
    assert_eq!((credits(&batch), batch.items.len()), (vec![4_000], 0));
    assert!(queue.carry.is_empty());
}

#[test]
fn a_payer_who_withdraws_pays_small_credits_at_once() {
    let policy = SealPolicy {
        min_credit: Usdt::from_nano(10_000),
        ..policy()
    };
    let payers = Payers {
        withdrawing: HashSet::from([OrgId(1)]),
        ..Payers::default()
    };
    let mut queue = Queue::of(vec![item(1, 1, &[(creator(1), 4_000)])]);
    let batch = queue.seal(policy, payers, NOW).unwrap();
    assert_eq!(batch.lines[0].credits.len(), 1);
}

#[test]
fn suspended_organizations_take_what_the_others_leave() {
    let payers = || Payers {
        suspended: HashSet::from([OrgId(1)]),
        ..Payers::default()
    };
    let policy = SealPolicy {
        max_items: 3,
        ..policy()
    };
    let charges = |org, calls: std::ops::Range<u128>| {
        calls.map(move |call| item(call, org, &[(Payee::Platform, 1_000)]))
    };
    let mut queue = Queue::of(charges(1, 0..5).chain(charges(2, 10..12)).collect());
    let batch = queue.seal(policy, payers(), NOW).unwrap();
    let count = |org| {
        let line = batch
            .lines
            .iter()
            .position(|line| line.org == OrgId(org))
            .unwrap();
        batch
            .items
            .iter()
            .filter(|item| item.line as usize == line)
            .count()
    };
    assert_eq!((count(1), count(2)), (1, 2));
}

#[test]
fn a_shrunk_policy_always_holds_a_line_with_one_credit() {
    let credits = [(Payee::Platform, 1_000), (Payee::Organization(OrgId(50)), 1_000)];
    for times in [1, 5, 63, 200] {
        let mut queue = Queue::of(vec![item(1, 1, &credits), item(2, 2, &credits)]);
        let policy = policy().shrunk(times);
        let batch = queue.seal(policy, Payers::default(), NOW).unwrap();
        assert!(!batch.items.is_empty());
        assert!(policy.batch_gas <= self::policy().batch_gas);
    }
}
