//! The address that a login names.

use super::{Accepted, Expected, LOGIN_REFUSED, Refused, UNREADABLE, Vector, text};
use haithe_tests::wallets::Wallet;
use serde_json::{Value, json};

type Spell = fn(&Wallet) -> Value;

fn digits(wallet: &Wallet) -> String {
    hex::encode(wallet.address())
}

const TABLE: &[(&str, Expected, Spell)] = &[
    ("lower case", Accepted, |w| json!(format!("0x{}", digits(w)))),
    ("upper case", Accepted, |w| {
        json!(format!("0x{}", digits(w).to_uppercase()))
    }),
    ("EIP-55", Accepted, |w| json!(w.wallet_address().checksummed())),
    ("without 0x", Accepted, |w| json!(digits(w))),
    ("0X in front", Accepted, |w| json!(format!("0X{}", digits(w)))),
    ("a wrong checksum", UNREADABLE, |w| {
        let inverted = |c: char| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        };
        let digits: String = w.wallet_address().checksummed()[2..]
            .chars()
            .map(inverted)
            .collect();
        json!(format!("0x{digits}"))
    }),
    ("39 digits", UNREADABLE, |w| {
        json!(format!("0x{}", &digits(w)[1..]))
    }),
    ("41 digits", UNREADABLE, |w| json!(format!("0x0{}", digits(w)))),
    ("a word of 32 bytes", UNREADABLE, |w| {
        json!(format!("0x{}{}", "0".repeat(24), digits(w)))
    }),
    ("a space after", UNREADABLE, |w| {
        json!(format!("0x{} ", digits(w)))
    }),
    ("a digit that is none", UNREADABLE, |w| {
        json!(format!("0xg{}", &digits(w)[1..]))
    }),
    ("a wide digit", UNREADABLE, |w| {
        json!(format!("0x\u{ff10}{}", &digits(w)[1..]))
    }),
    ("a name (ENS)", UNREADABLE, |_| json!("vitalik.eth")),
    ("CAIP-10", UNREADABLE, |w| {
        json!(format!("eip155:1:0x{}", digits(w)))
    }),
    ("empty", UNREADABLE, |_| json!("")),
    ("only 0x", UNREADABLE, |_| json!("0x")),
    ("null", Refused(400, "missing_parameter"), |_| Value::Null),
    ("a list", UNREADABLE, |w| json!([digits(w)])),
    ("the zero address", LOGIN_REFUSED, |_| {
        json!(format!("0x{}", "0".repeat(40)))
    }),
    ("another wallet", LOGIN_REFUSED, |_| {
        json!(Wallet::named("somebody else").address().to_string())
    }),
    ("one digit off", LOGIN_REFUSED, |w| {
        let digits = digits(w);
        let other = if digits.starts_with('0') { '1' } else { '0' };
        json!(format!("0x{other}{}", &digits[1..]))
    }),
];

pub fn vectors() -> Vec<Vector> {
    let each = TABLE.iter().map(|(name, expected, spell)| {
        Vector::new("address", *name, *expected, async move |desk| {
            let wallet = desk.wallet();
            let challenge = desk.challenge(&wallet).await;
            let signature = wallet.sign(text(&challenge));
            desk.log_in(&json!({"address": spell(&wallet), "signature": signature}))
                .await
        })
    });
    each.collect()
}
