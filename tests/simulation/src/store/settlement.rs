//! What settlement reads and writes.

use super::{BatchRow, Store, Usage};
use crate::defect::Defect;
use haithe_billing::{
    batch::{
        BatchError, CarryUpdate, Dissolution, DissolveView, DissolvedBatch, EscrowAccount, GatherRead,
        Gathered, Gathering, LineFault, Payers, PaymentHistory, SealPolicy, SealState, Sealing, SettlementTx,
        SkippedLine, WaitingCall, WaitingGroup, next_batch, waiting_charges,
    },
    capture::Payee,
    chain::Blame,
    ledger::Account,
    outbox::TxState,
};
use haithe_kernel::{CallId, OrgId, Timestamp, Usdt};
use std::collections::{BTreeMap, BTreeSet};

/// Waiting calls that are read at once.
const PAGE: usize = 16;

impl Store {
    /// Batches that are not final.
    pub fn open(&self) -> impl Iterator<Item = &BatchRow> {
        self.batches.values().filter(|row| !row.is_final)
    }

    /// The number of the next batch.
    pub fn next_batch(&self) -> u64 {
        next_batch(self.batches.keys().last().copied())
    }

    fn waiting(&self) -> impl Iterator<Item = (usize, &Usage)> {
        let waits =
            |(_, usage): &(usize, &Usage)| usage.batch.is_none() && usage.captured.charged.is_positive();
        self.usage.iter().enumerate().filter(waits)
    }

    /// The oldest charge of the organization that waits for a batch.
    pub fn oldest_waiting(&self, org: OrgId) -> Option<&Usage> {
        self.waiting()
            .map(|(_, usage)| usage)
            .find(|usage| usage.org == org)
    }

    /// Waiting charges by organization and history, without those that were set aside.
    pub fn groups(&self, aside: &BTreeSet<CallId>) -> Vec<WaitingGroup> {
        let mut groups: BTreeMap<(OrgId, bool), WaitingGroup> = BTreeMap::new();
        for (_, usage) in self.waiting().filter(|(_, usage)| !aside.contains(&usage.call)) {
            let (org, was_skipped) = (usage.org, usage.was_skipped);
            let group = groups.entry((org, was_skipped)).or_insert(WaitingGroup {
                org,
                was_skipped,
                calls: 0,
                amount: Usdt::ZERO,
                oldest: usage.at,
            });
            group.calls += 1;
            group.amount = group.amount.saturating_add(usage.captured.charged);
            group.oldest = group.oldest.min(usage.at);
        }
        groups.into_values().collect()
    }

    /// Which payers are treated differently.
    pub fn payers(&self) -> Payers {
        let mut payers = Payers::default();
        for org in self.org_ids() {
            let money = self.money(org);
            if money.facts().is_suspended() {
                payers.suspended.insert(org);
            }
            if money.is_withdrawing() {
                payers.withdrawing.insert(org);
            }
        }
        let history = self.history();
        payers.unpayable = history.unpayable();
        payers.probed = history.probed();
        payers
    }

    fn history(&self) -> PaymentHistory {
        let mut history = PaymentHistory::default();
        for row in self.batches.values().filter(|row| row.is_final) {
            let seq = row.batch.seq;
            for (number, line) in (0u32..).zip(&row.batch.lines) {
                match row.skips.get(&number) {
                    Some((_, Some(Blame::Payer))) => {}
                    Some((reason, blamed)) => {
                        let fault = LineFault::of(*reason, *blamed);
                        history.skipped.push(SkippedLine {
                            org: line.org,
                            seq,
                            fault,
                        });
                    }
                    None => {
                        history.settled.insert(line.org, seq);
                        for credit in line.credits.iter().filter(|credit| !credit.escrow) {
                            let key = haithe_billing::batch::CarryKey {
                                org: line.org,
                                payee: credit.payee,
                            };
                            history.paid.insert(key, seq);
                        }
                    }
                }
            }
            if !row.payouts_skipped {
                history
                    .paid_out
                    .extend(row.batch.payouts.iter().map(|payout| (payout.payee, seq)));
            }
        }
        history
    }

    /// All escrow with a balance.
    pub fn escrow(&self) -> Vec<EscrowAccount> {
        let accounts = self
            .books
            .balances()
            .filter_map(|(account, balance)| match account {
                Account::Escrow(payee) if balance.is_positive() => Some((payee, balance)),
                _ => None,
            });
        let pays =
            |row: &&BatchRow, payee: Payee| row.batch.payouts.iter().any(|payout| payout.payee == payee);
        let account = |(payee, balance)| EscrowAccount {
            payee,
            balance,
            is_registered: match payee {
                Payee::Creator(wallet) => self.creators.contains_key(&wallet),
                Payee::Platform | Payee::Organization(_) => false,
            },
            is_open: self.open().any(|row| pays(&row, payee)),
            last_attempt: self
                .batches
                .values()
                .filter(|row| pays(row, payee))
                .map(|row| row.batch.sealed_at)
                .max(),
        };
        accounts.map(account).collect()
    }

