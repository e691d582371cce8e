//! Money: integers with a unit in the type, never floats.
//!
//! [`Usdt`] counts nano-USDT inside Haithe; [`TokenUnits`] counts the payment token's base units
//! on the chain. They never mix without [`Decimals`].

use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, str::FromStr};

/// An amount of USDT in **nano-USDT** (10⁻⁹ USDT), up to ±9.2 billion USDT.
///
/// Arithmetic is checked: overflow is `None`, never a wrong amount. Negative amounts exist only
/// in the ledger (a rewound deposit may drive an account below zero).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usdt(i64);

/// Why an amount cannot be represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Outside ±9.2 billion USDT, or outside 128 bits of base units.
    #[error("the amount is out of range")]
    OutOfRange,
    /// Not a decimal number with at most nine fractional digits.
    #[error("an amount is a decimal number with at most nine digits after the point")]
    Form,
    /// A token with fewer than 6 or more than 18 decimals.
    #[error("the payment token must have 6 to 18 decimals")]
    Decimals,
}

const NANO_DIGITS: u32 = 9;
const NANO_PER_USDT: i64 = 1_000_000_000;

impl Usdt {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// This many nano-USDT.
    pub const fn from_nano(nano: i64) -> Self {
        Self(nano)
    }

    /// The amount in nano-USDT.
    pub const fn nano(self) -> i64 {
        self.0
    }

    /// Whole USDT, for tests and configuration.
    pub const fn whole(usdt: i32) -> Self {
        Self(usdt as i64 * NANO_PER_USDT)
    }

    /// Sum, or `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(nano) => Some(Self(nano)),
            None => None,
        }
    }

    /// Difference, or `None` on overflow.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(nano) => Some(Self(nano)),
            None => None,
        }
    }

    /// Sum, capped at the ends of the range. Only for limits and displays, never for postings.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, capped at the ends of the range. Only for limits and displays.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The opposite amount, or `None` for the smallest one.
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(nano) => Some(Self(nano)),
            None => None,
        }
    }

    /// Below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Above zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Exact sum in 128 bits, `None` if it does not fit 64.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let total: i128 = amounts.into_iter().map(|amount| i128::from(amount.0)).sum();
        i64::try_from(total).ok().map(Self)
    }

    /// Converts base units, rounding down; the second value is the dust that is below a nano.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] when the amount does not fit 64 bits of nano-USDT.
    pub fn from_units(units: TokenUnits, decimals: Decimals) -> Result<(Self, TokenUnits), MoneyError> {
        let (nano, dust) = if decimals.digits() >= NANO_DIGITS {
            let per_nano = decimals.units_per_nano();
            (units.0 / per_nano, units.0 % per_nano)
        } else {
            let nano = units
                .0
                .checked_mul(decimals.nano_per_unit())
                .ok_or(MoneyError::OutOfRange)?;
            (nano, 0)
        };
        let nano = i64::try_from(nano).map_err(|_| MoneyError::OutOfRange)?;
        Ok((Self(nano), TokenUnits(dust)))
    }

    /// Converts to whole base units, rounding down; the second value is what stays behind because
    /// the token has fewer than nine decimals.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] when the amount is negative.
    pub fn to_units(self, decimals: Decimals) -> Result<(TokenUnits, Self), MoneyError> {
        let nano = u128::try_from(self.0).map_err(|_| MoneyError::OutOfRange)?;
        if decimals.digits() >= NANO_DIGITS {
            let units = nano
                .checked_mul(decimals.units_per_nano())
                .ok_or(MoneyError::OutOfRange)?;
            return Ok((TokenUnits(units), Self::ZERO));
        }
        let per_unit = decimals.nano_per_unit();
        let rest = i64::try_from(nano % per_unit).map_err(|_| MoneyError::OutOfRange)?;
        Ok((TokenUnits(nano / per_unit), Self(rest)))
    }

    /// The wire's integer: base units of the token, rounded toward negative infinity.
    /// Exact however large (18 decimals give up to 28 digits).
    pub fn to_wire(self, decimals: Decimals) -> i128 {
        if decimals.digits() >= NANO_DIGITS {
            i128::from(self.0) * i128::try_from(decimals.units_per_nano()).unwrap_or(1)
        } else {
            i128::from(self.0).div_euclid(i128::try_from(decimals.nano_per_unit()).unwrap_or(1))
        }
    }
}

