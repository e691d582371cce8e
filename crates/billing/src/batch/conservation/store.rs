//! A store of plain collections, which reads and writes what the domain's rules ask for and decides nothing.

use super::*;
use haithe_kernel::Decimals;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use uuid::Uuid;

type Books = BTreeMap<CarryKey, i128>;

fn add(books: &mut Books, org: OrgId, payee: Payee, amount: i128) {
    *books.entry(CarryKey { org, payee }).or_default() += amount;
}

/// A sealed batch that is not final, and what a store keeps with it.
#[derive(Debug, Clone)]
struct Open {
    batch: Batch,
    changes: Vec<CarryChange>,
    places: Vec<u64>,
    /// The carry from which it was built, and how many lines had been skipped by then.
    before: (BTreeMap<CarryKey, Carry>, u64),
}

impl Open {
    fn skips(&self, mask: u8) -> BTreeSet<OrgId> {
        let numbered = self.batch.lines.iter().enumerate();
        let skipped = numbered.filter(|(line, _)| mask >> (line % 8) & 1 == 1);
        skipped.map(|(_, line)| line.org).collect()
    }

    fn places_of(&self, org: OrgId) -> Vec<u64> {
        let of_org = |item: &SealedItem| self.batch.lines[item.line as usize].org == org;
        let items = self.batch.items.iter().zip(&self.places);
        items
            .filter(|(item, _)| of_org(item))
            .map(|(_, place)| *place)
            .collect()
    }
}

/// A store as plain collections: every rule is the domain's.
#[derive(Debug)]
pub(super) struct Store {
    policy: SealPolicy,
    pub(super) second: i64,
    /// Every call there ever was, by place.
    calls: BTreeMap<u64, WaitingCall>,
    /// Those that no batch contains.
    pub(super) waiting: BTreeSet<u64>,
    pub(super) carry: BTreeMap<CarryKey, Carry>,
    open: VecDeque<Open>,
    next: BatchSeq,
    settled: Books,
    /// Credited to escrow, by payer; and what was paid out of it, by payee.
    escrowed: Books,
    paid_out: BTreeMap<Payee, i128>,
    skips: u64,
    last: Option<(Open, BTreeSet<OrgId>)>,
}

impl Store {
    pub(super) fn new(min_credit: i64) -> Self {
        let policy = SealPolicy {
            min_credit: Usdt::from_nano(min_credit),
            max_deferral: std::time::Duration::from_secs(20),
            ..SealPolicy::new(Decimals::new(6).unwrap())
        };
        Self {
            policy,
            second: 1_000,
            calls: BTreeMap::new(),
            waiting: BTreeSet::new(),
            carry: BTreeMap::new(),
            open: VecDeque::new(),
            next: 0,
            settled: Books::new(),
            escrowed: Books::new(),
            paid_out: BTreeMap::new(),
            skips: 0,
            last: None,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.second)
    }

    pub(super) fn charge(&mut self, org: i64, lines: &[(u8, i64)]) {
        let place = u64::try_from(self.calls.len()).unwrap();
        let lines = lines
            .iter()
            .map(|(number, nano)| (payee(*number), Usdt::from_nano(*nano)));
        let call = WaitingCall {
            call: CallId(Uuid::from_u128(u128::from(place))),
            org: OrgId(org),
            org_address: contract(OrgId(org)),
            lines: lines.collect(),
            receipt_hash: [1; 32],
            charged_at: self.now(),
            was_skipped: false,
        };
        if call.lines.iter().any(|(_, amount)| amount.is_positive()) {
            self.waiting.insert(place);
            self.calls.insert(place, call);
        }
    }

    fn escrow_accounts(&self) -> Vec<EscrowAccount> {
        let mut balances: BTreeMap<Payee, i128> = BTreeMap::new();
        for (key, amount) in &self.escrowed {
            *balances.entry(key.payee).or_default() += amount;
        }
        for (payee, amount) in &self.paid_out {
            *balances.entry(*payee).or_default() -= amount;
        }
        let account = |(payee, balance): (Payee, i128)| {
            assert!(balance >= 0, "more was paid out of escrow than came in");
            EscrowAccount {
                payee,
                balance: Usdt::from_nano(i64::try_from(balance).unwrap()),
                is_registered: true,
                is_open: self
                    .open
                    .iter()
                    .any(|open| open.batch.payouts.iter().any(|payout| payout.payee == payee)),
                last_attempt: None,
            }
        };
        balances.into_iter().map(account).collect()
    }

