//! OpenAI's error object: the one form in which this dialect says no, in a body or in a stream.

use crate::{error::CompletionError, ports::UpstreamError};
use bytes::Bytes;
use haithe_kernel::{Failure, Kind};
use serde::Serialize;

/// The `error` object of OpenAI's dialect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorObject {
    /// For people.
    pub message: String,
    /// The class that SDKs know.
    #[serde(rename = "type")]
    pub class: String,
    /// The field at fault.
    pub param: Option<String>,
    /// The stable code.
    pub code: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a ErrorObject,
}

impl ErrorObject {
    /// The object for any failure; `param` is the field at fault.
    pub fn new(failure: &(impl Failure + ?Sized), param: Option<&str>) -> Self {
        Self {
            message: failure.to_string(),
            class: class(failure.kind()).to_owned(),
            param: param.map(str::to_owned),
            code: Some(failure.code().to_owned()),
        }
    }

    /// `{"error":{…}}`.
    pub fn body(&self) -> Bytes {
        serde_json::to_vec(&Envelope { error: self })
            .map(Bytes::from)
            .unwrap_or_else(|_| Bytes::from_static(b"{\"error\":{\"message\":\"internal error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}"))
    }

    /// The same as the last event of a stream. No `[DONE]` follows it, so that every SDK raises.
    pub fn event(&self) -> Bytes {
        let body = self.body();
        let mut event = Vec::with_capacity(body.len() + 8);
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(&body);
        event.extend_from_slice(b"\n\n");
        Bytes::from(event)
    }
}

impl From<&CompletionError> for ErrorObject {
    /// A provider's own refusal keeps the provider's words, class and code.
    fn from(error: &CompletionError) -> Self {
        let mut object = Self::new(error, error.param());
        if let CompletionError::Upstream(UpstreamError::Refused { code, kind, .. }) = error {
            object.code = code.clone().or(object.code);
            object.class = kind.clone().unwrap_or(object.class);
        }
        object
    }
}

/// OpenAI's `type` for a kind of failure.
pub const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::TooLarge | Kind::Unprocessable => {
            "invalid_request_error"
        }
        Kind::Unauthenticated => "authentication_error",
        Kind::Forbidden => "permission_error",
        Kind::PaymentRequired => "insufficient_quota",
        Kind::RateLimited => "rate_limit_error",
        Kind::Upstream | Kind::UpstreamTimeout => "upstream_error",
        Kind::Unavailable | Kind::Internal => "server_error",
    }
}
