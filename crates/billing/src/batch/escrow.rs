//! Payees that cannot be paid, and what the ledger keeps for them.
//!
//! Everything here is derived from final batches, so that a reorganization changes it back by itself. A
//! payer's credits to a payee go to escrow after the payee caused [`UNPAYABLE_AFTER`] final lines of that
//! payer to be skipped since it was last paid. Escrow is tried again once a day and payee; a payout
//! that succeeds ends the payee's history of failures.

use super::{BatchSeq, CarryKey, SealPolicy};
use crate::{
    capture::Payee,
    chain::{Blame, SkipReason},
    ledger::Account,
};
use haithe_kernel::{OrgId, Timestamp, Usdt};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

/// Final skipped lines of a payer, blamed on one payee, after which its credits go to escrow.
pub const UNPAYABLE_AFTER: usize = 3;

/// How long an attempt to pay escrow out keeps the payee's next one waiting.
pub const PAYOUT_PAUSE: Duration = Duration::from_secs(86_400);

/// Who is at fault for a skipped line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// The payer: it cannot pay, or its money cannot be moved at all.
    Payer,
    /// This payee cannot be paid.
    Payee(Payee),
    /// One of several payees cannot be paid, and which one is not known.
    Unknown,
}

impl LineFault {
    /// The fault of a line that was skipped for `reason` and is blamed on `blamed`, if on anyone. A reason
    /// that only a payer can cause decides, also for lines that were stored without blame.
    pub const fn of(reason: SkipReason, blamed: Option<Blame>) -> Self {
        match (reason, blamed) {
            (SkipReason::InsufficientFunds | SkipReason::DailyCap, _) | (_, Some(Blame::Payer)) => {
                Self::Payer
            }
            (_, Some(Blame::Payee(payee))) => Self::Payee(payee),
            (_, None) => Self::Unknown,
        }
    }
}

/// A skipped line of a final batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedLine {
    /// The payer.
    pub org: OrgId,
    /// The batch.
    pub seq: BatchSeq,
    /// Who is at fault.
    pub fault: LineFault,
}

/// What final batches show about payers and payees: every skipped line that is not the payer's fault, and
/// when their payers and payees were last paid for. All batches are final ones.
#[derive(Debug, Clone, Default)]
pub struct PaymentHistory {
    /// The skipped lines. Those that are the payer's fault may be left out; they decide nothing here. Of each payer's
    /// lines that were skipped for one reason and are blamed alike, those before the newest [`UNPAYABLE_AFTER`] may
    /// be left out, too: what is decided does not change, and the history stays bounded.
    pub skipped: Vec<SkippedLine>,
    /// Each payer's last settled line.
    pub settled: BTreeMap<OrgId, BatchSeq>,
    /// The last settled line in which the payer paid the payee directly.
    pub paid: BTreeMap<CarryKey, BatchSeq>,
    /// The last batch that paid the payee out of escrow.
    pub paid_out: BTreeMap<Payee, BatchSeq>,
}

impl PaymentHistory {
    /// The payers and payees of the skipped lines: what [`settled`](Self::settled), [`paid`](Self::paid)
    /// and [`paid_out`](Self::paid_out) must know about.
    pub fn subjects(skipped: &[SkippedLine]) -> (BTreeSet<OrgId>, BTreeSet<CarryKey>) {
        let orgs = skipped.iter().map(|line| line.org).collect();
        let keys = skipped.iter().filter_map(SkippedLine::key).collect();
        (orgs, keys)
    }

    /// Payers and payees whose credits go to escrow.
    pub fn unpayable(&self) -> HashSet<CarryKey> {
        let mut failures: BTreeMap<CarryKey, usize> = BTreeMap::new();
        for line in &self.skipped {
            let Some(key) = line.key() else {
                continue;
            };
            let paid = self.paid.get(&key).max(self.paid_out.get(&key.payee));
            if Some(&line.seq) > paid {
                *failures.entry(key).or_default() += 1;
            }
        }
        failures.retain(|_, count| *count >= UNPAYABLE_AFTER);
        failures.into_keys().collect()
    }

    /// Payers that had a line skipped since their last settled one that is not their own fault. Their lines
    /// credit one organization at most, so that the next failure shows which one it is.
    pub fn probed(&self) -> HashSet<OrgId> {
        let since_settled = |line: &&SkippedLine| Some(&line.seq) > self.settled.get(&line.org);
        let others = self.skipped.iter().filter(|line| line.fault != LineFault::Payer);
        others.filter(since_settled).map(|line| line.org).collect()
    }
}

