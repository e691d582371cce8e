//! Settling a batch: lines that are paid, and lines that are skipped.

use super::{Contract, Surroundings, batch_hash, transfer};
use crate::parties::ORCHESTRATOR;
use haithe_billing::{
    batch::{Batch, BatchCredit, BatchLine},
    capture::Payee,
    chain::{EventBody, SkipReason},
    usage::Day,
};
use haithe_kernel::{Timestamp, WalletAddress};

impl Contract {
    pub(super) fn settle(
        &mut self,
        batch: &Batch,
        now: Timestamp,
        around: &Surroundings,
    ) -> Option<Vec<EventBody>> {
        let is_refused = around.most_calls.is_some_and(|most| batch.items.len() > most);
        if self.is_paused(now) || batch.seq != self.next_batch || is_refused {
            return None;
        }
        let mut events = Vec::new();
        let (mut total, mut skipped) = (0, 0);
        for (number, line) in (0..).zip(&batch.lines) {
            let amount: u128 = line.credits.iter().map(|credit| credit.units.get()).sum();
            match self.fault(line, amount, now, around) {
                Some((reason, payee)) => {
                    skipped += 1;
                    let (seq, org, amount) = (batch.seq, line.address, Some(amount));
                    events.push(EventBody::LineSkipped {
                        seq,
                        line: number,
                        org,
                        amount,
                        reason,
                        payee,
                    });
                }
                None => {
                    total += amount;
                    self.pay(line, amount, &mut events);
                }
            }
        }
        if !batch.payouts.is_empty() {
            total += self.pay_out(batch, around, &mut events);
        }
        self.next_batch += 1;
        let hash = batch_hash(batch);
        self.hashes.insert(batch.seq, hash);
        let (seq, root, total) = (batch.seq, batch.root, Some(total));
        events.push(EventBody::BatchSettled {
            seq,
            hash,
            root,
            total,
            skipped,
        });
        Some(events)
    }

    /// Why a line is skipped.
    fn fault(
        &mut self,
        line: &BatchLine,
        amount: u128,
        now: Timestamp,
        around: &Surroundings,
    ) -> Option<(SkipReason, Option<WalletAddress>)> {
        let Some(org) = self.orgs.get_mut(&line.address) else {
            return Some((SkipReason::UnknownOrganization, None));
        };
        org.advance_cap(now);
        let today = Day::of(now);
        let spent = if org.spent.0 == Some(today) {
            org.spent.1
        } else {
            0
        };
        if org.cap.is_some_and(|cap| spent + amount > cap) {
            return Some((SkipReason::DailyCap, None));
        }
        if org.balance < amount {
            return Some((SkipReason::InsufficientFunds, None));
        }
        let paid_directly =
            |credit: &&BatchCredit| !credit.escrow && matches!(credit.payee, Payee::Organization(_));
        let mut receivers = line
            .credits
            .iter()
            .filter(paid_directly)
            .map(|credit| credit.address);
        if let Some(blocked) = receivers.find(|address| around.blocked.contains(address)) {
            return Some((
                SkipReason::TransferFailed,
                around.names_receiver.then_some(blocked),
            ));
        }
        org.spent = (Some(today), spent + amount);
        None
    }

    fn pay(&mut self, line: &BatchLine, amount: u128, events: &mut Vec<EventBody>) {
        let payer = self.orgs.entry(line.address).or_default();
        payer.balance -= amount;
        payer.settled += amount;
        for credit in &line.credits {
            let units = credit.units.get();
            match credit.payee {
                Payee::Organization(_) if !credit.escrow => {
                    self.orgs.entry(credit.address).or_default().balance += units;
                    events.push(transfer(line.address, credit.address, units));
                    continue;
                }
                Payee::Creator(wallet) if !credit.escrow => {
                    *self.creators.entry(wallet).or_default() += units
                }
                _ => self.platform += units,
            }
            self.orchestrator += units;
            events.push(transfer(line.address, ORCHESTRATOR, units));
        }
    }

    /// The line of the orchestrator's own, behind all others. Returns what it moved.
    fn pay_out(&mut self, batch: &Batch, around: &Surroundings, events: &mut Vec<EventBody>) -> u128 {
        let amount: u128 = batch.payouts.iter().map(|payout| payout.units.get()).sum();
        let is_blocked = batch
            .payouts
            .iter()
            .any(|payout| around.blocked.contains(&payout.address));
        if is_blocked || self.platform < amount {
            events.push(EventBody::LineSkipped {
                seq: batch.seq,
                line: u32::try_from(batch.lines.len()).unwrap_or(u32::MAX),
                org: ORCHESTRATOR,
                amount: Some(amount),
                reason: if is_blocked {
                    SkipReason::TransferFailed
                } else {
                    SkipReason::InsufficientFunds
                },
                payee: None,
            });
            return 0;
        }
        self.platform -= amount;
        for payout in &batch.payouts {
            let units = payout.units.get();
            match payout.payee {
                Payee::Creator(wallet) => *self.creators.entry(wallet).or_default() += units,
                Payee::Organization(_) => {
                    self.orchestrator -= units;
                    self.orgs.entry(payout.address).or_default().balance += units;
                    events.push(transfer(ORCHESTRATOR, payout.address, units));
                }
                Payee::Platform => self.platform += units,
            }
        }
        amount
    }
}
