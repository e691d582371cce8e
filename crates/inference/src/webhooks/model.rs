//! What a webhook is.

use super::WebhookError;
use haithe_kernel::{OrgId, OrgUid, ProjectId, ProjectUid, Timestamp, WalletAddress};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use url::Url;
use uuid::Uuid;

/// A webhook's identifier, drawn at random: part of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WebhookId(pub Uuid);

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message's number in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(pub i64);

/// A message as its sender names it: the SHA-256 of its `webhook-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKey(pub [u8; 32]);

impl EventKey {
    /// The key of a `webhook-id`.
    pub fn of(id: &str) -> Self {
        Self(Sha256::digest(id.as_bytes()).into())
    }
}

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// It is being answered.
    Answering,
    /// It was answered inline.
    Answered,
    /// Its answer waits for delivery.
    Waiting,
    /// Its answer was delivered.
    Delivered,
    /// Its answer was given up.
    Undelivered,
    /// It was cut off before its answer was kept.
    Lost,
}

impl MessageState {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answering => "answering",
            Self::Answered => "answered",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Lost => "lost",
        }
    }
}

/// A message as the webhook's managers see it: without what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: EventId,
    /// The sender's name for it, hashed.
    pub key: EventKey,
    /// What has become of it.
    pub state: MessageState,
    /// Tries to deliver its answer so far.
    pub attempts: u32,
    /// When it is delivered next.
    pub due_at: Option<Timestamp>,
    /// When it came.
    pub received_at: Timestamp,
}

/// A name for people: 1 to 64 characters, none of them control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookName(String);

impl WebhookName {
    /// Longest, in characters.
    pub const MOST_CHARS: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebhookName {
    type Err = WebhookError;
    fn from_str(text: &str) -> Result<Self, WebhookError> {
        let text = text.trim();
        let fits = (1..=Self::MOST_CHARS).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WebhookError::Name)
        }
    }
}

/// Where answers are delivered: `http` or `https`, without a user name. Whether it lies in a network
/// that may be called is decided at each delivery, when its name is resolved.
#[derive(Clone, PartialEq, Eq)]
pub struct DeliveryUrl(String);

impl DeliveryUrl {
    /// Longest, in bytes.
    pub const MOST_BYTES: usize = 2_048;

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An address may hold a credential in its query, so it is not printed.
impl fmt::Debug for DeliveryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryUrl(..)")
    }
}

impl FromStr for DeliveryUrl {
    type Err = WebhookError;
    fn from_str(text: &str) -> Result<Self, WebhookError> {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        });
        let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        match url {
            Some(url) if plain && url.as_str().len() <= Self::MOST_BYTES => Ok(Self(url.into())),
            _ => Err(WebhookError::Url),
        }
    }
}

/// A webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Public identifier.
    pub id: WebhookId,
    /// The project whose agent is asked.
    pub project: ProjectId,
    /// That project's public identifier.
    pub project_uid: ProjectUid,
    /// The organization that owns the project, and pays.
    pub org: OrgId,
    /// That organization's public identifier.
    pub org_uid: OrgUid,
    /// For people.
    pub name: WebhookName,
    /// For whom it acts.
    pub wallet: WalletAddress,
    /// Where answers go; `None` gives them inline.
    pub delivery_url: Option<DeliveryUrl>,
    /// Does it answer at all?
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its secret was made.
    pub rotated_at: Timestamp,
}

/// What to make.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on Webhook")]
pub struct NewWebhook {
    pub id: WebhookId,
    pub project: ProjectId,
    pub name: WebhookName,
    pub delivery_url: Option<DeliveryUrl>,
    pub secret: super::WebhookSecret,
}

/// What to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented on Webhook")]
pub struct WebhookChange {
    pub name: Option<WebhookName>,
    pub delivery_url: Option<Option<DeliveryUrl>>,
    pub enabled: Option<bool>,
}

impl fmt::Display for WebhookChange {
    /// What changes, for the audit; an address is not repeated there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(name) = &self.name {
            parts.push(format!("name={:?}", name.as_str()));
        }
        if let Some(url) = &self.delivery_url {
            parts.push(format!(
                "delivery_url={}",
                if url.is_some() { "set" } else { "null" }
            ));
        }
        if let Some(enabled) = self.enabled {
            parts.push(format!("enabled={enabled}"));
        }
        f.write_str(&parts.join(" "))
    }
}
