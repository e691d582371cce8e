//! Gathering: what is offered to the [`Sealer`], and in which order.
//!
//! A [`Gathering`] decides what is read next and a store reads it ([`GatherRead`]), so that tens of
//! thousands of waiting calls need not be in memory before one is chosen:
//!
//! 1. the oldest waiting call that the sealer wants, so that settlement always goes on,
//! 2. escrow that can be paid out,
//! 3. carry that is overdue,
//! 4. all other waiting calls, oldest first, in each pass of the sealer.

use super::{
    BatchError, BatchItem, Carry, CarryKey, EscrowAccount, OverdueCarry, Payers, SealPolicy, Sealer,
    UnsealableCharge, Verdict, WaitingCall, due_payouts,
};
use crate::{capture::Payee, ports::SealInput};
use haithe_kernel::{OrgId, Timestamp, Usdt, WalletAddress};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// Waiting calls that are read in full at a time.
const LOADED: usize = 512;

/// What a store reads next. `K` is the place of a waiting call in the store's own order: the smaller it is,
/// the older the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatherRead<K> {
    /// The next waiting calls after this place, oldest first, as many as suit the store: their places and
    /// payers, for [`Gathering::waiting`].
    Waiting {
        /// The last place that was read in this pass.
        after: Option<K>,
    },
    /// These calls in full, with what is carried for their payers and payees, for [`Gathering::calls`].
    Calls(Vec<K>),
    /// All escrow with a balance, for [`Gathering::escrow`].
    Escrow,
    /// The carry that this selects, for [`Gathering::overdue`].
    Overdue(OverdueCarry),
}

/// Where a gathering stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Oldest,
    Escrow,
    Overdue,
    All,
    Done,
}

/// Gathers what one batch is built from.
#[derive(Debug)]
pub struct Gathering<K> {
    sealer: Sealer,
    policy: SealPolicy,
    now: Timestamp,
    withdrawing: HashSet<OrgId>,
    unpayable: HashSet<CarryKey>,
    /// Calls that no batch can contain, as far as they are known.
    aside: BTreeSet<K>,
    phase: Phase,
    /// What was read of the current pass and not looked at.
    page: VecDeque<(K, OrgId)>,
    after: Option<K>,
    is_last_page: bool,
    /// Oldest first.
    taken: BTreeMap<K, BatchItem>,
    carry: BTreeMap<CarryKey, Carry>,
    carried: BTreeSet<OrgId>,
    payouts: Vec<(Payee, Usdt)>,
    unsealable: BTreeMap<K, UnsealableCharge>,
}

/// What was gathered.
#[derive(Debug)]
pub struct Gathered<K> {
    /// What the batch is built from.
    pub input: SealInput,
    /// The places of its items, in the same order.
    pub places: Vec<K>,
    /// Calls that no batch can contain, each of which is set aside with an alarm.
    pub unsealable: Vec<UnsealableCharge>,
}

impl<K: Copy + Ord> Gathering<K> {
    /// A gathering for the next batch. Calls in `aside` are left out.
    pub fn new(policy: SealPolicy, now: Timestamp, payers: Payers, aside: BTreeSet<K>) -> Self {
        Self {
            withdrawing: payers.withdrawing.clone(),
            unpayable: payers.unpayable.clone(),
            sealer: Sealer::new(policy, now, payers),
            policy,
            now,
            aside,
            phase: Phase::Oldest,
            page: VecDeque::new(),
            after: None,
            is_last_page: false,
            taken: BTreeMap::new(),
            carry: BTreeMap::new(),
            carried: BTreeSet::new(),
            payouts: Vec::new(),
            unsealable: BTreeMap::new(),
        }
    }

    /// What must be read next; `None` when everything is gathered.
    pub fn next_read(&mut self) -> Option<GatherRead<K>> {
        loop {
            match self.phase {
                Phase::Done => return None,
                Phase::Escrow => return Some(GatherRead::Escrow),
                Phase::Overdue => {
                    let overdue = self.policy.overdue_carry(self.now, &self.withdrawing);
                    return Some(GatherRead::Overdue(overdue));
                }
                Phase::Oldest | Phase::All => match self.next_of_pass() {
                    Some(read) => return Some(read),
                    None => self.end_pass(),
                },
            }
        }
    }

    fn next_of_pass(&mut self) -> Option<GatherRead<K>> {
        let at_once = if self.phase == Phase::Oldest { 1 } else { LOADED };
        if self.phase == Phase::Oldest && !self.taken.is_empty() {
            return None;
        }
        let mut wanted = Vec::new();
        while wanted.len() < at_once
            && let Some((place, org)) = self.page.pop_front()
        {
            let is_new = !self.aside.contains(&place)
                && !self.taken.contains_key(&place)
                && !self.unsealable.contains_key(&place);
            if is_new && self.sealer.wants(org) {
                wanted.push(place);
            }
        }
        if !wanted.is_empty() {
            return Some(GatherRead::Calls(wanted));
        }
        let is_over = self.is_last_page || self.sealer.is_full();
        (!is_over).then_some(GatherRead::Waiting { after: self.after })
    }