impl SkippedLine {
    /// The payer and the payee that is at fault, if one is.
    fn key(&self) -> Option<CarryKey> {
        match self.fault {
            LineFault::Payee(payee) => Some(CarryKey { org: self.org, payee }),
            LineFault::Payer | LineFault::Unknown => None,
        }
    }
}

/// What the ledger keeps for a payee that could not be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EscrowAccount {
    /// The payee.
    pub payee: Payee,
    /// The account's balance, in nano-USDT.
    pub balance: Usdt,
    /// Whether the identity contract knows the payee; it matters for creators only.
    pub is_registered: bool,
    /// Whether a batch that is not final pays this payee out of escrow.
    pub is_open: bool,
    /// When the last batch that paid, or tried to pay, this payee out of escrow was sealed.
    pub last_attempt: Option<Timestamp>,
}

impl EscrowAccount {
    /// Whether it can be paid out at `now`: the payee can be paid on chain, no attempt is under way, the
    /// last one is [`PAYOUT_PAUSE`] ago, and there is at least one base unit.
    fn is_due(&self, policy: &SealPolicy, now: Timestamp) -> bool {
        let is_payable = match self.payee {
            Payee::Platform => false,
            Payee::Creator(_) => self.is_registered,
            Payee::Organization(_) => true,
        };
        is_payable
            && !self.is_open
            && self.balance >= policy.payable_unit()
            && self
                .last_attempt
                .is_none_or(|last| last <= now.minus(PAYOUT_PAUSE))
    }
}

