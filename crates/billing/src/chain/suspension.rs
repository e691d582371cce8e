//! What admits a suspended organization again.
//!
//! Three lines in a row that are the payer's own fault suspend it, as the ledger counts them over final batches. A
//! settled line ends the count. So does money that arrives, after a line was skipped for want of it, and a higher
//! cap, after a line was skipped for the cap. Lines that are [blamed](super::batches::blame) on a payee never count.

use super::{Effect, SkipReason, SkipState};
use haithe_kernel::OrgId;

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
    use crate::{
        capture::Payee,
        chain::{Blame, batches::blame},
    };
    use haithe_kernel::WalletAddress;
    use proptest::prelude::*;

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
        /// A payer is suspended for lines that are blamed on it: no payee can make a line one of them.
        #[test]
        fn a_payer_is_never_blamed_for_a_payees_fault(
            reason in reason(),
            payees in payees(),
            named in proptest::option::of(1..=7u8),
        ) {
            let named = named.map(|number| WalletAddress::new([number; 20]));
            let blamed = blame(reason, named, &payees);
            let payers_own = matches!(
                reason,
                SkipReason::InsufficientFunds | SkipReason::DailyCap | SkipReason::UnknownOrganization
            );
            if payers_own {
                prop_assert_eq!(blamed, Some(Blame::Payer));
            } else if let Some((payee, _)) = payees.iter().find(|(_, address)| Some(*address) == named) {
                prop_assert_eq!(blamed, Some(Blame::Payee(*payee)));
            } else if named.is_none() && payees.iter().any(|(payee, _)| matches!(payee, Payee::Organization(_))) {
                prop_assert_ne!(blamed, Some(Blame::Payer), "an organization may be at fault");
            }
            if let Some(Blame::Payee(payee)) = blamed {
                prop_assert!(payees.iter().any(|(paid, _)| *paid == payee), "a payee of the line");
            }
        }
    }
}
