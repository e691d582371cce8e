//! What inference needs from outside.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use haithe_billing::capture::{CallOutcome, TokenUsage};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, Failure, Kind, MonotonicTime, OrgId, ProjectId, Usdt, WalletAddress};
use std::{fmt, sync::Arc, time::Duration};

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Endpoint {
    /// A chat completion.
    #[default]
    Chat,
    /// Embeddings, never streamed.
    Embeddings,
}

/// A request to a provider: the caller's own bytes, edited only where the gateway must.
#[derive(Clone)]
pub struct UpstreamRequest {
    /// The provider's key in the catalogue.
    pub provider: String,
    /// What is asked for.
    pub endpoint: Endpoint,
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
///
/// What a provider says may quote what it was asked: only the caller hears it. `Debug`, and so the
/// log, keeps it to itself.
#[derive(thiserror::Error)]
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
    /// The answer is complete and larger than what is read of one. The request caused that, not the
    /// provider.
    #[error("the model's answer is larger than {limit} bytes; ask for less in one request")]
    TooLarge {
        /// Bytes that are read of an answer.
        limit: usize,
    },
}

impl fmt::Debug for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, message, .. } => {
                write!(f, "Refused(status {status}, {} bytes of reasons)", message.len())
            }
            Self::RateLimited { retry_after } => write!(f, "RateLimited({retry_after:?})"),
            Self::Credentials => f.write_str("Credentials"),
            Self::Busy { retry_after } => write!(f, "Busy({retry_after})"),
            Self::Resting { retry_after } => write!(f, "Resting({retry_after})"),
            Self::Failed(source) => write!(f, "Failed({source:?})"),
            Self::TimedOut => f.write_str("TimedOut"),
            Self::TooLarge { limit } => write!(f, "TooLarge({limit})"),
        }
    }
}

impl Failure for UpstreamError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused { status: 404, .. } => Kind::NotFound,
            Self::Refused { status: 413, .. } => Kind::TooLarge,
            Self::Refused { status: 422, .. } | Self::TooLarge { .. } => Kind::Unprocessable,
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
            Self::TooLarge { .. } => "upstream_answer_too_large",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            // A provider may say 0, which would have our callers back at once.
            Self::RateLimited { retry_after } => Some(retry_after.unwrap_or(1).max(1)),
            Self::Busy { retry_after } | Self::Resting { retry_after } => Some((*retry_after).max(1)),
            Self::Refused { .. }
            | Self::Credentials
            | Self::Failed(_)
            | Self::TimedOut
            | Self::TooLarge { .. } => None,
        }
    }
}

/// A provider of chat models.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Sends the request once and returns when the answer is complete (JSON) or its head is here
    /// with a status of success (stream): from then on the provider counts the input. The first bytes
    /// of a stream come within the provider's first-byte timeout, which begins with the request, or
    /// the stream ends with [`UpstreamError::TimedOut`]. Dropping the future or the stream stops the
    /// provider's work. Never retries by itself.
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError>;
}

/// A text whose tokens are to be counted.
#[derive(Clone)]
pub struct TextToCount {
    /// The text.
    pub text: Arc<str>,
    /// Counting may stop as soon as there are more tokens than this.
    pub most: u64,
    /// On whose behalf: one payer's texts must not keep out those of others.
    pub payer: OrgId,
    /// Whether to wait rather than to be refused when too many texts wait already.
    pub patient: bool,
}

/// Too many texts are being counted, or too many of this payer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many long prompts are being counted; try again shortly")]
pub struct CounterBusy;

/// Counts tokens where a provider reports none, or where an upper bound is too coarse.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait TokenCounter: Send + Sync {
    /// Tokens of the text in `o200k_base`, never fewer than that table makes of it; or any number above
    /// `most`. Long texts are counted beside the async workers, a bounded number at a time.
    ///
    /// # Errors
    /// [`CounterBusy`], never for a patient request.
    async fn count(&self, text: TextToCount) -> Result<u64, CounterBusy>;
}

/// Whose tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaim {
    /// The key, and the tokens a minute that it is limited to.
    pub api_key: Option<(ApiKeyId, Option<u32>)>,
    /// The project that is called.
    pub project: ProjectId,
    /// The organization that pays.
    pub org: OrgId,
}

/// The tokens of this minute are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowanceSpent {
    /// The quota, in tokens a minute.
    pub per_minute: u32,
    /// Whose it is.
    pub of: &'static str,
    /// Seconds until the same call fits.
    pub retry_after: u64,
}

/// Tokens taken by estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensTaken {
    /// How many.
    pub tokens: u64,
    /// When: what the minute has given back since is not given back again.
    pub at: MonotonicTime,
}

/// Tokens per minute. Both methods are called on every call: they compute, and never wait.
pub trait TokenAllowance: Send + Sync {
    /// Takes the estimated `tokens` of a call, or says when they will be there.
    ///
    /// # Errors
    /// [`AllowanceSpent`]; nothing was taken then.
    fn take(&self, claim: &TokenClaim, tokens: u64) -> Result<TokensTaken, AllowanceSpent>;
    /// Replaces the estimate by what the call used: 0 when it never came to anything.
    fn correct(&self, claim: &TokenClaim, taken: TokensTaken, used: u64);
}

