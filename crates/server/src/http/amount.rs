//! Amounts of money in requests: base units under the plain name, or USDT under the name with `_usdt`.
//!
//! Base units are what the existing frontend sends, and a number that is meant as USDT reads as next to
//! nothing: with 18 decimals `10` is 10⁻¹⁷ USDT. So an amount of base units below [`SMALL`] is refused with
//! both readings unless the caller confirms it. Zero has one reading and passes. Prices per call are small by
//! nature, and no confirmation is asked for them ([`AmountInput::may_be_small`]).

use super::{ApiError, extract::Change};
use haithe_kernel::{Decimals, MoneyError, TokenUnits, Usdt};
use http::StatusCode;

/// Base units worth less than this need a confirmation: 0.01 USDT.
pub const SMALL: Usdt = Usdt::from_nano(10_000_000);

/// An amount as a request gives it.
#[derive(Debug)]
pub struct AmountInput {
    field: &'static str,
    units: Change<String>,
    usdt: Change<String>,
    small_is_fine: bool,
}

impl AmountInput {
    /// The amount in the parameter `field` (base units) or `<field>_usdt` (decimal USDT).
    pub fn new(field: &'static str, units: Change<String>, usdt: Change<String>) -> Self {
        Self {
            field,
            units,
            usdt,
            small_is_fine: false,
        }
    }

    /// With the caller's `confirm_small`.
    #[must_use]
    pub fn confirmed(mut self, confirm_small: Option<bool>) -> Self {
        self.small_is_fine = confirm_small == Some(true);
        self
    }

    /// For amounts that are small by nature, such as a price per call.
    #[must_use]
    pub fn may_be_small(mut self) -> Self {
        self.small_is_fine = true;
        self
    }

    /// The amount in base units; [`Change::Keep`] if the request has none, [`Change::Clear`] for `null`.
    ///
    /// # Errors
    /// 400 when both fields are given or the one given is not an amount, 422 `amount_small`.
    pub fn read(self, decimals: Decimals) -> Result<Change<TokenUnits>, ApiError> {
        let in_usdt = format!("{}_usdt", self.field);
        match (self.units, self.usdt) {
            (Change::Keep, Change::Keep) => Ok(Change::Keep),
            (Change::Clear, Change::Keep) | (Change::Keep, Change::Clear) => Ok(Change::Clear),
            (Change::Keep, Change::Set(text)) => {
                let amount = TokenUnits::from_decimal(&text, decimals);
                amount
                    .map(Change::Set)
                    .map_err(|error| ApiError::parameter(&in_usdt, decimal_problem(error, decimals)))
            }
            (Change::Set(text), Change::Keep) => {
                let units: TokenUnits = text.parse().map_err(|_| {
                    let problem = format!(
                        "must be a whole number of the payment token's base units; give USDT as `{in_usdt}`"
                    );
                    ApiError::parameter(self.field, problem)
                })?;
                if !self.small_is_fine && is_small(units, decimals) {
                    return Err(small(self.field, units, decimals));
                }
                Ok(Change::Set(units))
            }
            _ => {
                let problem = format!("and `{in_usdt}` are both given; give one of them");
                let mut error =
                    ApiError::bad_request("conflicting_parameter", format!("`{}` {problem}", self.field));
                error.param = Some(self.field.to_owned());
                Err(error)
            }
        }
    }

    /// An amount that has to be there.
    ///
    /// # Errors
    /// As [`AmountInput::read`], and 400 when it is missing or `null`.
    pub fn required(self, decimals: Decimals) -> Result<TokenUnits, ApiError> {
        let field = self.field;
        match self.read(decimals)? {
            Change::Set(units) => Ok(units),
            Change::Keep => Err(missing(field)),
            Change::Clear => Err(ApiError::parameter(field, "must not be null")),
        }
    }

    /// An optional amount that the ledger can count: whole nano-USDT. `null` is not an amount.
    ///
    /// # Errors
    /// As [`AmountInput::read`], and 400 for one that is too fine or too large.
    pub fn optional_usdt(self, decimals: Decimals) -> Result<Option<Usdt>, ApiError> {
        let field = self.field;
        let units = match self.read(decimals)? {
            Change::Set(units) => units,
            Change::Keep | Change::Clear => return Ok(None),
        };
        match Usdt::from_units(units, decimals) {
            Ok((amount, TokenUnits::ZERO)) => Ok(Some(amount)),
            Ok(_) => Err(ApiError::parameter(
                field,
                format!(
                    "{units} base units are {} USDT, and the smallest amount is 0.000000001 USDT; give USDT \
                     as `{field}_usdt`",
                    units.to_decimal(decimals)
                ),
            )),
            Err(_) => Err(ApiError::parameter(field, "is larger than any amount there is")),
        }
    }
}

/// The refusal of a request that has neither field.
pub fn missing(field: &'static str) -> ApiError {
    let mut error = ApiError::missing_parameter(field);
    error.message = format!(
        "`{field}` is missing: give `{field}_usdt` in USDT or `{field}` in base units, in the query or in a JSON \
         body"
    );
    error
}

