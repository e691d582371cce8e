//! Suspension: three lines in a row that are the payer's own fault.
//!
//! Everything here follows from final batches, so that a reorganization needs no undoing. A settled line ends
//! the count. So does money that arrives, after a line was skipped for want of it, and a higher cap, after a
//! line was skipped for the cap. Lines that are blamed on a payee never count.

use super::{Blame, Effect, SkipReason, SkipState};
use haithe_kernel::OrgId;

/// Skipped lines in a row, for which the payer is to blame, after which it is suspended.
pub const SUSPENDED_AFTER: usize = 3;

/// A line of a payer in a final batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalLine {
    /// The batch.
    pub seq: u64,
    /// Why it was skipped and whose fault that is, if it was skipped.
    pub skipped: Option<(SkipReason, Option<Blame>)>,
}

impl FinalLine {
    fn is_payers_fault(&self) -> bool {
        self.skipped.is_some_and(|(reason, blamed)| {
            // Lines from before faults were stored have a reason only.
            matches!(reason, SkipReason::InsufficientFunds | SkipReason::DailyCap)
                || blamed == Some(Blame::Payer)
        })
    }
}

/// Whether a payer is suspended: `newest_first` are its lines in final batches, and those before batch
/// `counted_from` do not count any more.
pub fn is_suspended(newest_first: impl IntoIterator<Item = FinalLine>, counted_from: u64) -> bool {
    let skips = newest_first
        .into_iter()
        .take_while(|line| line.skipped.is_some() && line.seq >= counted_from)
        .filter(FinalLine::is_payers_fault);
    skips.take(SUSPENDED_AFTER).count() == SUSPENDED_AFTER
}

/// Ends the count of skipped lines where what stopped the newest one is `covered` now: `reason` is what the
/// payer's change answers.
pub fn readmit(org: OrgId, covered: bool, reason: SkipReason, skips: &SkipState) -> Option<Effect> {
    (covered && skips.newest == Some(reason)).then_some(Effect::CountSkipsFrom {
        org,
        seq: skips.next_final,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capture::Payee, chain::batches::blame};
    use haithe_kernel::WalletAddress;
    use proptest::prelude::*;

    const PAYER: Option<(SkipReason, Option<Blame>)> =
        Some((SkipReason::TransferFailed, Some(Blame::Payer)));
    const OLD: Option<(SkipReason, Option<Blame>)> = Some((SkipReason::DailyCap, None));
    const PAYEE: Option<(SkipReason, Option<Blame>)> =
        Some((SkipReason::UnknownPayee, Some(Blame::Payee(Payee::Platform))));
    const UNKNOWN: Option<(SkipReason, Option<Blame>)> = Some((SkipReason::TransferFailed, None));

    /// Lines of batches 0, 1, … in their order.
    fn suspended(lines: &[Option<(SkipReason, Option<Blame>)>], counted_from: u64) -> bool {
        let lines = (0u64..).zip(lines).map(|(seq, skipped)| FinalLine {
            seq,
            skipped: *skipped,
        });
        let mut lines: Vec<FinalLine> = lines.collect();
        lines.reverse();
        is_suspended(lines, counted_from)
    }

    #[test]
    fn three_lines_in_a_row_for_which_the_payer_is_to_blame_suspend() {
        for (lines, counted_from, expected) in [
            (&[PAYER, PAYER][..], 0, false),
            (&[PAYER, OLD, PAYER], 0, true),
            (&[PAYER, PAYER, PAYER], 1, false),
            (&[PAYER, PAYER, PAYER, PAYER], 1, true),
            (&[PAYER, PAYER, None, PAYER], 0, false),
            (&[PAYER, PAYER, PAYER, None], 0, false),
            (&[PAYEE, PAYEE, PAYEE, PAYEE], 0, false),
            (&[UNKNOWN, UNKNOWN, UNKNOWN], 0, false),
            (&[PAYER, PAYEE, PAYER, UNKNOWN, PAYER], 0, true),
            (&[], 0, false),
        ] {
            assert_eq!(
                suspended(lines, counted_from),
                expected,
                "{lines:?} {counted_from}"
            );
        }
    }

    #[test]
    fn only_what_stopped_the_newest_line_admits_again() {
        let skips = |newest| SkipState {
            newest,
            next_final: 4,
        };
        let cap = Some(SkipReason::DailyCap);
        for (covered, newest, admits) in [
            (true, cap, true),
            (false, cap, false),
            (true, Some(SkipReason::InsufficientFunds), false),
            (true, None, false),
        ] {
            let effect = readmit(OrgId(1), covered, SkipReason::DailyCap, &skips(newest));
            assert_eq!(effect.is_some(), admits, "{covered} {newest:?}");
        }
    }

    fn reason() -> impl Strategy<Value = SkipReason> {
        prop_oneof![
            Just(SkipReason::InsufficientFunds),
            Just(SkipReason::DailyCap),
            Just(SkipReason::UnknownPayee),
            Just(SkipReason::UnknownOrganization),
            Just(SkipReason::TransferFailed),
            (0..9u8).prop_map(SkipReason::Other),
        ]
    }

    /// A line with creators 1 to 3 and organizations 4 to 6, as far as they are in it.
    fn payees() -> impl Strategy<Value = Vec<(Payee, WalletAddress)>> {
        prop::collection::btree_set(1..=6u8, 0..5).prop_map(|numbers| {
            let payee = |number| {
                let address = WalletAddress::new([number; 20]);
                match number {
                    1..=3 => (Payee::Creator(address), address),
                    _ => (Payee::Organization(OrgId(number.into())), address),
                }
            };
            numbers.into_iter().map(payee).collect()
        })
    }

    proptest! {
        /// Whatever payees do, a payer is suspended only when its own contract stopped three lines.
        #[test]
        fn a_payer_is_never_suspended_by_a_payees_fault(
            lines in prop::collection::vec((reason(), payees(), proptest::option::of(1..=7u8)), 0..12),
        ) {
            let mut own_faults = 0;
            let mut finals = Vec::new();
            for (seq, (reason, payees, named)) in (0u64..).zip(lines) {
                let named = named.map(|number| WalletAddress::new([number; 20]));
                let blamed = blame(reason, named, &payees);
                let payers_own = matches!(
                    reason,
                    SkipReason::InsufficientFunds | SkipReason::DailyCap | SkipReason::UnknownOrganization
                );
                let is_named = payees.iter().any(|(_, address)| Some(*address) == named);
                if !payers_own && is_named {
                    prop_assert!(matches!(blamed, Some(Blame::Payee(_))), "{blamed:?}");
                }
                if let Some(Blame::Payee(payee)) = blamed {
                    prop_assert!(payees.iter().any(|(paid, _)| *paid == payee), "a payee of the line");
                }
                own_faults += usize::from(blamed == Some(Blame::Payer));
                finals.push(FinalLine { seq, skipped: Some((reason, blamed)) });
            }
            finals.reverse();
            prop_assert_eq!(is_suspended(finals, 0), own_faults >= SUSPENDED_AFTER);
        }
    }
}
