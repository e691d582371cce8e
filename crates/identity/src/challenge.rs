//! Challenges: what a wallet signs to prove itself (EIP-4361 text, EIP-191 signature).

use haithe_kernel::{ClientNetwork, Timestamp, WalletAddress};
use sha2::{Digest, Sha256};
use std::fmt;

/// The EIP-191 hash of a challenge's text, which is what the wallet's signature covers.
///
/// Stores keep this instead of the text: it verifies a signature and gives the nonce away to nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageDigest(pub [u8; 32]);

impl fmt::Debug for MessageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageDigest(..)")
    }
}

/// SHA-256 of a challenge's nonce: finds the challenge that a client's own text answers.
///
/// The nonce has 128 random bits, so its hash gives it away to nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NonceHash(pub [u8; 32]);

impl NonceHash {
    /// The hash of this nonce.
    pub fn of(nonce: &str) -> Self {
        Self(Sha256::digest(nonce.as_bytes()).into())
    }
}

impl fmt::Debug for NonceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceHash(..)")
    }
}

/// A challenge as it is stored: single use, bound to one address and one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChallenge {
    /// The wallet that was challenged.
    pub address: WalletAddress,
    /// What its signature must cover, when it signs the text as it was given.
    pub digest: MessageDigest,
    /// What a text of the client's own must name.
    pub nonce: NonceHash,
    /// The `Origin` of the site it was issued for.
    pub site: String,
    /// The client that requested it; a flooder's own challenges are evicted first.
    pub network: Option<ClientNetwork>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// From when on it is worthless.
    pub expires_at: Timestamp,
}

/// At most this many live challenges per address.
pub const LIVE_PER_ADDRESS: u32 = 8;
/// At most this many live challenges per address and client network.
pub const LIVE_PER_ADDRESS_AND_NETWORK: u32 = 3;
