//! Challenges: what a wallet signs to prove itself (EIP-4361 text, EIP-191 signature).

use haithe_kernel::{Timestamp, WalletAddress};
use std::{fmt, net::IpAddr};

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

/// A challenge as it is stored: single use, bound to one address.
#[derive(Debug, Clone)]
pub struct StoredChallenge {
    /// The wallet that was challenged.
    pub address: WalletAddress,
    /// What its signature must cover.
    pub digest: MessageDigest,
    /// Who asked; a flooder's own challenges are evicted first.
    pub ip: Option<IpAddr>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// From when on it is worthless.
    pub expires_at: Timestamp,
}

/// At most this many live challenges per address.
pub const LIVE_PER_ADDRESS: u32 = 8;
/// At most this many live challenges per address and IP.
pub const LIVE_PER_ADDRESS_AND_IP: u32 = 3;