    fn gather(&self, payers: Payers) -> Gathered<u64> {
        let mut gathering = Gathering::new(self.policy, self.now(), payers, BTreeSet::new());
        while let Some(read) = gathering.next_read() {
            match read {
                GatherRead::Waiting { after } => {
                    let newer = self.waiting.iter().filter(|place| Some(**place) > after);
                    let page: Vec<_> = newer
                        .take(PAGE)
                        .map(|place| (*place, self.calls[place].org))
                        .collect();
                    let is_last = page.len() < PAGE;
                    gathering.waiting(page, is_last);
                }
                GatherRead::Calls(places) => {
                    let calls = places.iter().map(|place| (*place, self.calls[place].clone()));
                    let carry: Vec<Carry> = self.carry.values().copied().collect();
                    gathering.calls(calls.collect(), &carry).unwrap();
                }
                GatherRead::Escrow => gathering.escrow(self.escrow_accounts()),
                GatherRead::Overdue(overdue) => {
                    let mut carry: Vec<Carry> = self.carry.values().copied().collect();
                    carry.retain(|carry| overdue.selects(carry));
                    carry.sort_by_key(|carry| carry.since);
                    gathering.overdue(carry);
                }
            }
        }
        let contracts = gathering.contracts();
        gathering.finish(&contracts.into_iter().map(|org| (org, contract(org))).collect())
    }

    pub(super) fn seal(&mut self, withdraw: bool, escrow: bool) {
        if !self.policy.may_open(self.open.len()) {
            return;
        }
        let orgs = (1..4).map(OrgId);
        let mut payers = Payers::default();
        if withdraw {
            payers.withdrawing = orgs.clone().collect();
        }
        if escrow {
            payers.unpayable = orgs.map(|org| CarryKey { org, payee: payee(1) }).collect();
        }
        let gathered = self.gather(payers);
        assert!(gathered.places.is_sorted(), "oldest first");
        if gathered.input.is_empty() {
            return;
        }
        let before = gathered.input.carry.clone();
        let batch = Batch::build(self.next, gathered.input, &self.policy, self.now()).unwrap();
        let sealing = Sealing::new(batch, gathered.places, before, self.policy);
        let keys = sealing.carry_keys();
        let state = SealState {
            open: self.open.len(),
            next: self.next,
            carry: keys
                .iter()
                .filter_map(|key| self.carry.get(key))
                .copied()
                .collect(),
        };
        let effects = sealing.effects(&state).expect("nothing changed meanwhile");
        let before = (self.carry.clone(), self.skips);
        self.write(&effects.carry);
        for place in &sealing.places {
            assert!(self.waiting.remove(place), "a call is in one batch");
        }
        self.open.push_back(Open {
            batch: sealing.batch,
            changes: effects.changes,
            places: sealing.places,
            before,
        });
        self.next += 1;
        self.last = None;
    }

    fn write(&mut self, updates: &[CarryUpdate]) {
        for (key, carry) in updates {
            match carry {
                Some(carry) => self.carry.insert(*key, *carry),
                None => self.carry.remove(key),
            };
        }
    }

    fn book(&mut self) -> CarryBook {
        CarryBook::new(self.carry.values().copied())
    }

    fn credit(&mut self, open: &Open, skipped: &BTreeSet<OrgId>, sign: i128) {
        for line in open
            .batch
            .lines
            .iter()
            .filter(|line| !skipped.contains(&line.org))
        {
            for credit in &line.credits {
                let books = if credit.escrow {
                    &mut self.escrowed
                } else {
                    &mut self.settled
                };
                add(
                    books,
                    line.org,
                    credit.payee,
                    sign * i128::from(credit.amount.nano()),
                );
            }
        }
        for payout in &open.batch.payouts {
            *self.paid_out.entry(payout.payee).or_default() += sign * i128::from(payout.amount.nano());
        }
    }

