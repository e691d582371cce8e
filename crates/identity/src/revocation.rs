//! Use case: revoke everything that was handed out before a time.
//!
//! A restored backup knows nothing of revocations after it was made: keys and sessions that were
//! revoked since then work again. The operator revokes all that are older than the restore.

use crate::ports::{ApiKeyStore, SessionStore};
use haithe_kernel::{StoreError, Timestamp};

/// What was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedBefore {
    /// API keys.
    pub api_keys: u64,
    /// Sessions.
    pub sessions: u64,
}

/// Revokes every API key and every session of every wallet that was issued before `before`. Repeating
/// it changes nothing. Credentials in a running server's memory are not affected: no server may run.
///
/// # Errors
/// The stores'; repeating it is safe.
pub async fn revoke_before(
    keys: &dyn ApiKeyStore,
    sessions: &dyn SessionStore,
    before: Timestamp,
    now: Timestamp,
) -> Result<RevokedBefore, StoreError> {
    Ok(RevokedBefore {
        api_keys: keys.revoke_issued_before(before, now).await?,
        sessions: sessions.revoke_opened_before(before).await?,
    })
}