/// How one attempt at a provider went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskOutcome {
    /// It began to answer.
    Answered,
    /// It refused the request itself.
    Refused,
    /// It limits us.
    RateLimited,
    /// It refuses our credentials.
    Credentials,
    /// It failed.
    Failed,
    /// It did not answer in time.
    TimedOut,
    /// It is overloaded and says so.
    Busy,
    /// It was given a pause and not asked.
    Resting,
}

impl AskOutcome {
    /// The word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Credentials => "credentials",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Busy => "busy",
            Self::Resting => "resting",
        }
    }
}

impl From<&UpstreamError> for AskOutcome {
    fn from(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Refused { .. } => Self::Refused,
            UpstreamError::RateLimited { .. } => Self::RateLimited,
            UpstreamError::Credentials => Self::Credentials,
            UpstreamError::Failed(_) | UpstreamError::TooLarge { .. } => Self::Failed,
            UpstreamError::TimedOut => Self::TimedOut,
            UpstreamError::Busy { .. } => Self::Busy,
            UpstreamError::Resting { .. } => Self::Resting,
        }
    }
}

/// A call that was charged, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub struct CallEnd<'a> {
    /// The call.
    pub call: CallId,
    /// The model asked for.
    pub model: &'a str,
    /// The provider that answered.
    pub provider: &'a str,
    /// How it ended.
    pub outcome: CallOutcome,
    /// An event stream?
    pub streamed: bool,
    /// What it used.
    pub tokens: TokenUsage,
    /// What was charged.
    pub charged: Usdt,
    /// What it cost beyond what its payer had.
    pub lost: Usdt,
    /// From admission to the charge on disk.
    pub total: Duration,
    /// Of that, waiting for providers to begin their answer.
    pub upstream: Duration,
    /// Of that, until the first token of a stream; `None` for documents and for streams without one.
    pub first_token: Option<Duration>,
    /// Of that, setting the money aside.
    pub hold: Duration,
    /// Of that, writing the charge.
    pub capture: Duration,
}

/// What the paying organization lets a log keep of an answered call (`prompt_log`). There is none of
/// a call whose organization wants nothing kept.
#[derive(Clone, Copy)]
pub struct Transcript<'a> {
    /// The call.
    pub call: CallId,
    /// Who pays.
    pub org: OrgId,
    /// As which project.
    pub project: ProjectId,
    /// The caller.
    pub wallet: WalletAddress,
    /// The caller's key, if one was used.
    pub api_key: Option<ApiKeyId>,
    /// The model asked for.
    pub model: &'a str,
    /// The provider that answered.
    pub provider: &'a str,
    /// What was asked for.
    pub endpoint: Endpoint,
    /// An event stream?
    pub streamed: bool,
    /// How it ended.
    pub outcome: CallOutcome,
    /// What it used.
    pub tokens: TokenUsage,
    /// Bytes of the request's body.
    pub request_bytes: usize,
    /// Bytes of generated text.
    pub answer_bytes: usize,
    /// The texts, where the organization wants them kept too.
    pub texts: Option<Texts<'a>>,
}

impl fmt::Debug for Transcript<'_> {
    /// Without the texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("call", &self.call)
            .field("texts", &self.texts.is_some())
            .finish_non_exhaustive()
    }
}

/// What was said, each to its first [`MOST_LOGGED`] bytes.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    /// The texts of the request's messages.
    pub prompt: &'a str,
    /// The generated text.
    pub answer: &'a str,
    /// Either is longer than what is here.
    pub cut: bool,
}

/// Most bytes of a prompt, and of an answer, that a log is given.
pub const MOST_LOGGED: usize = 32 * 1024;

/// Told how calls go, for figures and logs. Every method computes and never waits.
pub trait CallObserver: Send + Sync {
    /// A call was answered whose organization lets the log keep something of it.
    fn transcribed(&self, transcript: &Transcript<'_>);
    /// A provider was asked, and began its answer or failed after `took`.
    fn asked(&self, provider: &str, outcome: AskOutcome, took: Duration);
    /// A call was charged.
    fn charged(&self, end: &CallEnd<'_>);
}

/// Limits nothing and looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl TokenAllowance for Unwatched {
    fn take(&self, _: &TokenClaim, tokens: u64) -> Result<TokensTaken, AllowanceSpent> {
        Ok(TokensTaken {
            tokens,
            at: MonotonicTime::default(),
        })
    }
    fn correct(&self, _: &TokenClaim, _: TokensTaken, _: u64) {}
}

impl CallObserver for Unwatched {
    fn transcribed(&self, _: &Transcript<'_>) {}
    fn asked(&self, _: &str, _: AskOutcome, _: Duration) {}
    fn charged(&self, _: &CallEnd<'_>) {}
}
