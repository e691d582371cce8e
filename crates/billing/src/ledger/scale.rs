//! The payment token's base units against nano-USDT, with signs.

use crate::chain::ChainAmount;
use haithe_kernel::{Decimals, Usdt};

/// How many base units make a nano-USDT, or the other way round when the token has fewer than nine decimals.
#[derive(Debug, Clone, Copy)]
pub struct TokenScale {
    units_per_nano: i128,
    nano_per_unit: i128,
}

impl TokenScale {
    /// The scale of a token with these decimals.
    pub fn of(decimals: Decimals) -> Self {
        let digits = decimals.digits();
        Self {
            units_per_nano: 10i128.pow(digits.saturating_sub(9)),
            nano_per_unit: 10i128.pow(9u32.saturating_sub(digits)),
        }
    }

    /// Base units that make a nano-USDT; 1 when a base unit is more than that.
    pub fn units_per_nano(self) -> i64 {
        i64::try_from(self.units_per_nano).unwrap_or(i64::MAX)
    }

    /// Base units as nano-USDT, rounded down, and the base units below a nano that remain.
    pub fn to_nano(self, units: i128) -> (i128, i128) {
        let nano = units
            .div_euclid(self.units_per_nano)
            .saturating_mul(self.nano_per_unit);
        (nano, units.rem_euclid(self.units_per_nano))
    }

    /// Nano-USDT as base units, rounded down.
    pub fn to_units(self, nano: i128) -> i128 {
        nano.saturating_mul(self.units_per_nano)
            .div_euclid(self.nano_per_unit)
    }

    /// An amount of the chain in nano-USDT, and its base units below a nano; `None` when it is out of range.
    pub fn money(self, amount: ChainAmount) -> Option<(Usdt, i128)> {
        let (nano, dust) = self.to_nano(i128::try_from(amount?).ok()?);
        Some((Usdt::from_nano(i64::try_from(nano).ok()?), dust))
    }
}

/// Nano-USDT as an amount, capped at the ends of the range. For answers, never for postings.
pub fn capped(nano: i128) -> Usdt {
    Usdt::from_nano(i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_nano_convert_in_both_directions() {
        let eighteen = TokenScale::of(Decimals::new(18).unwrap());
        assert_eq!(eighteen.to_nano(1_999_999_999), (1, 999_999_999));
        assert_eq!(eighteen.to_nano(-1), (-1, 999_999_999));
        assert_eq!(eighteen.to_units(2), 2_000_000_000);
        let six = TokenScale::of(Decimals::new(6).unwrap());
        assert_eq!(six.to_nano(3), (3000, 0));
        assert_eq!(six.to_units(3999), 3);
    }

    #[test]
    fn an_amount_beyond_the_range_of_money_is_none() {
        let six = TokenScale::of(Decimals::new(6).unwrap());
        assert_eq!(six.money(None), None);
        assert_eq!(six.money(Some(u128::MAX)), None);
        assert_eq!(six.money(Some(1 << 62)), None);
        assert_eq!(six.money(Some(5)), Some((Usdt::from_nano(5000), 0)));
    }
}
