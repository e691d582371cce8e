//! The text of a challenge: "Sign-In with Ethereum" (EIP-4361).

use haithe_kernel::{Timestamp, WalletAddress};
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

/// The parts of an EIP-4361 message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "EIP-4361's terms")]
pub struct SiweMessage {
    pub domain: String,
    pub address: WalletAddress,
    pub statement: &'static str,
    pub uri: String,
    pub version: &'static str,
    pub chain_id: u64,
    pub nonce: String,
    pub issued_at: Timestamp,
    pub expiration_time: Timestamp,
}

/// What people read above the technical lines.
pub const STATEMENT: &str = "Sign in to Haithe. This costs nothing and sends no transaction.";

impl SiweMessage {
    /// The exact text to sign.
    pub fn text(&self) -> String {
        format!(
            "{domain} wants you to sign in with your Ethereum account:\n{address}\n\n{statement}\n\n\
             URI: {uri}\nVersion: {version}\nChain ID: {chain_id}\nNonce: {nonce}\n\
             Issued At: {issued_at}\nExpiration Time: {expiration_time}",
            domain = self.domain,
            address = self.address.checksummed(),
            statement = self.statement,
            uri = self.uri,
            version = self.version,
            chain_id = self.chain_id,
            nonce = self.nonce,
            issued_at = self.issued_at,
            expiration_time = self.expiration_time,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_lines_of_eip_4361_in_order() {
        let message = SiweMessage {
            domain: "app.example".into(),
            address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap(),
            statement: STATEMENT,
            uri: "https://app.example/login".into(),
            version: "1",
            chain_id: 1,
            nonce: "0123456789abcdef".into(),
            issued_at: Timestamp::from_seconds(1_700_000_000),
            expiration_time: Timestamp::from_seconds(1_700_000_300),
        };
        let expected = "app.example wants you to sign in with your Ethereum account:\n\
            0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\n\n\
            Sign in to Haithe. This costs nothing and sends no transaction.\n\n\
            URI: https://app.example/login\nVersion: 1\nChain ID: 1\nNonce: 0123456789abcdef\n\
            Issued At: 2023-11-14T22:13:20Z\nExpiration Time: 2023-11-14T22:18:20Z";
        assert_eq!(message.text(), expected);
    }
}