    /// Gathers what the next batch is built from.
    ///
    /// # Errors
    /// As [`Gathering::calls`].
    pub fn gather(
        &self,
        policy: SealPolicy,
        now: Timestamp,
        aside: &BTreeSet<CallId>,
    ) -> Result<Gathered<usize>, BatchError> {
        let mut payers = self.payers();
        let charges = waiting_charges(self.groups(aside), &payers.withdrawing);
        payers.defer(&charges, &policy, now);
        let aside = aside
            .iter()
            .filter_map(|call| self.by_call.get(call).copied())
            .collect();
        let mut gathering = Gathering::new(policy, now, payers, aside);
        while let Some(read) = gathering.next_read() {
            match read {
                GatherRead::Waiting { after } => {
                    let newer = self.waiting().filter(|(place, _)| Some(*place) > after);
                    let page: Vec<_> = newer
                        .take(PAGE)
                        .map(|(place, usage)| (place, usage.org))
                        .collect();
                    let is_last = page.len() < PAGE;
                    gathering.waiting(page, is_last);
                }
                GatherRead::Calls(places) => {
                    let calls = places.into_iter().map(|place| (place, self.waiting_call(place)));
                    let carry: Vec<_> = self.carry.values().copied().collect();
                    gathering.calls(calls.collect(), &carry)?;
                }
                GatherRead::Escrow => gathering.escrow(self.escrow()),
                GatherRead::Overdue(overdue) => {
                    let mut carry: Vec<_> = self.carry.values().copied().collect();
                    carry.retain(|carry| overdue.selects(carry));
                    carry.sort_by_key(|carry| carry.since);
                    gathering.overdue(carry);
                }
            }
        }
        let contracts = gathering.contracts();
        let contracts = contracts
            .into_iter()
            .map(|org| (org, self.orgs[&org.0].created.address));
        let contracts = contracts.collect();
        Ok(gathering.finish(&contracts))
    }

    fn waiting_call(&self, place: usize) -> WaitingCall {
        let usage = &self.usage[place];
        WaitingCall {
            call: usage.call,
            org: usage.org,
            org_address: self.orgs[&usage.org.0].created.address,
            lines: usage.lines.clone(),
            receipt_hash: usage.receipt_hash,
            charged_at: usage.at,
            was_skipped: usage.was_skipped,
        }
    }

    /// Stores a batch, unless something that it was built from has changed; returns whether it did.
    pub fn seal(&mut self, sealing: &Sealing<usize>) -> bool {
        let keys = sealing.carry_keys();
        let state = SealState {
            open: self.open().count(),
            next: self.next_batch(),
            carry: keys
                .iter()
                .filter_map(|key| self.carry.get(key))
                .copied()
                .collect(),
        };
        let Some(effects) = sealing.effects(&state) else {
            return false;
        };
        let seq = sealing.batch.seq;
        for place in &sealing.places {
            let usage = &mut self.usage[*place];
            if let Some(other) = usage.batch.replace(seq) {
                let detail = format!("call {} is in batch {other} and in batch {seq}", usage.call);
                self.break_invariant("a call is in one batch", detail);
                return false;
            }
        }
        self.write_carry(&effects.carry);
        let row = BatchRow {
            batch: sealing.batch.clone(),
            places: sealing.places.clone(),
            changes: effects.changes,
            settled: None,
            is_final: false,
            payouts_skipped: false,
            skips: BTreeMap::new(),
        };
        if self.batches.insert(seq, row).is_some() {
            self.break_invariant("a batch is sealed once", format!("batch {seq} is sealed twice"));
        }
        true
    }

    pub(super) fn write_carry(&mut self, updates: &[CarryUpdate]) {
        for (key, carry) in updates {
            match carry {
                Some(carry) => self.carry.insert(*key, *carry),
                None => self.carry.remove(key),
            };
        }
    }

    /// Dissolves all batches from `seq` on; returns whether it did.
    ///
    /// # Errors
    /// As [`DissolveView::dissolve`].
    pub fn dissolve(&mut self, seq: u64) -> Result<bool, BatchError> {
        let batches = self.batches.range(seq..).map(|(seq, row)| DissolvedBatch {
            seq: *seq,
            is_seen: row.settled.is_some() || row.is_final,
            changes: row.changes.clone(),
            sealed_before: row
                .places
                .iter()
                .filter(|place| self.is_sealed_before(**place, *seq))
                .map(|place| self.usage[*place].call)
                .collect(),
        });
        let live = self
            .intents
            .iter()
            .filter(|intent| intent.state != TxState::Failed);
        let transactions = live.map(|intent| SettlementTx {
            id: intent.id,
            seq: intent.batch.seq,
            has_nonce: intent.nonce.is_some(),
        });
        let view = DissolveView {
            batches: batches.collect(),
            transactions: transactions.collect(),
            carry: self.carry.values().copied().collect(),
        };
        let Some(dissolution) = view.dissolve()? else {
            return Ok(false);
        };
        self.write_dissolution(&dissolution);
        Ok(true)
    }

    fn write_dissolution(&mut self, dissolution: &Dissolution) {
        for intent in self
            .intents
            .iter_mut()
            .filter(|intent| dissolution.close.contains(&intent.id))
        {
            intent.state = TxState::Failed;
        }
        if !self.has(Defect::DissolvedCarryKept) {
            self.write_carry(&dissolution.carry);
        }
        for seq in &dissolution.batches {
            let Some(row) = self.batches.remove(seq) else {
                continue;
            };
            for place in row.places {
                let usage = &mut self.usage[place];
                usage.batch = None;
                usage.was_skipped = dissolution.skipped.contains(&usage.call);
            }
        }
    }
}
