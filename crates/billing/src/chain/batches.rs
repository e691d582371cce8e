//! What the chain says about our batches.
//!
//! A batch that is settled on chain is booked once that is final: each settled line moves unsettled money to its
//! payees. A skipped line moves nothing: its calls wait for another batch, where they get new leaves, and what it
//! changed of the carry is undone. Each skipped line is blamed on its organization or on a payee, as far as that
//! is known: [`suspension`](super::suspension) and escrow follow from it.

use super::{
    AlarmKind, Blame, BlockRef, ChainEvent, Effect, EventBody, IndexAlarm, LineSite, SkipReason, StoredBatch,
    StoredLine,
};
use crate::{
    batch::BatchCredit,
    capture::Payee,
    ledger::{Account, Entry, Transfer},
};
use haithe_kernel::{OrgId, Timestamp, WalletAddress};
use std::collections::BTreeSet;

/// Whose fault a skipped line is. `payees` are the line's creators and organizations that are paid directly, with
/// their addresses.
///
/// The reason may name the receiver; else only organizations are paid by transfers of their own, so the only one
/// in the line is at fault. With several, no one is blamed, and the payer's next lines have one each. The shares
/// of the platform and of creators go to the orchestrator: when that transfer fails, the payer's money cannot be
/// moved at all.
pub fn blame(
    reason: SkipReason,
    named: Option<WalletAddress>,
    payees: &[(Payee, WalletAddress)],
) -> Option<Blame> {
    match reason {
        SkipReason::InsufficientFunds | SkipReason::DailyCap | SkipReason::UnknownOrganization => {
            return Some(Blame::Payer);
        }
        SkipReason::UnknownPayee | SkipReason::TransferFailed | SkipReason::Other(_) => {}
    }
    if let Some((payee, _)) = payees.iter().find(|(_, address)| Some(*address) == named) {
        return Some(Blame::Payee(*payee));
    }
    let may_be_any = reason == SkipReason::UnknownPayee;
    let mut suspects = payees
        .iter()
        .map(|(payee, _)| *payee)
        .filter(|payee| may_be_any || matches!(payee, Payee::Organization(_)));
    match (suspects.next(), suspects.next()) {
        (None, _) => Some(Blame::Payer),
        // The orchestrator, which keeps what creators and the platform earn.
        (Some(_), _) if named.is_some() && !may_be_any => Some(Blame::Payer),
        (Some(payee), None) => Some(Blame::Payee(payee)),
        (Some(_), Some(_)) => None,
    }
}

/// The payees of a line that are paid directly and can be at fault.
fn suspects(line: &StoredLine) -> Vec<(Payee, WalletAddress)> {
    let direct = line
        .credits
        .iter()
        .filter(|credit| !credit.escrow && credit.payee != Payee::Platform);
    direct.map(|credit| (credit.payee, credit.address)).collect()
}

/// Notes a line that was skipped on chain. An alarm is raised when it is not ours.
pub fn skip(event: &ChainEvent, site: &LineSite, orchestrator: WalletAddress) -> Option<Effect> {
    let EventBody::LineSkipped {
        seq,
        line: number,
        org,
        reason,
        payee: named,
        ..
    } = event.body
    else {
        return None;
    };
    if let Some(line) = site.line.as_ref().filter(|line| line.address == org) {
        return Some(Effect::SkipLine {
            seq,
            line: number,
            reason,
            blamed: blame(reason, named, &suspects(line)),
        });
    }
    // The line behind all others pays escrow.
    if site.has_payouts && u64::from(number) == site.lines && org == orchestrator {
        return Some(Effect::SkipPayouts { seq });
    }
    let detail = format!("line {number} of batch {seq}, for {org}, was skipped and is not ours");
    Some(Effect::RaiseAlarm(IndexAlarm::of(
        AlarmKind::UnknownLine,
        event,
        &detail,
    )))
}

/// Notes a batch that was settled on chain. An alarm is raised when it is not what was sealed here.
pub fn settle(event: &ChainEvent, batch: Option<&StoredBatch>) -> Option<Effect> {
    let EventBody::BatchSettled {
        seq,
        hash,
        root,
        total,
        ..
    } = event.body
    else {
        return None;
    };
    let alarm = |kind, detail: &str| Some(Effect::RaiseAlarm(IndexAlarm::of(kind, event, detail)));
    let Some(batch) = batch else {
        let detail = format!(
            "batch {seq} was settled on chain and was never sealed here: is the server's key used elsewhere?"
        );
        return alarm(AlarmKind::UnknownBatch, &detail);
    };
    let is_as_sealed = batch.root == root && total.is_some() && batch.moved() == total;
    if !is_as_sealed || batch.settled.is_some() {
        let detail =
            format!("batch {seq} was settled on chain with other contents than it was sealed with here");
        return alarm(AlarmKind::WrongBatch, &detail);
    }
    Some(Effect::SettleBatch {
        seq,
        tx: event.tx,
        block: event.block,
        at: event.block_time,
        hash,
        orgs: organizations(batch),
    })
}