    pub(super) fn settle(&mut self, mask: u8) {
        let Some(open) = self.open.pop_front() else {
            return;
        };
        let skipped = open.skips(mask);
        self.credit(&open, &skipped, 1);
        let mut book = self.book();
        for org in &skipped {
            for place in open.places_of(*org) {
                self.waiting.insert(place);
                self.calls.get_mut(&place).unwrap().was_skipped = true;
            }
            self.skips += 1;
        }
        for change in open
            .changes
            .iter()
            .filter(|change| skipped.contains(&change.key.org))
        {
            book.undo(change).unwrap();
        }
        self.write(&book.updates());
        self.last = Some((open, skipped));
    }

    /// As the index does: only while the calls of skipped lines are in no later batch.
    pub(super) fn rewind(&mut self) {
        let Some((open, skipped)) = self.last.take() else {
            return;
        };
        self.credit(&open, &skipped, -1);
        let mut book = self.book();
        for org in &skipped {
            for place in open.places_of(*org) {
                assert!(self.waiting.remove(&place));
            }
            self.skips += 1;
        }
        for change in open
            .changes
            .iter()
            .filter(|change| skipped.contains(&change.key.org))
        {
            book.redo(change).unwrap();
        }
        self.write(&book.updates());
        self.open.push_front(open);
    }

    pub(super) fn dissolve(&mut self, from: u8) {
        let from = usize::from(from).min(self.open.len());
        let gone: Vec<Open> = self.open.drain(from..).collect();
        let view = DissolveView {
            batches: gone
                .iter()
                .map(|open| DissolvedBatch {
                    seq: open.batch.seq,
                    is_seen: false,
                    changes: open.changes.clone(),
                    sealed_before: open
                        .places
                        .iter()
                        .filter_map(|place| self.skipped_call(*place))
                        .collect(),
                })
                .collect(),
            transactions: Vec::new(),
            carry: self.carry.values().copied().collect(),
        };
        let Some(dissolution) = view.dissolve().unwrap() else {
            assert!(gone.is_empty());
            return;
        };
        self.write(&dissolution.carry);
        for place in gone.iter().flat_map(|open| &open.places) {
            self.waiting.insert(*place);
            let call = self.calls.get_mut(place).unwrap();
            assert_eq!(call.was_skipped, dissolution.skipped.contains(&call.call));
        }
        self.next = gone[0].batch.seq;
        let (carry, skips) = &gone[0].before;
        if *skips == self.skips {
            assert_eq!(&self.carry, carry, "as if they had never been sealed");
        }
        self.last = None;
    }

    fn skipped_call(&self, place: u64) -> Option<CallId> {
        let call = &self.calls[&place];
        call.was_skipped.then_some(call.call)
    }

    pub(super) fn assert_conserved(&self) {
        let (mut charged, mut there) = (Books::new(), Books::new());
        for (place, call) in &self.calls {
            for (payee, amount) in &call.lines {
                let nano = i128::from(amount.nano());
                add(&mut charged, call.org, *payee, nano);
                if self.waiting.contains(place) {
                    add(&mut there, call.org, *payee, nano);
                }
            }
        }
        for carry in self.carry.values() {
            add(
                &mut there,
                carry.key.org,
                carry.key.payee,
                i128::from(carry.amount.nano()),
            );
        }
        for line in self.open.iter().flat_map(|open| &open.batch.lines) {
            for credit in &line.credits {
                add(
                    &mut there,
                    line.org,
                    credit.payee,
                    i128::from(credit.amount.nano()),
                );
            }
        }
        for (key, amount) in self.settled.iter().chain(&self.escrowed) {
            add(&mut there, key.org, key.payee, *amount);
        }
        charged.retain(|_, amount| *amount != 0);
        there.retain(|_, amount| *amount != 0);
        assert_eq!(
            charged, there,
            "waiting + carry + sealed + settled + escrow = charged"
        );
        let open: HashSet<u64> = self.open.iter().flat_map(|open| open.places.clone()).collect();
        assert!(self.waiting.iter().all(|place| !open.contains(place)));
        self.escrow_accounts();
    }
}
