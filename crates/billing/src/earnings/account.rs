//! From what is stored about a creator to what it earned.

use super::Earned;
use crate::{chain::ChainAmount, ledger::capped};
use haithe_kernel::{Decimals, TokenUnits, Usdt};

/// What is stored about a creator's earnings, all read at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EarningsAccount {
    /// The sum of all its lines in charges, in nano-USDT.
    pub charged: i128,
    /// The balance of the ledger's account `creator/{address}`: settled and not yet withdrawn for good.
    pub balance: Usdt,
    /// Its withdrawals from the identity contract, in any order: the block of each, and how much.
    pub withdrawals: Vec<(u64, ChainAmount)>,
    /// The last final block; `None` before the first.
    pub last_final: Option<u64>,
    /// Its identity on chain, if it has one.
    pub identity: Option<u64>,
}

impl EarningsAccount {
    /// What the creator earned. Amounts beyond the range of money are capped: they are shown and never posted.
    pub fn earned(&self, decimals: Decimals) -> Earned {
        let (mut withdrawn, mut leaving) = (0i128, 0i128);
        for (block, amount) in &self.withdrawals {
            let is_final = Some(*block) <= self.last_final;
            let side = if is_final { &mut withdrawn } else { &mut leaving };
            *side += booked(*amount, decimals);
        }
        // What has left came in before.
        let settled = i128::from(self.balance.nano()) + withdrawn;
        Earned {
            charged: capped(self.charged),
            settled: capped(settled),
            withdrawn: capped(withdrawn),
            leaving: capped(leaving),
            identity: self.identity,
        }
    }
}

/// A withdrawal as the ledger books it, in nano-USDT. One that is not a whole number of nano-USDT, or is out
/// of range, was never credited: the ledger raises an alarm instead of booking it.
fn booked(amount: ChainAmount, decimals: Decimals) -> i128 {
    let units = amount.map(TokenUnits::new);
    match units.map(|units| Usdt::from_units(units, decimals)) {
        Some(Ok((amount, TokenUnits::ZERO))) => i128::from(amount.nano()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eighteen() -> Decimals {
        Decimals::new(18).unwrap()
    }

    fn units(nano: u64) -> ChainAmount {
        Some(u128::from(nano) * 1_000_000_000)
    }

    fn account(withdrawals: &[(u64, ChainAmount)]) -> EarningsAccount {
        EarningsAccount {
            charged: 100,
            balance: Usdt::from_nano(40),
            withdrawals: withdrawals.to_vec(),
            last_final: Some(7),
            identity: Some(3),
        }
    }

    #[test]
    fn a_withdrawal_is_leaving_until_its_block_is_final() {
        let earned = account(&[(7, units(5)), (8, units(6))]).earned(eighteen());
        assert_eq!(
            (earned.withdrawn, earned.leaving, earned.settled),
            (Usdt::from_nano(5), Usdt::from_nano(6), Usdt::from_nano(45))
        );
        assert_eq!(earned.withdrawable(), Usdt::from_nano(34));
        let unindexed = EarningsAccount {
            last_final: None,
            ..account(&[(0, units(5))])
        };
        assert_eq!(unindexed.earned(eighteen()).leaving, Usdt::from_nano(5));
    }

    #[test]
    fn a_withdrawal_that_was_never_credited_counts_as_nothing() {
        let odd = [(1, None), (2, Some(1)), (3, Some(u128::MAX))];
        let earned = account(&odd).earned(eighteen());
        assert_eq!(
            (earned.withdrawn, earned.settled),
            (Usdt::ZERO, Usdt::from_nano(40))
        );
    }

    #[test]
    fn sums_beyond_the_range_are_capped() {
        let account = EarningsAccount {
            charged: i128::MAX,
            balance: Usdt::MAX,
            ..account(&[(1, units(u64::from(u32::MAX)))])
        };
        let earned = account.earned(eighteen());
        assert_eq!((earned.charged, earned.settled), (Usdt::MAX, Usdt::MAX));
    }

    proptest! {
        /// Whatever finality does, what is settled is what can be withdrawn, what is leaving, and what left.
        #[test]
        fn settled_money_is_withdrawable_leaving_or_withdrawn(
            settled in 1_000i64..1_000_000,
            withdrawals in prop::collection::vec((0u64..10, 0u64..100), 0..8),
            last_final in prop::option::of(0u64..10),
        ) {
            let withdrawals: Vec<_> =
                withdrawals.into_iter().map(|(block, nano)| (block, units(nano))).collect();
            let gone: i64 = withdrawals
                .iter()
                .filter(|(block, _)| Some(*block) <= last_final)
                .map(|(_, amount)| i64::try_from(amount.unwrap() / 1_000_000_000).unwrap())
                .sum();
            let account = EarningsAccount {
                charged: i128::from(settled),
                balance: Usdt::from_nano(settled - gone),
                withdrawals,
                last_final,
                identity: None,
            };
            let earned = account.earned(eighteen());
            prop_assert_eq!(earned.settled, Usdt::from_nano(settled));
            let parts = [earned.withdrawable(), earned.leaving, earned.withdrawn];
            prop_assert_eq!(Usdt::checked_sum(parts), Some(earned.settled));
        }
    }
}