impl Sum for Usdt {
    /// Saturating; use [`Usdt::checked_sum`] where money is decided.
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

impl fmt::Display for Usdt {
    /// An exact decimal number of USDT without trailing zeros: `1.5`, `-0.000000001`, `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.unsigned_abs();
        let per_usdt = NANO_PER_USDT.unsigned_abs();
        let (whole, fraction) = (nano / per_usdt, nano % per_usdt);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{fraction:09}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Usdt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} USDT")
    }
}

impl FromStr for Usdt {
    type Err = MoneyError;

    /// Reads what `Display` writes: an optional `-`, digits, and up to nine digits after a point.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (negative, body) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = body.split_once('.').unwrap_or((body, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > NANO_DIGITS as usize {
            return Err(MoneyError::Form);
        }
        let whole: i128 = whole.parse().map_err(|_| MoneyError::OutOfRange)?;
        let fraction: i128 = format!("{fraction:0<9}").parse().map_err(|_| MoneyError::Form)?;
        let nano = whole
            .checked_mul(i128::from(NANO_PER_USDT))
            .and_then(|nano| nano.checked_add(fraction))
            .ok_or(MoneyError::OutOfRange)?;
        let nano = if negative { -nano } else { nano };
        i64::try_from(nano).map(Self).map_err(|_| MoneyError::OutOfRange)
    }
}

/// An amount in the payment token's base units (the integer that ERC-20 calls carry).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TokenUnits(u128);

impl TokenUnits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many base units.
    pub const fn new(units: u128) -> Self {
        Self(units)
    }

    /// The number of base units.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// Sum, or `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// Reads a decimal number of USDT such as `12.5`: digits, and after a point at most as many digits as
    /// the token has decimals.
    ///
    /// # Errors
    /// [`MoneyError::Form`] for anything else, [`MoneyError::OutOfRange`] beyond 128 bits of base units.
    pub fn from_decimal(text: &str, decimals: Decimals) -> Result<Self, MoneyError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let width = usize::from(decimals.0);
        if !digits(whole) || !digits(fraction) || fraction.len() > width {
            return Err(MoneyError::Form);
        }
        format!("{whole}{fraction:0<width$}").parse()
    }

    /// The amount in USDT: an exact decimal number without trailing zeros, as fine as the token counts.
    pub fn to_decimal(self, decimals: Decimals) -> String {
        let per_usdt = 10u128.pow(decimals.digits());
        let (whole, fraction) = (self.0 / per_usdt, self.0 % per_usdt);
        if fraction == 0 {
            return whole.to_string();
        }
        let width = usize::from(decimals.0);
        let digits = format!("{fraction:0width$}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Display for TokenUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TokenUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} units", self.0)
    }
}

impl FromStr for TokenUnits {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MoneyError::Form);
        }
        text.parse().map(Self).map_err(|_| MoneyError::OutOfRange)
    }
}

/// How many decimals the payment token has: 6 to 18. Real USDT has 6, the dev chain's tUSDT 18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Decimals(u8);

impl Decimals {
    /// # Errors
    /// [`MoneyError::Decimals`] outside 6..=18.
    pub const fn new(digits: u8) -> Result<Self, MoneyError> {
        if digits < 6 || digits > 18 {
            Err(MoneyError::Decimals)
        } else {
            Ok(Self(digits))
        }
    }

    /// The number of decimals.
    pub const fn digits(self) -> u32 {
        self.0 as u32
    }

