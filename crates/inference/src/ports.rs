//! What inference needs from outside.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use haithe_kernel::{Failure, Kind};
use std::fmt;

/// A request to a provider: the caller's own bytes, edited only where the gateway must.
#[derive(Clone)]
pub struct UpstreamRequest {
    /// The provider's key in the catalogue.
    pub provider: String,
    /// The body, with the provider's model name and the bound on output in it.
    pub body: Bytes,
    /// Whether an event stream is asked for.
    pub stream: bool,
    /// Haithe's id of the call, for the provider's logs and ours.
    pub request_id: String,
}

impl fmt::Debug for UpstreamRequest {
    /// Without the body: prompts are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamRequest")
            .field("provider", &self.provider)
            .field("bytes", &self.body.len())
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// A provider's successful answer.
pub enum UpstreamAnswer {
    /// One JSON document, complete.
    Json(Bytes),
    /// The raw bytes of an event stream (WHATWG server-sent events), as they arrive. Dropping it
    /// closes the connection, which stops the provider's work.
    Stream(BoxStream<'static, Result<Bytes, UpstreamError>>),
}

impl fmt::Debug for UpstreamAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(body) => write!(f, "Json({} bytes)", body.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// Why a provider gave no answer. Bodies of providers' errors are bounded and carry no key.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The provider refused the caller's request itself (400, 404, 413, 422 …). Passed on.
    #[error("{message}")]
    Refused {
        /// The provider's status.
        status: u16,
        /// The provider's message, cut to 2,000 characters.
        message: String,
        /// The provider's code.
        code: Option<String>,
        /// The provider's type.
        kind: Option<String>,
        /// The parameter it blames.
        param: Option<String>,
    },
    /// The provider limits us (429).
    #[error("the model's provider is limiting requests; try again later")]
    RateLimited {
        /// Its `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// The provider refuses our credentials (401, 403) or has no key: ours to mend, not the caller's.
    #[error("the model's provider is not available to this service at the moment")]
    Credentials,
    /// The provider is overloaded and says for how long (503 with `Retry-After`).
    #[error("the model's provider is overloaded; try again later")]
    Busy {
        /// Its `Retry-After`, in seconds.
        retry_after: u64,
    },
    /// The provider failed so often that it is left alone for now; it was not asked.
    #[error("the model's provider keeps failing and is given a pause; try again later")]
    Resting {
        /// Seconds until it is asked again.
        retry_after: u64,
    },
    /// No connection, a 5xx, or an answer that is no answer.
    #[error("the model's provider failed; try again")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No first byte, or nothing more, in time.
    #[error("the model's provider did not answer in time")]
    TimedOut,
}

impl Failure for UpstreamError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused { status: 404, .. } => Kind::NotFound,
            Self::Refused { status: 413, .. } => Kind::TooLarge,
            Self::Refused { status: 422, .. } => Kind::Unprocessable,
            Self::Refused { .. } => Kind::Invalid,
            Self::RateLimited { .. } => Kind::RateLimited,
            Self::Credentials | Self::Failed(_) => Kind::Upstream,
            Self::TimedOut => Kind::UpstreamTimeout,
            Self::Busy { .. } | Self::Resting { .. } => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "upstream_refused",
            Self::RateLimited { .. } => "upstream_rate_limited",
            Self::Credentials => "upstream_unavailable",
            Self::Failed(_) => "upstream_failed",
            Self::TimedOut => "upstream_timeout",
            Self::Busy { .. } => "upstream_overloaded",
            Self::Resting { .. } => "upstream_resting",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after } => Some(retry_after.unwrap_or(1)),
            Self::Busy { retry_after } | Self::Resting { retry_after } => Some(*retry_after),
            Self::Refused { .. } | Self::Credentials | Self::Failed(_) | Self::TimedOut => None,
        }
    }
}

/// A provider of chat models.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Sends the request once and returns when the answer is complete (JSON) or its first byte is
    /// here (stream). Dropping the future stops the provider's work. Never retries by itself.
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError>;
}

/// Counts tokens where a provider reports none, or where an upper bound is too coarse.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait TokenCounter: Send + Sync {
    /// Tokens of `text` for the model of this public name; near enough for an estimate.
    fn count(&self, model: &str, text: &str) -> u64;
}
