//! The port through which anything leaves the process for an address that a user can name.

use crate::{Failure, Kind};
use std::time::Duration;

/// What a request may do. There is no `CONNECT`, `TRACE` or word of the caller's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchMethod {
    /// Read.
    Get,
    /// Read the head only.
    Head,
    /// Send.
    Post,
    /// Replace.
    Put,
    /// Change in part.
    Patch,
    /// Remove.
    Delete,
}

/// Whether a request goes where an answer points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redirects {
    /// To any address that could have been named in the first place: for reading what is public.
    Followed,
    /// Nowhere, not even to another path: for what was allowed to one address alone, such as a tool
    /// that its creator declared or an answer that its owner wants delivered. The answer is
    /// [`FetchError::Redirect`].
    Refused,
}

/// A request to an address that a user named.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The method.
    pub method: FetchMethod,
    /// The address as the user wrote it, unchecked.
    pub url: String,
    /// Headers, credentials among them. None of them follows a redirect to another origin.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Most bytes of the answer's body. More is [`FetchError::TooLarge`], never a cut.
    pub most_bytes: usize,
    /// Longest time for everything: the name, every redirect, the whole body.
    pub within: Duration,
    /// What a redirect comes to.
    pub redirects: Redirects,
}

impl FetchRequest {
    /// A read of at most 4 MiB within 15 seconds that follows redirects.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: FetchMethod::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            most_bytes: 4 << 20,
            within: Duration::from_secs(15),
            redirects: Redirects::Followed,
        }
    }
}

/// Addresses and headers may hold a creator's credentials, so neither is printed.
impl std::fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchRequest")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body", &self.body.len())
            .field("most_bytes", &self.most_bytes)
            .field("within", &self.within)
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Headers whose values are text, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// The address that answered, after redirects.
    pub url: String,
}

/// Why nothing was fetched. The texts name no address, so that nothing inside can be probed with them.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address, or one it led to, is not one that we call.
    #[error("the address is not allowed")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A header of the request is not the caller's to set, or is malformed.
    #[error("a header of the request is not allowed")]
    Header,
    /// A redirect of a request that follows none, more than are followed, or one that is malformed or
    /// would carry a body elsewhere.
    #[error("the address redirects in a way that is not followed")]
    Redirect,
    /// The head or the body of the answer is larger than allowed.
    #[error("the answer is too large")]
    TooLarge,
    /// The time ran out.
    #[error("the address did not answer in time")]
    Late,
    /// This service sends that host as many requests as it may.
    #[error("too many requests are being sent to the host of this address; try again shortly")]
    Busy,
    /// The name is unknown, nobody listens, TLS failed or the connection broke.
    #[error("the address cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure for FetchError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) | Self::Header => Kind::Invalid,
            Self::Redirect | Self::TooLarge | Self::Unreachable(_) => Kind::Upstream,
            Self::Late => Kind::UpstreamTimeout,
            Self::Busy => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "address_refused",
            Self::Header => "header_refused",
            Self::Redirect => "redirect_refused",
            Self::TooLarge => "answer_too_large",
            Self::Late => "address_timeout",
            Self::Busy => "address_busy",
            Self::Unreachable(_) => "address_unreachable",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Busy).then_some(5)
    }
}

/// Calls addresses that users name, and never one inside our own network.
///
/// Contract: only `http` and `https`, only ports that the operator allows, no user name in the
/// address; every address that a name resolves to is public and the connection goes to one that was
/// checked; redirects are followed as the request says and checked like the first address; no proxy is
/// used.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait::async_trait]
pub trait Fetcher: Send + Sync {
    /// Whether `url`, as it is written, is never called: its scheme, port or host is not allowed. A name
    /// that resolves to a private address is refused when it is called, because that can change.
    fn refuses(&self, url: &str) -> bool {
        let _ = url;
        false
    }
    /// Sends `request` once and reads the whole answer. Never retries.
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError>;
}