    fn end_pass(&mut self) {
        self.page.clear();
        self.after = None;
        self.is_last_page = false;
        self.phase = match self.phase {
            Phase::Oldest => Phase::Escrow,
            Phase::Escrow => Phase::Overdue,
            Phase::Overdue => Phase::All,
            Phase::All if self.sealer.next_pass().is_some() => Phase::All,
            Phase::All | Phase::Done => Phase::Done,
        };
    }

    /// Waiting calls after the place that was named, oldest first. `is_last` when there are no more.
    pub fn waiting(&mut self, calls: Vec<(K, OrgId)>, is_last: bool) {
        self.is_last_page = is_last || calls.is_empty();
        if let Some((place, _)) = calls.last() {
            self.after = Some(*place);
        }
        self.page = calls.into();
    }

    /// Calls in full, in the order in which they were named, and what is carried for their payers and payees.
    ///
    /// # Errors
    /// [`BatchError::Amount`] when a call's lines are out of range.
    pub fn calls(&mut self, calls: Vec<(K, WaitingCall)>, carry: &[Carry]) -> Result<(), BatchError> {
        let mut carried: HashMap<OrgId, Vec<Carry>> = HashMap::new();
        for carry in carry {
            carried.entry(carry.key.org).or_default().push(*carry);
        }
        for (place, call) in calls {
            let item = call.into_item(self.now)?;
            let payees: HashSet<Payee> = item.credits.iter().map(|(payee, _)| *payee).collect();
            let of_org = carried.get(&item.org).map(Vec::as_slice).unwrap_or_default();
            let of_payees = of_org.iter().filter(|carry| payees.contains(&carry.key.payee));
            let known: Vec<Carry> = of_payees.copied().collect();
            match self.sealer.offer(&item, &known) {
                Verdict::Taken => {
                    self.carry
                        .extend(known.into_iter().map(|carry| (carry.key, carry)));
                    self.taken.insert(place, item);
                }
                Verdict::Waits => {}
                Verdict::Unsealable => {
                    let (call, org) = (item.call, item.org);
                    self.unsealable.insert(place, UnsealableCharge { call, org });
                }
            }
        }
        Ok(())
    }

    /// All escrow with a balance.
    pub fn escrow(&mut self, accounts: Vec<EscrowAccount>) {
        let mut payouts = due_payouts(accounts, &self.policy, self.now);
        payouts.retain(|(payee, _)| self.sealer.offer_payout(*payee));
        self.payouts = payouts;
        self.end_pass();
    }

    /// Overdue carry, the longest carried first.
    pub fn overdue(&mut self, carry: Vec<Carry>) {
        let overdue = self.policy.overdue_carry(self.now, &self.withdrawing);
        for carry in carry {
            if overdue.selects(&carry) && self.sealer.offer_carry(&carry) {
                self.carried.insert(carry.key.org);
                self.carry.insert(carry.key, carry);
            }
        }
        self.end_pass();
    }

    /// Organizations whose contracts the batch names: payers of overdue carry, and payees.
    pub fn contracts(&self) -> BTreeSet<OrgId> {
        self.carried.iter().copied().chain(self.payees()).collect()
    }

    fn payees(&self) -> BTreeSet<OrgId> {
        let of_items = self.taken.values().flat_map(|item| &item.credits);
        let payees = of_items.map(|(payee, _)| *payee);
        let payees = payees.chain(self.carry.keys().map(|key| key.payee));
        let payees = payees.chain(self.payouts.iter().map(|(payee, _)| *payee));
        let orgs = payees.filter_map(|payee| match payee {
            Payee::Organization(org) => Some(org),
            Payee::Platform | Payee::Creator(_) => None,
        });
        orgs.collect()
    }

    /// What was gathered, with the contracts that [`contracts`](Self::contracts) named. An organization
    /// whose contract is unknown is left out, which [`Batch::build`](super::Batch::build) refuses.
    pub fn finish(self, contracts: &BTreeMap<OrgId, WalletAddress>) -> Gathered<K> {
        let known = |orgs: BTreeSet<OrgId>| {
            let known = orgs
                .into_iter()
                .filter_map(|org| Some((org, *contracts.get(&org)?)));
            known.collect()
        };
        let payee_orgs = known(self.payees());
        let (places, items) = self.taken.into_iter().unzip();
        Gathered {
            input: SealInput {
                items,
                carry: self.carry.into_values().collect(),
                carried: known(self.carried),
                withdrawing: self.withdrawing,
                unpayable: self.unpayable,
                payouts: self.payouts,
                payee_orgs,
            },
            places,
            unsealable: self.unsealable.into_values().collect(),
        }
    }
}

impl SealInput {
    /// Whether no batch comes of it: nothing waits, or nothing that waits fits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.carried.is_empty() && self.payouts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use haithe_kernel::{CallId, Decimals};
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const SELLER: Payee = Payee::Organization(OrgId(9));

