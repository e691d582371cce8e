//! One scale for amounts of the ledger and of the chain, so that they compare without rounding.

use haithe_kernel::{Decimals, TokenUnits};
use std::fmt;

/// The finer of the token's base unit and a nano-USDT. Amounts on it are 128 bits; `None` is beyond.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    digits: u32,
    per_nano: i128,
    per_unit: i128,
}

impl Scale {
    pub(crate) fn of(decimals: Decimals) -> Self {
        let digits = decimals.digits();
        Self {
            digits: digits.max(9),
            per_nano: 10i128.pow(digits.saturating_sub(9)),
            per_unit: 10i128.pow(9u32.saturating_sub(digits)),
        }
    }

    pub(crate) fn nano(self, nano: i128) -> Option<i128> {
        nano.checked_mul(self.per_nano)
    }

    pub(crate) fn units(self, units: TokenUnits) -> Option<i128> {
        self.signed_units(i128::try_from(units.get()).ok()?)
    }

    pub(crate) fn signed_units(self, units: i128) -> Option<i128> {
        units.checked_mul(self.per_unit)
    }

    /// One base unit.
    pub(crate) fn unit(self) -> i128 {
        self.per_unit
    }

    /// As a decimal number of USDT.
    pub(crate) fn show(self, amount: i128) -> impl fmt::Display {
        Decimal(Some(amount), self.digits)
    }

    /// As a decimal number of USDT.
    pub(crate) fn show_units(self, units: TokenUnits) -> impl fmt::Display {
        Decimal(self.units(units), self.digits)
    }
}

/// An integer with a decimal point so many digits from its end, without trailing zeros.
struct Decimal(Option<i128>, u32);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Some(amount), digits) = *self else {
            return f.write_str("more than 128 bits can say");
        };
        let sign = if amount < 0 { "-" } else { "" };
        let scale = 10u128.pow(digits);
        let (whole, fraction) = (amount.unsigned_abs() / scale, amount.unsigned_abs() % scale);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let width = usize::try_from(digits).unwrap_or_default();
        let digits = format!("{fraction:0width$}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}