fn decimal_problem(error: MoneyError, decimals: Decimals) -> String {
    match error {
        MoneyError::OutOfRange => "is larger than any amount there is".to_owned(),
        MoneyError::Form | MoneyError::Decimals => format!(
            "must be a decimal number of USDT such as 12.5, with at most {} digits after the point",
            decimals.digits()
        ),
    }
}

fn is_small(units: TokenUnits, decimals: Decimals) -> bool {
    let worth = Usdt::from_units(units, decimals);
    units != TokenUnits::ZERO && worth.is_ok_and(|(worth, _)| worth < SMALL)
}

fn small(field: &'static str, units: TokenUnits, decimals: Decimals) -> ApiError {
    let mut error = ApiError::transport(
        StatusCode::UNPROCESSABLE_ENTITY,
        "amount_small",
        format!(
            "`{field}` counts base units: {units} base units are {} USDT. For {units} USDT send \
             \"{field}_usdt\": \"{units}\"; for {units} base units add \"confirm_small\": true",
            units.to_decimal(decimals)
        ),
    );
    error.param = Some(field.to_owned());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eighteen() -> Decimals {
        Decimals::new(18).unwrap()
    }

    fn set(text: &str) -> Change<String> {
        Change::Set(text.to_owned())
    }

    fn amount(units: Change<String>, usdt: Change<String>) -> AmountInput {
        AmountInput::new("amount", units, usdt)
    }

    fn units(text: &str) -> Result<TokenUnits, ApiError> {
        amount(set(text), Change::Keep).required(eighteen())
    }

    #[test]
    fn usdt_and_base_units_give_the_same_amount() {
        let usdt = amount(Change::Keep, set("10.5")).required(eighteen()).unwrap();
        assert_eq!(usdt, units("10500000000000000000").unwrap());
        let six = Decimals::new(6).unwrap();
        let usdt = amount(Change::Keep, set("10.5")).required(six).unwrap();
        assert_eq!(usdt, TokenUnits::new(10_500_000));
    }

    #[test]
    fn small_base_units_are_refused_with_both_readings() {
        let refused = units("10").unwrap_err();
        assert_eq!((refused.status.as_u16(), &*refused.code), (422, "amount_small"));
        for part in [
            "10 base units are 0.00000000000000001 USDT",
            "\"amount_usdt\": \"10\"",
            "confirm_small",
        ] {
            assert!(refused.message.contains(part), "{refused:?}");
        }
        assert!(units("9999999999999999").is_err());
        assert_eq!(
            units("10000000000000000").unwrap(),
            TokenUnits::new(10_000_000_000_000_000)
        );
        assert_eq!(units("0").unwrap(), TokenUnits::ZERO);
        let confirmed = amount(set("10"), Change::Keep).confirmed(Some(true));
        assert_eq!(confirmed.required(eighteen()).unwrap(), TokenUnits::new(10));
        let denied = amount(set("10"), Change::Keep).confirmed(Some(false));
        assert!(denied.required(eighteen()).is_err());
        // In USDT there is nothing to mistake.
        let tiny = amount(Change::Keep, set("0.000000000000000001"));
        assert_eq!(tiny.required(eighteen()).unwrap(), TokenUnits::new(1));
    }

    #[test]
    fn both_fields_neither_and_what_is_not_an_amount_are_refused() {
        let code = |input: AmountInput| input.required(eighteen()).unwrap_err().code.to_string();
        assert_eq!(code(amount(set("1"), set("1"))), "conflicting_parameter");
        assert_eq!(
            code(amount(Change::Clear, Change::Clear)),
            "conflicting_parameter"
        );
        assert_eq!(code(amount(Change::Keep, Change::Keep)), "missing_parameter");
        assert_eq!(code(amount(Change::Clear, Change::Keep)), "invalid_parameter");
        for text in ["", "-1", "1.5", "1e18", "0x1", "9".repeat(60).as_str()] {
            assert_eq!(
                code(amount(set(text), Change::Keep)),
                "invalid_parameter",
                "{text}"
            );
        }
        for text in [
            "",
            "-1",
            "1e3",
            ".5",
            "1.",
            "0.0000000000000000001",
            "9".repeat(60).as_str(),
        ] {
            assert_eq!(
                code(amount(Change::Keep, set(text))),
                "invalid_parameter",
                "{text}"
            );
        }
    }

    #[test]
    fn a_price_may_be_small_and_is_whole_nano_usdt() {
        let price = |units, usdt| AmountInput::new("price_per_call", units, usdt).may_be_small();
        let read = |input: AmountInput| input.optional_usdt(eighteen());
        assert_eq!(
            read(price(set("1000000000"), Change::Keep)).unwrap(),
            Some(Usdt::from_nano(1))
        );
        assert_eq!(
            read(price(Change::Keep, set("0.05"))).unwrap(),
            Some(Usdt::from_nano(50_000_000))
        );
        assert_eq!(read(price(Change::Keep, Change::Keep)).unwrap(), None);
        let fine = read(price(set("5"), Change::Keep)).unwrap_err();
        assert!(
            fine.message
                .contains("5 base units are 0.000000000000000005 USDT"),
            "{fine:?}"
        );
    }
}
