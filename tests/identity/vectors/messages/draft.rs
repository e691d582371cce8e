//! A text in the making.

use serde_json::Value;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// The lines of a message by what they are, so that a vector can spoil one.
#[derive(Clone)]
pub struct Draft {
    pub preamble: String,
    pub address: String,
    pub statement: Option<String>,
    pub uri: String,
    pub version: String,
    pub chain_id: String,
    pub nonce: String,
    pub issued_at: String,
    pub rest: Vec<String>,
}

impl Draft {
    /// The right text in the client's own words.
    pub fn of(challenge: &Value) -> Self {
        let part = |name: &str| challenge["siwe"][name].as_str().unwrap().to_owned();
        Self {
            preamble: format!(
                "{} wants you to sign in with your Ethereum account:",
                part("domain")
            ),
            address: part("address"),
            statement: Some("Our own words, and a link: https://example.com/tos".into()),
            uri: format!("URI: {}", part("uri")),
            version: "Version: 1".into(),
            chain_id: format!("Chain ID: {}", challenge["siwe"]["chain_id"]),
            nonce: format!("Nonce: {}", part("nonce")),
            issued_at: format!("Issued At: {}", part("issued_at")),
            rest: vec![format!("Expiration Time: {}", part("expiration_time"))],
        }
    }

    pub fn text(&self) -> String {
        let mut lines = vec![&*self.preamble, &self.address, ""];
        lines.extend(self.statement.as_deref());
        lines.extend([
            "",
            &self.uri,
            &self.version,
            &self.chain_id,
            &self.nonce,
            &self.issued_at,
        ]);
        lines.extend(self.rest.iter().map(String::as_str));
        lines.join("\n")
    }

    pub fn swap(line: &mut String, from: &str, to: &str) {
        assert!(line.contains(from), "{line} has {from}");
        *line = line.replacen(from, to, 1);
    }
}

/// This many seconds after the time that the challenge names.
pub fn at(challenge: &Value, part: &str, seconds: i64) -> String {
    let text = challenge["siwe"][part].as_str().unwrap();
    let time = OffsetDateTime::parse(text, &Rfc3339).unwrap() + Duration::seconds(seconds);
    time.format(&Rfc3339).unwrap()
}

/// What is done to it, with the challenge at hand.
pub type Spoil = fn(&mut Draft, &Value);
