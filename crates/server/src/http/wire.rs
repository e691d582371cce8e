//! Money and time as the frontend reads them.

use haithe_kernel::{Decimals, TokenUnits, Usdt, name_problem};
use serde::{Serialize, Serializer};
use std::fmt;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// Base units of the payment token: a JSON integer, exact however large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseUnits(i128);

impl BaseUnits {
    /// The wire's integer for an amount.
    pub fn of(amount: Usdt, decimals: Decimals) -> Self {
        Self(amount.to_wire(decimals))
    }

    /// The same for an amount of the chain; `None` beyond 127 bits, which is beyond all money.
    pub fn units(amount: TokenUnits) -> Option<Self> {
        i128::try_from(amount.get()).ok().map(Self)
    }
}

/// An exact decimal number of USDT without trailing zeros, as fine as the token counts.
pub fn exact(amount: TokenUnits, decimals: Decimals) -> String {
    amount.to_decimal(decimals)
}

impl fmt::Display for BaseUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for BaseUnits {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i128(self.0)
    }
}

impl PartialSchema for BaseUnits {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some(
                "The payment token's base units: an integer, exact however large",
            ))
            .into()
    }
}

impl ToSchema for BaseUnits {}

/// How an address is documented: `#[schema(value_type = AddressText)]` on a field that is one.
#[derive(Debug)]
pub enum AddressText {}

impl PartialSchema for AddressText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^0x[0-9a-f]{40}$"))
            .description(Some(
                "An Ethereum address; any case is read, lower case is written",
            ))
            .examples(["0x70997970c51812dc3a010c7d01b50e0d17dc79c8"])
            .into()
    }
}

impl ToSchema for AddressText {}

/// What is wrong with a name or address that stands on chain, where nobody could refuse it; `None` for an
/// honest one.
pub fn name_warning(name: &str) -> Option<String> {
    name_problem(name).map(|problem| format!("this text can deceive: it {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_json_integers_of_any_size() {
        let eighteen = Decimals::new(18).unwrap();
        let most = BaseUnits::of(Usdt::MAX, eighteen);
        assert_eq!(
            serde_json::to_string(&most).unwrap(),
            "9223372036854775807000000000"
        );
        let six = Decimals::new(6).unwrap();
        let floored = BaseUnits::of(Usdt::from_nano(1_999), six);
        assert_eq!(serde_json::to_string(&floored).unwrap(), "1");
    }

    #[test]
    fn amounts_of_the_chain_are_exact_at_any_number_of_decimals() {
        for (units, digits, expected) in [
            (0, 6, "0"),
            (1_500_000, 6, "1.5"),
            (1, 18, "0.000000000000000001"),
            (12 * 10u128.pow(18), 18, "12"),
            (u128::MAX, 18, "340282366920938463463.374607431768211455"),
        ] {
            let decimals = Decimals::new(digits).unwrap();
            assert_eq!(exact(TokenUnits::new(units), decimals), expected);
        }
        assert_eq!(BaseUnits::units(TokenUnits::new(u128::MAX)), None);
    }
}