/// Escrow that can be paid out at `now`: the payee with the oldest attempt first, then by account name.
pub fn due_payouts(
    mut accounts: Vec<EscrowAccount>,
    policy: &SealPolicy,
    now: Timestamp,
) -> Vec<(Payee, Usdt)> {
    accounts.retain(|account| account.is_due(policy, now));
    accounts.sort_by_cached_key(|account| (account.last_attempt, Account::Escrow(account.payee).to_string()));
    accounts
        .into_iter()
        .map(|account| (account.payee, account.balance))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::{Decimals, WalletAddress};

    const PAYER: OrgId = OrgId(1);
    const CREATOR: Payee = Payee::Creator(WalletAddress::new([7; 20]));
    const KEY: CarryKey = CarryKey {
        org: PAYER,
        payee: CREATOR,
    };
    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn skipped(seq: BatchSeq, fault: LineFault) -> SkippedLine {
        SkippedLine {
            org: PAYER,
            seq,
            fault,
        }
    }

    fn history(seqs: &[BatchSeq]) -> PaymentHistory {
        let line = |seq: &BatchSeq| skipped(*seq, LineFault::Payee(CREATOR));
        PaymentHistory {
            skipped: seqs.iter().map(line).collect(),
            ..PaymentHistory::default()
        }
    }

    #[test]
    fn three_failures_since_the_last_payment_send_credits_to_escrow() {
        assert_eq!(history(&[0, 1]).unpayable(), HashSet::new());
        assert_eq!(history(&[0, 1, 2]).unpayable(), HashSet::from([KEY]));
        let paid = PaymentHistory {
            paid: BTreeMap::from([(KEY, 0)]),
            ..history(&[0, 1, 2])
        };
        assert_eq!(paid.unpayable(), HashSet::new(), "two since it was paid");
        let paid_out = PaymentHistory {
            paid_out: BTreeMap::from([(CREATOR, 5)]),
            ..history(&[0, 1, 2, 6, 7])
        };
        assert_eq!(paid_out.unpayable(), HashSet::new(), "two since the payout");
        let again = PaymentHistory {
            paid_out: BTreeMap::from([(CREATOR, 5)]),
            ..history(&[0, 1, 2, 6, 7, 8])
        };
        assert_eq!(again.unpayable(), HashSet::from([KEY]));
    }

    #[test]
    fn lines_before_the_newest_ones_decide_nothing() {
        for fault in [LineFault::Payee(CREATOR), LineFault::Unknown] {
            for length in 0..8_u64 {
                for last in [None, Some(0), Some(3), Some(5), Some(9)] {
                    let all: Vec<SkippedLine> = (0..length).map(|seq| skipped(seq, fault)).collect();
                    let newest = all.iter().rev().take(UNPAYABLE_AFTER).copied().collect();
                    let [all, newest] = [all, newest].map(|skipped| PaymentHistory {
                        skipped,
                        settled: last.map(|seq| (PAYER, seq)).into_iter().collect(),
                        paid: last.map(|seq| (KEY, seq)).into_iter().collect(),
                        paid_out: BTreeMap::new(),
                    });
                    assert_eq!(all.unpayable(), newest.unpayable(), "{fault:?} {length} {last:?}");
                    assert_eq!(all.probed(), newest.probed(), "{fault:?} {length} {last:?}");
                }
            }
        }
    }

    #[test]
    fn failures_count_by_payer_and_payee() {
        let other = CarryKey {
            org: OrgId(2),
            payee: CREATOR,
        };
        let mut history = history(&[0, 1]);
        history.skipped.push(SkippedLine {
            org: other.org,
            ..skipped(2, LineFault::Payee(CREATOR))
        });
        history
            .skipped
            .push(skipped(3, LineFault::Payee(Payee::Organization(OrgId(9)))));
        assert_eq!(history.unpayable(), HashSet::new());
        let (orgs, keys) = PaymentHistory::subjects(&history.skipped);
        assert_eq!((orgs.len(), keys.len()), (2, 3));
    }

    #[test]
    fn a_payer_is_probed_until_a_line_settles() {
        let mut history = PaymentHistory {
            skipped: vec![skipped(4, LineFault::Unknown)],
            ..PaymentHistory::default()
        };
        assert_eq!(history.probed(), HashSet::from([PAYER]));
        history.settled.insert(PAYER, 3);
        assert_eq!(history.probed(), HashSet::from([PAYER]));
        history.settled.insert(PAYER, 5);
        assert_eq!(history.probed(), HashSet::new());
        let own = PaymentHistory {
            skipped: vec![skipped(4, LineFault::Payer)],
            ..PaymentHistory::default()
        };
        assert_eq!(own.probed(), HashSet::new(), "the payer's own fault");
    }

    #[test]
    fn some_reasons_are_the_payers_fault_whatever_was_stored() {
        let payee = Some(Blame::Payee(CREATOR));
        assert_eq!(LineFault::of(SkipReason::DailyCap, None), LineFault::Payer);
        assert_eq!(
            LineFault::of(SkipReason::InsufficientFunds, payee),
            LineFault::Payer
        );
        assert_eq!(
            LineFault::of(SkipReason::UnknownPayee, payee),
            LineFault::Payee(CREATOR)
        );
        assert_eq!(LineFault::of(SkipReason::Other(9), None), LineFault::Unknown);
        let payer = Some(Blame::Payer);
        assert_eq!(LineFault::of(SkipReason::TransferFailed, payer), LineFault::Payer);
    }

    fn account(payee: Payee) -> EscrowAccount {
        EscrowAccount {
            payee,
            balance: Usdt::from_nano(5_000),
            is_registered: true,
            is_open: false,
            last_attempt: None,
        }
    }

    fn due(accounts: &[EscrowAccount]) -> Vec<Payee> {
        let policy = SealPolicy::new(Decimals::new(6).unwrap());
        let due = due_payouts(accounts.to_vec(), &policy, NOW);
        due.into_iter().map(|(payee, _)| payee).collect()
    }

    #[test]
    fn escrow_is_paid_out_to_payees_that_can_be_paid_now() {
        let org = Payee::Organization(OrgId(3));
        assert_eq!(due(&[account(org), account(CREATOR)]), [CREATOR, org], "by name");
        let unregistered = EscrowAccount {
            is_registered: false,
            ..account(CREATOR)
        };
        assert_eq!(due(&[unregistered]), []);
        let open = EscrowAccount {
            is_open: true,
            ..account(org)
        };
        assert_eq!(due(&[open]), [], "an attempt is under way");
        let below = EscrowAccount {
            balance: Usdt::from_nano(999),
            ..account(org)
        };
        assert_eq!(due(&[below]), [], "less than a base unit stays");
        assert_eq!(due(&[account(Payee::Platform)]), []);
    }

    #[test]
    fn the_payee_that_waited_longest_comes_first_and_an_attempt_pauses_for_a_day() {
        let tried = |org, ago| EscrowAccount {
            last_attempt: Some(NOW.minus(ago)),
            ..account(Payee::Organization(OrgId(org)))
        };
        let second = Duration::from_secs(1);
        let accounts = [
            tried(1, PAYOUT_PAUSE),
            tried(2, PAYOUT_PAUSE.saturating_sub(second)),
            tried(3, PAYOUT_PAUSE + second),
            account(Payee::Organization(OrgId(4))),
        ];
        let order = [4, 3, 1].map(|org| Payee::Organization(OrgId(org)));
        assert_eq!(due(&accounts), order);
    }
}
