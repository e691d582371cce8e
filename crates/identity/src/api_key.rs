//! API keys: `sk-{address}.{nonce}.{signature}`, verifiable from the key alone, authorized by a row.

use haithe_kernel::{OrgId, ProjectId, Timestamp, Usdt, WalletAddress};
use std::{fmt, str::FromStr};
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
    /// Only these families of routes.
    pub routes: Option<Vec<RouteFamily>>,
}

impl KeyScope {
    /// Whether a key of this scope may ask a route of this family. What belongs to no family is open
    /// to keys without such a restriction only.
    pub fn allows(&self, route: Option<RouteFamily>) -> bool {
        match (&self.routes, route) {
            (None, _) => true,
            (Some(routes), Some(route)) => routes.contains(&route),
            (Some(_), None) => false,
        }
    }
}

/// The families of routes under `/v1beta` that a key can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteFamily {
    /// Chat completions.
    ChatCompletions,
    /// The list of models.
    Models,
    /// Embeddings.
    Embeddings,
    /// Conversations and their messages.
    Conversations,
    /// Running webhooks.
    Webhooks,
}

impl RouteFamily {
    /// Every family.
    pub const ALL: [Self; 5] = [
        Self::ChatCompletions,
        Self::Models,
        Self::Embeddings,
        Self::Conversations,
        Self::Webhooks,
    ];

    /// Its stable name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat.completions",
            Self::Models => "models",
            Self::Embeddings => "embeddings",
            Self::Conversations => "conversations",
            Self::Webhooks => "webhooks",
        }
    }
}

impl fmt::Display for RouteFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Not the name of a family of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be chat.completions, models, embeddings, conversations or webhooks")]
pub struct UnknownRoute;

impl FromStr for RouteFamily {
    type Err = UnknownRoute;
    fn from_str(word: &str) -> Result<Self, UnknownRoute> {
        let known = Self::ALL.into_iter().find(|family| family.word() == word);
        known.ok_or(UnknownRoute)
    }
}

/// The span over which a budget is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetWindow {
    /// A UTC day.
    Day,
    /// A UTC calendar month.
    Month,
    /// The key's whole life, rotations included.
    Total,
}

impl BudgetWindow {
    /// Its stable name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }
}

/// Not the name of a budget's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be day, month or total")]
pub struct UnknownWindow;

impl FromStr for BudgetWindow {
    type Err = UnknownWindow;
    fn from_str(word: &str) -> Result<Self, UnknownWindow> {
        [Self::Day, Self::Month, Self::Total]
            .into_iter()
            .find(|window| window.word() == word)
            .ok_or(UnknownWindow)
    }
}

/// How much a key may spend in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyBudget {
    /// At most this much.
    pub limit: Usdt,
    /// Per window.
    pub window: BudgetWindow,
}

impl KeyBudget {
    /// The budget that lets a key spend the least. Of equal limits the longer window is tighter.
    pub fn tightest(budgets: impl IntoIterator<Item = Self>) -> Option<Self> {
        let rank = |budget: &Self| {
            let window = match budget.window {
                BudgetWindow::Total => 0,
                BudgetWindow::Month => 1,
                BudgetWindow::Day => 2,
            };
            (budget.limit, window)
        };
        budgets.into_iter().min_by_key(rank)
    }
}

/// `12.5/day`
impl fmt::Display for KeyBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.limit, self.window.word())
    }
}

/// A key's authority, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl ApiKey {
    /// Whether it opens anything at `now`: neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// What of a key is secret or follows from it.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "documented on ApiKey")]
pub struct KeySecret {
    pub nonce: Uuid,
    pub hash: KeyHash,
    pub issued_at: Timestamp,
}

/// A key with a new secret.
#[derive(Debug, Clone)]
pub struct Rotated {
    /// The key now.
    pub key: ApiKey,
    /// The secret that is dead.
    pub old: KeyHash,
}

/// Which of a wallet's keys are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only those that are live at this time, or only those that are not.
    pub live: Option<(bool, Timestamp)>,
    /// Only those with this text in their name, in any case of ASCII letters.
    pub text: Option<String>,
}

/// What can be changed about a key. Its scope cannot: a program that holds a key relies on what it
/// opens, and a wider one deserves a new secret. `None` leaves a field, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented on ApiKey")]
pub struct KeyChange {
    pub name: Option<String>,
    pub expires_at: Option<Option<Timestamp>>,
    pub budget: Option<Option<KeyBudget>>,
    pub requests_per_minute: Option<Option<u32>>,
    pub tokens_per_minute: Option<Option<u32>>,
}

impl KeyChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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
