//! What the security log (`haithe::security`) is told: who did what to somebody's access, from where,
//! and how it ended. Every event has the same fields, and no field takes a credential.

use super::extract::Client;
use haithe_identity::{api_key::ApiKeyId, session::SessionId};
use haithe_kernel::WalletAddress;
use std::fmt;

/// Longest `User-Agent` written, in characters.
const USER_AGENT_CHARS: usize = 256;

/// What happened. A published name keeps its meaning: alarms hang on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// More challenges than can be of use: older ones had to make way.
    ChallengeExcess,
    /// A wallet proved itself.
    LoginOk,
    /// A login was refused.
    LoginRefused,
    /// A session ended itself.
    Logout,
    /// A session was ended by another, or several were.
    SessionRevoked,
    /// An API key was made.
    KeyCreated,
    /// An API key's name, expiry, budget or rates were changed.
    KeyChanged,
    /// An API key got a new secret.
    KeyRotated,
    /// An API key was revoked.
    KeyRevoked,
    /// What came as an API key is none that is live, or was used where none is accepted.
    KeyRefused,
    /// An API key was used for what it is not bound to.
    KeyOutOfScope,
    /// The wallet's default key was made.
    DefaultKeyCreated,
    /// The wallet's default key was revoked.
    DefaultKeyDisabled,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Self::ChallengeExcess => "challenge_excess",
            Self::LoginOk | Self::LoginRefused => "login",
            Self::Logout => "logout",
            Self::SessionRevoked => "session_revoked",
            Self::KeyCreated => "key_created",
            Self::KeyChanged => "key_changed",
            Self::KeyRotated => "key_rotated",
            Self::KeyRevoked => "key_revoked",
            Self::KeyRefused => "key_used",
            Self::KeyOutOfScope => "key_scope",
            Self::DefaultKeyCreated => "default_key_created",
            Self::DefaultKeyDisabled => "default_key_disabled",
        }
    }

    const fn outcome(self) -> &'static str {
        match self {
            Self::ChallengeExcess | Self::LoginRefused | Self::KeyRefused | Self::KeyOutOfScope => "refused",
            Self::LoginOk
            | Self::Logout
            | Self::SessionRevoked
            | Self::KeyCreated
            | Self::KeyChanged
            | Self::KeyRotated
            | Self::KeyRevoked
            | Self::DefaultKeyCreated
            | Self::DefaultKeyDisabled => "ok",
        }
    }
}

/// One line of the security log in the making.
#[must_use = "it is written by `log`"]
pub struct Line<'c> {
    event: Event,
    client: &'c Client,
    wallet: Option<WalletAddress>,
    key: Option<ApiKeyId>,
    session: Option<SessionId>,
    count: Option<u64>,
    reason: Option<String>,
}

impl Client {
    /// Begins a line about what this client did.
    pub const fn did(&self, event: Event) -> Line<'_> {
        Line {
            event,
            client: self,
            wallet: None,
            key: None,
            session: None,
            count: None,
            reason: None,
        }
    }
}

impl Line<'_> {
    /// Whose access it is about, as far as that was established or claimed.
    pub const fn wallet(mut self, wallet: WalletAddress) -> Self {
        self.wallet = Some(wallet);
        self
    }

    /// Which key, by its number.
    pub const fn key(mut self, key: ApiKeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// Which session, by its public name.
    pub const fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// How many.
    pub const fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Why, in words that hold no credential. More than callers are told.
    pub fn because(mut self, reason: impl fmt::Display) -> Self {
        self.reason = Some(reason.to_string());
        self
    }

    /// Writes it.
    pub fn log(self) {
        let agent = self.client.user_agent.as_ref();
        let agent: Option<String> = agent.map(|agent| agent.chars().take(USER_AGENT_CHARS).collect());
        tracing::info!(
            target: "haithe::security",
            event = self.event.name(),
            outcome = self.event.outcome(),
            wallet = self.wallet.as_ref().map(tracing::field::display),
            key.id = self.key.map(|key| key.0),
            session.id = self.session.as_ref().map(tracing::field::display),
            count = self.count,
            reason = self.reason.as_deref(),
            ip = self.client.ip.as_ref().map(tracing::field::display),
            network = self.client.ip.map(|ip| tracing::field::display(ip.network())),
            user_agent = agent.as_ref().map(tracing::field::debug),
            request_id = self.client.request_id.as_ref().map(|id| id.as_str()),
            "security event"
        );
    }
}