    fn call(place: u64, org: i64, payees: &[Payee]) -> (u64, WaitingCall) {
        let call = WaitingCall {
            call: CallId(Uuid::from_u128(u128::from(place))),
            org: OrgId(org),
            org_address: contract(OrgId(org)),
            lines: payees
                .iter()
                .map(|payee| (*payee, Usdt::from_nano(5_000)))
                .collect(),
            receipt_hash: [1; 32],
            charged_at: NOW,
            was_skipped: false,
        };
        (place, call)
    }

    fn contract(org: OrgId) -> WalletAddress {
        WalletAddress::new([u8::try_from(org.0).unwrap(); 20])
    }

    fn policy() -> SealPolicy {
        SealPolicy {
            max_credits_per_line: 2,
            ..SealPolicy::new(Decimals::new(6).unwrap())
        }
    }

    /// Gathers these calls, all of them on one page; returns the places that were read in full, too.
    fn gather(
        calls: &[(u64, WaitingCall)],
        aside: &[u64],
        escrow: &[EscrowAccount],
        carry: &[Carry],
    ) -> (Gathered<u64>, Vec<Vec<u64>>) {
        let aside = aside.iter().copied().collect();
        let mut gathering = Gathering::new(policy(), NOW, Payers::default(), aside);
        let mut loaded = Vec::new();
        while let Some(read) = gathering.next_read() {
            match read {
                GatherRead::Waiting { after } => {
                    let newer = calls.iter().filter(|(place, _)| Some(*place) > after);
                    gathering.waiting(newer.map(|(place, call)| (*place, call.org)).collect(), true);
                }
                GatherRead::Calls(places) => {
                    let chosen = calls.iter().filter(|(place, _)| places.contains(place));
                    gathering.calls(chosen.cloned().collect(), carry).unwrap();
                    loaded.push(places);
                }
                GatherRead::Escrow => gathering.escrow(escrow.to_vec()),
                GatherRead::Overdue(_) => gathering.overdue(carry.to_vec()),
            }
        }
        let contracts = gathering.contracts().into_iter().map(|org| (org, contract(org)));
        let contracts = contracts.collect();
        (gathering.finish(&contracts), loaded)
    }

    #[test]
    fn the_oldest_call_is_read_alone_and_the_rest_together() {
        let calls = [1, 2, 3].map(|place| call(place, 1, &[Payee::Platform]));
        let (gathered, loaded) = gather(&calls, &[], &[], &[]);
        assert_eq!(loaded, [vec![1], vec![2, 3]]);
        assert_eq!(gathered.places, [1, 2, 3]);
        let sealed: Vec<_> = gathered.input.items.iter().map(|item| item.call).collect();
        assert_eq!(sealed, calls.map(|(_, call)| call.call));
    }

    #[test]
    fn calls_that_are_set_aside_or_cannot_be_sealed_are_left_out() {
        let creators = [1, 2, 3].map(|number| Payee::Creator(WalletAddress::new([number; 20])));
        let calls = [
            call(1, 1, &[Payee::Platform]),
            call(2, 1, &creators),
            call(3, 1, &[Payee::Platform]),
        ];
        let (gathered, loaded) = gather(&calls, &[1], &[], &[]);
        assert_eq!(loaded, [vec![2], vec![3]], "the oldest is tried until one fits");
        assert_eq!(gathered.places, [3]);
        let unsealable = UnsealableCharge {
            call: calls[1].1.call,
            org: OrgId(1),
        };
        assert_eq!(gathered.unsealable, [unsealable]);
    }

    #[test]
    fn escrow_and_overdue_carry_are_paid_without_calls() {
        let escrow = EscrowAccount {
            payee: SELLER,
            balance: Usdt::from_nano(7_000),
            is_registered: false,
            is_open: false,
            last_attempt: None,
        };
        let key = |org| CarryKey {
            org: OrgId(org),
            payee: Payee::Organization(OrgId(8)),
        };
        let overdue = Carry {
            key: key(2),
            amount: Usdt::from_nano(3_000),
            since: Timestamp::from_seconds(0),
        };
        let young = Carry {
            key: key(3),
            since: NOW,
            ..overdue
        };
        let (gathered, _) = gather(&[], &[], &[escrow], &[overdue, young]);
        let input = gathered.input;
        assert_eq!(input.payouts, [(SELLER, Usdt::from_nano(7_000))]);
        assert_eq!(input.carried, [(OrgId(2), contract(OrgId(2)))]);
        assert_eq!(input.carry, [overdue], "the other one waits");
        let payees = [8, 9].map(|org| (OrgId(org), contract(OrgId(org))));
        assert_eq!(input.payee_orgs, payees);
        let batch = Batch::build(0, input, &policy(), NOW).unwrap();
        assert_eq!((batch.lines.len(), batch.payouts.len()), (1, 1));
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let (gathered, loaded) = gather(&[], &[], &[], &[]);
        assert!(gathered.input.is_empty() && loaded.is_empty());
    }
}