/// Books a batch whose settlement is final. Nothing for one that is not settled, or is booked already.
pub fn finish(batch: &StoredBatch) -> Vec<Effect> {
    let (Some((block, at)), false) = (batch.settled, batch.is_final) else {
        return Vec::new();
    };
    let seq = batch.seq;
    let mut effects = Vec::with_capacity(batch.lines.len() + 2);
    for line in &batch.lines {
        effects.push(match line.skipped {
            Some(_) => Effect::RequeueLine { seq, line: line.line },
            None => book(format!("batch/{seq}/{}", line.line), block, at, paid(line)),
        });
    }
    let payouts = batch.payouts.iter().filter(|_| !batch.payouts_skipped);
    let transfers: Vec<Transfer> = payouts.flat_map(paid_out).collect();
    if !transfers.is_empty() {
        effects.push(book(format!("batch/{seq}/escrow"), block, at, transfers));
    }
    let orgs = organizations(batch);
    effects.push(Effect::FinishBatch { seq, orgs });
    effects
}

fn book(key: String, block: u64, at: Timestamp, transfers: Vec<Transfer>) -> Effect {
    Effect::Book(Entry {
        key,
        at,
        block: Some(block),
        transfers,
    })
}

/// What a settled line moves: in the ledger from the payer's unsettled money to the payees, and between the
/// mirrors of the contracts that hold it.
fn paid(line: &StoredLine) -> Vec<Transfer> {
    let transfers = line.credits.iter().flat_map(|credit| {
        let (account, chain) = match credit.payee {
            payee if credit.escrow => (Account::Escrow(payee), Account::ChainOrchestrator),
            Payee::Platform => (Account::Platform, Account::ChainOrchestrator),
            Payee::Creator(address) => (Account::Creator(address), Account::ChainOrchestrator),
            Payee::Organization(payee) => (Account::Available(payee), Account::ChainOrg(payee)),
        };
        [
            Transfer::new(Account::Unsettled(line.org), account, credit.amount),
            Transfer::new(chain, Account::ChainOrg(line.org), credit.amount),
        ]
    });
    transfers.collect()
}

/// What paying out of escrow moves. An organization is paid to its contract; what creators and the platform earn
/// is with the orchestrator already.
fn paid_out(payout: &BatchCredit) -> Vec<Transfer> {
    let (payee, amount) = (payout.payee, payout.amount);
    let from_escrow = |account| Transfer::new(Account::Escrow(payee), account, amount);
    match payee {
        Payee::Platform => vec![from_escrow(Account::Platform)],
        Payee::Creator(address) => vec![from_escrow(Account::Creator(address))],
        Payee::Organization(org) => vec![
            Transfer::new(Account::ChainOrg(org), Account::ChainOrchestrator, amount),
            from_escrow(Account::Available(org)),
        ],
    }
}

/// The payers of a batch, and the organizations that it pays.
fn organizations(batch: &StoredBatch) -> Vec<OrgId> {
    let payers = batch.lines.iter().map(|line| line.org);
    let credits = batch.lines.iter().flat_map(|line| &line.credits);
    let payees = credits
        .chain(&batch.payouts)
        .filter_map(|credit| match credit.payee {
            Payee::Organization(org) => Some(org),
            Payee::Platform | Payee::Creator(_) => None,
        });
    let all: BTreeSet<OrgId> = payers.chain(payees).collect();
    all.into_iter().collect()
}

/// Takes a batch back whose settlement was in a block that is dropped; `to` is the newest block that stays. Its
/// entries are reversed with all others of the block.
///
/// A batch that counted as final is open again, with the calls of its skipped lines; `moved_on` says that some of
/// those are in a later batch, where they stay, with an alarm.
pub fn undo(batch: &StoredBatch, moved_on: bool, to: BlockRef) -> Vec<Effect> {
    let seq = batch.seq;
    let mut effects = Vec::new();
    if batch.is_final && moved_on {
        effects.push(Effect::RaiseAlarm(IndexAlarm {
            kind: AlarmKind::FinalBatchRewound,
            detail: format!(
                "batch {seq} was final, its skipped calls are in a later batch, and now its block is gone"
            ),
            block: to.number,
            raised_at: to.time,
        }));
    } else if batch.is_final {
        let skipped = batch.lines.iter().filter(|line| line.skipped.is_some());
        effects.extend(skipped.map(|line| Effect::ReclaimLine { seq, line: line.line }));
    }
    let orgs = organizations(batch);
    effects.push(Effect::UnsettleBatch { seq, orgs });
    effects
}

#[cfg(test)]
mod tests;
