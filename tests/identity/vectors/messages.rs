//! Texts that a client composed itself (EIP-4361), each field right and wrong.

mod draft;
mod fields;

use super::{Accepted, UNREADABLE, Vector};
use draft::Draft;
use fields::FIELDS;
use haithe_tests::wallets::Wallet;
use serde_json::json;

type Rewrite = fn(String) -> String;

/// What is done to the whole text.
const TEXTS: &[(&str, Rewrite)] = &[
    ("nothing", |_| String::new()),
    ("no message", |_| "hello".into()),
    ("line breaks of Windows", |text| text.replace('\n', "\r\n")),
    ("line breaks of old", |text| text.replace('\n', "\r")),
    ("a byte order mark", |text| format!("\u{feff}{text}")),
    ("an empty line before", |text| format!("\n{text}")),
    ("a space after", |text| format!("{text} ")),
    ("a zero after", |text| format!("{text}\0")),
    ("a second message after", |text| format!("{text}\n{text}")),
    ("half of it", |text| text[..text.len() / 2].to_owned()),
    ("all in one line", |text| text.replace('\n', " ")),
    ("in lower case", |text| text.to_lowercase()),
    ("as JSON", |text| json!({"message": text}).to_string()),
];

pub fn vectors() -> Vec<Vector> {
    let fields = FIELDS.iter().map(|(name, expected, spoil)| {
        Vector::new("message", *name, *expected, async move |desk| {
            let wallet = desk.wallet();
            let challenge = desk.challenge(&wallet).await;
            let mut draft = Draft::of(&challenge);
            spoil(&mut draft, &challenge);
            let text = draft.text();
            let signature = wallet.sign(&text);
            desk.log_in(&json!({"message": text, "signature": signature}))
                .await
        })
    });
    let texts = TEXTS.iter().map(|(name, spoil)| {
        Vector::new("text", *name, UNREADABLE, async move |desk| {
            let wallet = desk.wallet();
            let challenge = desk.challenge(&wallet).await;
            let text = spoil(Draft::of(&challenge).text());
            let signature = wallet.sign(&text);
            desk.log_in(&json!({"message": text, "signature": signature}))
                .await
        })
    });
    // The fourth is the statement, which may be absent.
    let lines = (0..10).filter(|line| *line != 3).map(|line| {
        Vector::new(
            "text",
            format!("without line {}", line + 1),
            UNREADABLE,
            async move |desk| {
                let wallet = desk.wallet();
                let challenge = desk.challenge(&wallet).await;
                let text = Draft::of(&challenge).text();
                let mut left: Vec<&str> = text.lines().collect();
                left.remove(line);
                let text = left.join("\n");
                let signature = wallet.sign(&text);
                desk.log_in(&json!({"message": text, "signature": signature}))
                    .await
            },
        )
    });
    fields.chain(texts).chain(lines).chain(beside()).collect()
}

/// A message beside an address, and in the query.
fn beside() -> [Vector; 3] {
    let beside = |name, expected, own: bool| {
        Vector::new("message", name, expected, async move |desk| {
            let wallet = desk.wallet();
            let challenge = desk.challenge(&wallet).await;
            let text = Draft::of(&challenge).text();
            let named = if own {
                wallet.clone()
            } else {
                Wallet::named("somebody else")
            };
            let address = named.address().to_string();
            let signature = wallet.sign(&text);
            let body = json!({"message": text, "address": address, "signature": signature});
            desk.log_in(&body).await
        })
    };
    [
        beside("beside its own address", Accepted, true),
        beside("beside another address", UNREADABLE, false),
        Vector::new("message", "in the query", Accepted, async |desk| {
            let wallet = desk.wallet();
            let challenge = desk.challenge(&wallet).await;
            let text = Draft::of(&challenge).text();
            let signature = wallet.sign(&text);
            let ask = desk.client.post("/v1/auth/login");
            ask.query(&[("message", &text), ("signature", &signature)])
                .send()
                .await
        }),
    ]
}
