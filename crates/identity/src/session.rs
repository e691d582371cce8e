//! Sessions: one row per login, named by the hash of the token's `jti`.

use haithe_kernel::{ClientIp, Timestamp, WalletAddress};
use std::{fmt, str::FromStr};

/// SHA-256 of a token's `jti`. The token itself is stored nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 32]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// 64 hexadecimal digits. A session's name opens nothing: it is the hash of what does.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Not a session's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a session's id: 64 hexadecimal digits in lower case")]
pub struct SessionIdError;

impl FromStr for SessionId {
    type Err = SessionIdError;
    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SessionIdError)?;
        let id = Self(bytes);
        // One name, one spelling.
        (id.to_string() == text).then_some(id).ok_or(SessionIdError)
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
    pub ip: Option<ClientIp>,
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
