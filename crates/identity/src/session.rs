//! Sessions: one row per login, named by the hash of the token's `jti`.

use haithe_kernel::{Timestamp, WalletAddress};
use std::{fmt, net::IpAddr};

/// SHA-256 of a token's `jti`. The token itself is stored nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 32]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// A login that has not been revoked.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The wallet that logged in.
    pub address: WalletAddress,
    /// Where from, as a trusted proxy or the socket says.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`, cut to 256 characters.
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When its token expires.
    pub expires_at: Timestamp,
}

/// A wallet that has logged in at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The wallet.
    pub address: WalletAddress,
    /// First login.
    pub created_at: Timestamp,
}
