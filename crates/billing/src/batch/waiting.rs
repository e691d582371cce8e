//! What waits for a batch.
//!
//! A call waits while no batch contains it and it was charged something. A call whose line was skipped waits
//! again, and counts apart: it goes along with any batch, and neither hastens batches nor counts as a delay
//! of settlement.

use super::{BatchError, BatchItem, BatchSeq, Payers, SealPolicy, Unsealed, WaitingCharges};
use crate::{
    batch::EscrowAccount,
    capture::Payee,
    chain::{AlarmKind, Hash32},
    ledger::OrgMoney,
};
use haithe_kernel::{CallId, OrgId, Timestamp, Usdt, WalletAddress};
use std::collections::{BTreeMap, HashSet};

/// A waiting call, as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingCall {
    /// The call.
    pub call: CallId,
    /// The payer.
    pub org: OrgId,
    /// The payer's contract.
    pub org_address: WalletAddress,
    /// The lines of its charge, in any order; a payee may have several.
    pub lines: Vec<(Payee, Usdt)>,
    /// SHA-256 of the receipt's canonical JSON.
    pub receipt_hash: Hash32,
    /// When the call was charged.
    pub charged_at: Timestamp,
    /// Whether it waits again because its line was skipped.
    pub was_skipped: bool,
}

impl WaitingCall {
    /// The call as settlement sees it: one credit for each payee that is paid something. The delay of a
    /// call that waits again is not settlement's, so that it is due since `now`.
    ///
    /// # Errors
    /// [`BatchError::Amount`] when a line is negative, or the lines of a payee are beyond the range of money.
    pub fn into_item(self, now: Timestamp) -> Result<BatchItem, BatchError> {
        let mut credits: BTreeMap<Payee, Usdt> = BTreeMap::new();
        for (payee, amount) in self.lines {
            if amount.is_negative() {
                return Err(BatchError::Amount(self.org));
            }
            if amount == Usdt::ZERO {
                continue;
            }
            let sum = credits.entry(payee).or_default();
            *sum = sum.checked_add(amount).ok_or(BatchError::Amount(self.org))?;
        }
        Ok(BatchItem {
            call: self.call,
            org: self.org,
            org_address: self.org_address,
            credits: credits.into_iter().collect(),
            receipt_hash: self.receipt_hash,
            due_since: if self.was_skipped { now } else { self.charged_at },
        })
    }
}

/// Waiting calls of one organization that have the same history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingGroup {
    /// The payer.
    pub org: OrgId,
    /// Whether they wait again because their lines were skipped.
    pub was_skipped: bool,
    /// How many there are.
    pub calls: u64,
    /// The sum of their charges, in nano-USDT.
    pub amount: Usdt,
    /// When the oldest of them was charged.
    pub oldest: Timestamp,
}

/// One group for each organization and history, in their order.
pub fn merge_waiting(groups: impl IntoIterator<Item = WaitingGroup>) -> Vec<WaitingGroup> {
    let mut merged: BTreeMap<(OrgId, bool), WaitingGroup> = BTreeMap::new();
    for group in groups {
        merged
            .entry((group.org, group.was_skipped))
            .and_modify(|sum| {
                sum.calls = sum.calls.saturating_add(group.calls);
                sum.amount = sum.amount.saturating_add(group.amount);
                sum.oldest = sum.oldest.min(group.oldest);
            })
            .or_insert(group);
    }
    merged.into_values().collect()
}

/// The waiting charges of each organization, in order of their numbers.
pub fn waiting_charges(
    groups: impl IntoIterator<Item = WaitingGroup>,
    withdrawing: &HashSet<OrgId>,
) -> Vec<WaitingCharges> {
    let mut orgs: BTreeMap<OrgId, WaitingCharges> = BTreeMap::new();
    for group in groups {
        let waiting = orgs.entry(group.org).or_insert_with(|| WaitingCharges {
            org: group.org,
            items: 0,
            amount: Usdt::ZERO,
            oldest: None,
            skipped: 0,
            withdrawing: withdrawing.contains(&group.org),
        });
        if group.was_skipped {
            waiting.skipped += group.calls;
        } else {
            waiting.items += group.calls;
            waiting.amount = waiting.amount.saturating_add(group.amount);
            waiting.oldest = Some(waiting.oldest.unwrap_or(group.oldest).min(group.oldest));
        }
    }
    orgs.into_values().collect()
}

impl Unsealed {
    /// Everything that waits: charges, carry that is overdue (a store counts what an
    /// [`OverdueCarry`](super::OverdueCarry) selects) and escrow that can be paid out at `now`.
    pub fn of(
        orgs: Vec<WaitingCharges>,
        overdue_carry: u64,
        escrow: Vec<EscrowAccount>,
        policy: &SealPolicy,
        now: Timestamp,
    ) -> Self {
        let payouts = super::due_payouts(escrow, policy, now).len();
        Self {
            orgs,
            overdue: overdue_carry.saturating_add(u64::try_from(payouts).unwrap_or(u64::MAX)),
        }
    }
}

/// Whether a call that belongs to the batch `seq` counts as one whose line was skipped before: an earlier batch
/// contains it, too. `first` is the first batch that contains it.
pub const fn was_skipped_before(first: BatchSeq, seq: BatchSeq) -> bool {
    first < seq
}

