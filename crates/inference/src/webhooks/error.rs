//! Rules about webhooks that can be broken.

use super::{DeliveryUrl, WebhookName, signature::TOLERANCE_SECONDS};
use crate::error::CompletionError;
use haithe_kernel::{Failure, Kind, StoreError};
use haithe_orgs::{ContextError, OrgError};

/// A broken rule, fit for a stranger.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Missing, or another project's: both answer alike.
    #[error("no such webhook")]
    NotFound,
    /// A name that cannot be shown.
    #[error(
        "a webhook's name has 1 to {} characters and no control characters",
        WebhookName::MOST_CHARS
    )]
    Name,
    /// An address that answers cannot be delivered to.
    #[error(
        "a delivery address is http:// or https://, without user name and fragment, of at most {} bytes",
        DeliveryUrl::MOST_BYTES
    )]
    Url,
    /// A change without content.
    #[error("nothing to change: give at least one of the fields")]
    NothingToChange,
    /// The project has as many as it may.
    #[error("this project has {most} webhooks, which is the most; delete one first")]
    TooMany {
        /// Webhooks allowed.
        most: u32,
    },
    /// A header that is absent or malformed.
    #[error("{0}; sign the message as Standard Webhooks says")]
    Unsigned(&'static str),
    /// The message is of another time.
    #[error("webhook-timestamp is more than {TOLERANCE_SECONDS} seconds from now; sign each try anew")]
    Stale,
    /// No such webhook, or another secret signed: both answer alike.
    #[error("there is no such webhook, or its secret did not sign this message")]
    Refused,
    /// Turned off by the project.
    #[error("this webhook is turned off")]
    Disabled,
    /// A payload that is no text.
    #[error("the payload must be text in UTF-8, and not empty")]
    Payload,
    /// The same message is being answered.
    #[error("this webhook-id is being answered; try again later")]
    InFlight,
    /// The same message was cut off, and may have been charged.
    #[error(
        "the answer to this webhook-id was lost, and it may have been charged; look at the receipts, and send it under a new webhook-id"
    )]
    Lost,
    /// The same message was answered with more than is kept.
    #[error("this webhook-id was answered before, and the answer was too large to be kept")]
    Answered,
    /// The wallet that the webhook acts for may not call, or not from here.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The rule table.
    #[error(transparent)]
    Org(#[from] OrgError),
    /// The model did not answer.
    #[error(transparent)]
    Completion(#[from] CompletionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for WebhookError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Name | Self::Url | Self::NothingToChange | Self::Payload => Kind::Invalid,
            Self::TooMany { .. } | Self::InFlight | Self::Lost | Self::Answered => Kind::Conflict,
            Self::Unsigned(_) | Self::Stale | Self::Refused => Kind::Unauthenticated,
            Self::Disabled => Kind::Forbidden,
            Self::Context(error) => error.kind(),
            Self::Org(error) => error.kind(),
            Self::Completion(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Name => "invalid_name",
            Self::Url => "invalid_url",
            Self::NothingToChange => "nothing_to_change",
            Self::TooMany { .. } => "too_many_webhooks",
            Self::Unsigned(_) => "webhook_unsigned",
            Self::Stale => "webhook_stale",
            Self::Refused => "webhook_refused",
            Self::Disabled => "webhook_disabled",
            Self::Payload => "invalid_payload",
            Self::InFlight => "webhook_in_flight",
            Self::Lost => "webhook_answer_lost",
            Self::Answered => "webhook_answered",
            Self::Context(error) => error.code(),
            Self::Org(error) => error.code(),
            Self::Completion(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::InFlight => Some(5),
            Self::Org(error) => error.retry_after(),
            Self::Completion(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}
