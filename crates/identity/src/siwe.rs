//! The text of a challenge: "Sign-In with Ethereum" (EIP-4361), written, read and checked.
//!
//! A client may sign the text as it was given, or compose its own from the parts: its own statement,
//! a `Not Before`, a `Request ID`, `Resources`. [`SiweMessage`]'s `FromStr` reads exactly what the
//! EIP's grammar allows, and [`SignIn::check`] holds every field against the challenge.

mod check;
mod grammar;
mod rfc;
#[cfg(test)]
mod tests;

pub use check::Mismatch;
pub use grammar::SiweError;

use haithe_kernel::{Timestamp, WalletAddress};
use std::str::FromStr;
use url::Url;

/// A site that people sign in from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// RFC 3986 authority, as a wallet shows it: `app.haithe.example`.
    pub domain: String,
    /// The page that asks: `https://app.haithe.example/login`.
    pub uri: Url,
    /// The browser's `Origin` that selects this site: `https://app.haithe.example`.
    pub origin: String,
}

/// Where people may sign in, and to which chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The site for clients that send no `Origin`.
    pub first: Site,
    /// Every other site.
    pub others: Vec<Site>,
    /// EIP-155.
    pub chain_id: u64,
}

impl SignIn {
    /// The site of this `Origin`, if it is ours; the first one when there is none.
    pub fn site(&self, origin: Option<&str>) -> Option<&Site> {
        let Some(origin) = origin else {
            return Some(&self.first);
        };
        std::iter::once(&self.first)
            .chain(&self.others)
            .find(|site| site.origin == origin)
    }
}

/// The parts of an EIP-4361 message. Its version is always 1, the only one there is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "EIP-4361's terms")]
pub struct SiweMessage {
    pub scheme: Option<String>,
    pub domain: String,
    pub address: WalletAddress,
    pub statement: Option<String>,
    pub uri: String,
    pub chain_id: u64,
    pub nonce: String,
    pub issued_at: Timestamp,
    pub expiration_time: Option<Timestamp>,
    pub not_before: Option<Timestamp>,
    pub request_id: Option<String>,
    pub resources: Option<Vec<String>>,
}

/// What people read above the technical lines.
pub const STATEMENT: &str = "Sign in to Haithe. This costs nothing and sends no transaction.";

/// `Version:` of the EIP.
pub const VERSION: &str = "1";

impl SiweMessage {
    /// The exact text to sign.
    pub fn text(&self) -> String {
        let scheme = self.scheme.as_ref().map(|scheme| format!("{scheme}://"));
        let mut text = format!(
            "{scheme}{domain} wants you to sign in with your Ethereum account:\n{address}\n\n{statement}\n\
             URI: {uri}\nVersion: {VERSION}\nChain ID: {chain_id}\nNonce: {nonce}\nIssued At: {issued_at}",
            scheme = scheme.unwrap_or_default(),
            domain = self.domain,
            address = self.address.checksummed(),
            statement = self
                .statement
                .as_ref()
                .map(|statement| format!("{statement}\n"))
                .unwrap_or_default(),
            uri = self.uri,
            chain_id = self.chain_id,
            nonce = self.nonce,
            issued_at = self.issued_at,
        );
        let mut line = |label: &str, value: Option<String>| {
            if let Some(value) = value {
                text.push('\n');
                text.push_str(label);
                text.push_str(&value);
            }
        };
        line("Expiration Time: ", self.expiration_time.map(Timestamp::rfc3339));
        line("Not Before: ", self.not_before.map(Timestamp::rfc3339));
        line("Request ID: ", self.request_id.clone());
        if let Some(resources) = &self.resources {
            line("Resources:", Some(String::new()));
            for resource in resources {
                line("- ", Some(resource.clone()));
            }
        }
        text
    }
}

/// A message as it was signed: its bytes, which the signature covers, and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    text: String,
    parts: SiweMessage,
}

impl SignedMessage {
    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub const fn parts(&self) -> &SiweMessage {
        &self.parts
    }
}

impl FromStr for SignedMessage {
    type Err = SiweError;
    fn from_str(text: &str) -> Result<Self, SiweError> {
        Ok(Self {
            parts: text.parse()?,
            text: text.to_owned(),
        })
    }
}