    const fn units_per_nano(self) -> u128 {
        10u128.pow(self.digits().saturating_sub(NANO_DIGITS))
    }

    const fn nano_per_unit(self) -> u128 {
        10u128.pow(NANO_DIGITS.saturating_sub(self.digits()))
    }
}

impl TryFrom<u8> for Decimals {
    type Error = MoneyError;
    fn try_from(digits: u8) -> Result<Self, MoneyError> {
        Self::new(digits)
    }
}

impl From<Decimals> for u8 {
    fn from(decimals: Decimals) -> Self {
        decimals.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_print_exactly_and_read_back() {
        for (nano, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
            (1_500_000_000, "1.5"),
            (i64::MAX, "9223372036.854775807"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(Usdt::from_nano(nano).to_string(), text);
            assert_eq!(text.parse(), Ok(Usdt::from_nano(nano)));
        }
    }

    #[test]
    fn malformed_amounts_are_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1e3",
            "+1",
            "1.0000000001",
            " 1",
            "1_0",
            "--1",
        ] {
            assert_eq!(text.parse::<Usdt>(), Err(MoneyError::Form), "{text}");
        }
        assert_eq!(
            "9223372036.854775808".parse::<Usdt>(),
            Err(MoneyError::OutOfRange)
        );
        assert_eq!(("9".repeat(60)).parse::<Usdt>(), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn what_is_below_a_nano_is_dust_and_what_is_below_a_unit_stays() {
        let (eighteen, six) = (Decimals::new(18).unwrap(), Decimals::new(6).unwrap());
        let (usdt, dust) = Usdt::from_units(TokenUnits::new(1_999_999_999), eighteen).unwrap();
        assert_eq!((usdt, dust), (Usdt::from_nano(1), TokenUnits::new(999_999_999)));
        let (units, rest) = Usdt::from_nano(1_999).to_units(six).unwrap();
        assert_eq!((units, rest), (TokenUnits::new(1), Usdt::from_nano(999)));
        assert_eq!(Usdt::from_nano(-1).to_wire(six), -1);
    }

    #[test]
    fn a_whale_deposit_is_out_of_range_and_not_wrapped() {
        let six = Decimals::new(6).unwrap();
        assert_eq!(
            Usdt::from_units(TokenUnits::new(u128::MAX), six),
            Err(MoneyError::OutOfRange)
        );
    }

    proptest! {
        #[test]
        fn units_and_nano_convert_without_losing_anything(units in 0u128..=9_000_000_000_000_000_000, digits in 6u8..=18) {
            let decimals = Decimals::new(digits).unwrap();
            if let Ok((usdt, dust)) = Usdt::from_units(TokenUnits::new(units), decimals) {
                let (back, rest) = usdt.to_units(decimals).unwrap();
                prop_assert_eq!(rest, Usdt::ZERO);
                prop_assert_eq!(back.get() + dust.get(), units);
            }
        }

        #[test]
        fn nano_to_units_keeps_the_rest(nano in 0i64..=i64::MAX, digits in 6u8..=18) {
            let decimals = Decimals::new(digits).unwrap();
            let (units, rest) = Usdt::from_nano(nano).to_units(decimals).unwrap();
            let (back, dust) = Usdt::from_units(units, decimals).unwrap();
            prop_assert_eq!(dust, TokenUnits::ZERO);
            prop_assert_eq!(back.nano() + rest.nano(), nano);
        }

        #[test]
        fn units_print_as_usdt_and_read_back(units: u128, digits in 6u8..=18) {
            let decimals = Decimals::new(digits).unwrap();
            let units = TokenUnits::new(units);
            prop_assert_eq!(TokenUnits::from_decimal(&units.to_decimal(decimals), decimals), Ok(units));
        }

        #[test]
        fn every_amount_reads_back(nano: i64) {
            prop_assert_eq!(Usdt::from_nano(nano).to_string().parse(), Ok(Usdt::from_nano(nano)));
        }
    }
}