impl Payers {
    /// The suspended and the withdrawing ones of these organizations. The other groups are empty: other data decides
    /// them.
    pub fn of<'m>(organizations: impl IntoIterator<Item = (OrgId, &'m OrgMoney)>) -> Self {
        let mut payers = Self::default();
        for (org, money) in organizations {
            if money.facts().is_suspended() {
                payers.suspended.insert(org);
            }
            if money.is_withdrawing() {
                payers.withdrawing.insert(org);
            }
        }
        payers
    }

    /// Defers the organizations whose charges together are too small for a line of their own.
    pub fn defer(&mut self, waiting: &[WaitingCharges], policy: &SealPolicy, now: Timestamp) {
        let deferred = waiting.iter().filter(|waiting| policy.defers(waiting, now));
        self.deferred = deferred.map(|waiting| waiting.org).collect();
    }
}

/// A charge that no batch can contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsealableCharge {
    /// The call.
    pub call: CallId,
    /// The payer.
    pub org: OrgId,
}

impl UnsealableCharge {
    /// The kind of the alarm that is raised for it. The alarm belongs to block 0, so that no reorganization
    /// takes it back.
    pub const ALARM: AlarmKind = AlarmKind::UnsealableCharge;

    /// The alarm's text.
    pub fn detail(&self, reason: &str) -> String {
        let Self { call, org } = self;
        format!("call {call} of organization {org} cannot be settled: {reason}")
    }
}

impl SealPolicy {
    /// Why a charge that the sealer calls unsealable is set aside.
    pub fn unsealable_reason(&self) -> String {
        let most = self.max_credits_per_line;
        format!("it pays more payees than a line can hold (at most {most})")
    }

    /// Whether another batch may be sealed while `open` batches are not final.
    pub fn may_open(&self, open: usize) -> bool {
        open < usize::try_from(self.max_open).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const CHARGED: Timestamp = Timestamp::from_seconds(1_600_000_000);
    const CREATOR: Payee = Payee::Creator(WalletAddress::new([7; 20]));

    fn call(lines: &[(Payee, i64)], was_skipped: bool) -> WaitingCall {
        WaitingCall {
            call: CallId(Uuid::from_u128(1)),
            org: OrgId(1),
            org_address: WalletAddress::new([1; 20]),
            lines: lines
                .iter()
                .map(|(payee, nano)| (*payee, Usdt::from_nano(*nano)))
                .collect(),
            receipt_hash: [1; 32],
            charged_at: CHARGED,
            was_skipped,
        }
    }

    #[test]
    fn a_call_credits_each_payee_once_and_nobody_with_nothing() {
        let lines = [
            (CREATOR, 2),
            (Payee::Platform, 1),
            (Payee::Organization(OrgId(2)), 0),
            (CREATOR, 3),
        ];
        let item = call(&lines, false).into_item(NOW).unwrap();
        let expected = [(Payee::Platform, 1), (CREATOR, 5)];
        let expected = expected.map(|(payee, nano)| (payee, Usdt::from_nano(nano)));
        assert_eq!(item.credits, expected);
        assert_eq!(item.due_since, CHARGED);
    }

    #[test]
    fn a_call_that_waits_again_is_due_since_now() {
        let item = call(&[(CREATOR, 2)], true).into_item(NOW).unwrap();
        assert_eq!(item.due_since, NOW);
    }

    #[test]
    fn a_line_out_of_range_is_an_error() {
        let error = Err(BatchError::Amount(OrgId(1)));
        assert_eq!(call(&[(CREATOR, -1)], false).into_item(NOW), error);
        let above = [(CREATOR, i64::MAX), (CREATOR, 1)];
        assert_eq!(call(&above, false).into_item(NOW), error);
    }

    #[test]
    fn skipped_calls_count_apart() {
        let group = |org, was_skipped, calls, nano| WaitingGroup {
            org: OrgId(org),
            was_skipped,
            calls,
            amount: Usdt::from_nano(nano),
            oldest: CHARGED,
        };
        let groups = [
            group(2, true, 5, 50),
            group(1, false, 2, 7),
            group(2, false, 1, 3),
        ];
        let waiting = waiting_charges(groups, &HashSet::from([OrgId(1)]));
        let of = |index: usize| {
            let waiting = &waiting[index];
            (
                waiting.org.0,
                waiting.items,
                waiting.amount.nano(),
                waiting.skipped,
            )
        };
        assert_eq!((of(0), of(1)), ((1, 2, 7, 0), (2, 1, 3, 5)));
        assert_eq!((waiting[0].withdrawing, waiting[1].withdrawing), (true, false));
        let only_skipped = waiting_charges([group(3, true, 5, 50)], &HashSet::new());
        assert_eq!(only_skipped[0].oldest, None);
    }

    #[test]
    fn groups_of_one_history_are_one() {
        let group = |calls, oldest| WaitingGroup {
            org: OrgId(1),
            was_skipped: false,
            calls,
            amount: Usdt::from_nano(3),
            oldest: Timestamp::from_seconds(oldest),
        };
        let skipped = WaitingGroup {
            was_skipped: true,
            ..group(1, 5)
        };
        let merged = merge_waiting([group(2, 9), skipped, group(4, 7)]);
        let sum = WaitingGroup {
            amount: Usdt::from_nano(6),
            ..group(6, 7)
        };
        assert_eq!(merged, [sum, skipped]);
    }
}
