//! API keys: `sk-{address}.{nonce}.{signature}`, verifiable from the key alone, authorized by a row.

use haithe_kernel::{OrgId, ProjectId, Timestamp, Usdt, WalletAddress};
use std::fmt;
use uuid::Uuid;

/// SHA-256 of a whole API key; the key itself is stored nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// A stored key's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyId(pub i64);

/// What a key may be used for; `None` means no restriction of that sort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyScope {
    /// Only as this organization.
    pub org: Option<OrgId>,
    /// Only as this project; such a key needs no context headers.
    pub project: Option<ProjectId>,
    /// Only these model names.
    pub models: Option<Vec<String>>,
}

/// The span over which a budget is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetWindow {
    /// A UTC day.
    Day,
    /// A UTC calendar month.
    Month,
    /// The key's whole life.
    Total,
}

/// How much a key may spend in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyBudget {
    /// At most this much.
    pub limit: Usdt,
    /// Per window.
    pub window: BudgetWindow,
}

/// A key's authority, as stored.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The row's number.
    pub id: ApiKeyId,
    /// The wallet that owns the key.
    pub address: WalletAddress,
    /// The UUIDv7 in the key; its time is `issued_at`.
    pub nonce: Uuid,
    /// Hash of the whole key.
    pub hash: KeyHash,
    /// The owner's name for it.
    pub name: String,
    /// The wallet's one default key (`GET /v1/me/api-key`)?
    pub is_default: bool,
    /// What it may be used for.
    pub scope: KeyScope,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// What it may spend.
    pub budget: Option<KeyBudget>,
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u32>,
    /// When it was made, to the second.
    pub issued_at: Timestamp,
    /// When it last authorized a call, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, for ever.
    pub revoked_at: Option<Timestamp>,
}

/// A key to store. The fields mean what they mean in [`ApiKey`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on ApiKey")]
pub struct NewApiKey {
    pub address: WalletAddress,
    pub nonce: Uuid,
    pub hash: KeyHash,
    pub name: String,
    pub is_default: bool,
    pub scope: KeyScope,
    pub expires_at: Option<Timestamp>,
    pub budget: Option<KeyBudget>,
    pub requests_per_minute: Option<u32>,
    pub tokens_per_minute: Option<u32>,
    pub issued_at: Timestamp,
}
