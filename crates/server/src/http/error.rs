//! A failure on its way to a caller: the one table from kind to status.

use crate::service::rates::{Quota, Standing};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use haithe_inference::dialect::class;
use haithe_kernel::{Failure, Kind};
use http::StatusCode;
use std::{
    borrow::Cow,
    error::Error,
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// What a caller is told, in whichever dialect, and what the log is told beside it.
pub struct ApiError(Box<Details>);

/// See [`ApiError`], which keeps them behind one pointer.
pub struct Details {
    pub(crate) status: StatusCode,
    /// OpenAI's `error.type`.
    pub(crate) kind: Cow<'static, str>,
    pub(crate) code: Cow<'static, str>,
    /// Our own code, where `code` is a provider's: what a provider says is not for the log.
    pub(crate) own_code: Option<&'static str>,
    pub(crate) message: String,
    /// The parameter at fault.
    pub(crate) param: Option<String>,
    /// What the caller can go on with, such as a transaction to sign; REST only.
    pub(crate) data: Option<serde_json::Value>,
    /// Facts for programs, by name.
    pub(crate) details: Vec<(&'static str, String)>,
    /// The rate that is used up, for its headers.
    pub(crate) rate: Option<(Quota, Standing)>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    /// For the log only.
    pub(crate) cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The one table from kind to status. OpenAI's `type` is inference's to say.
pub const fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl ApiError {
    /// A failure of the transport itself, which no domain knows of.
    pub(crate) fn transport(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let kind = if status.is_server_error() {
            "server_error"
        } else {
            "invalid_request_error"
        };
        Self(Box::new(Details {
            status,
            kind: Cow::Borrowed(kind),
            code: Cow::Borrowed(code),
            own_code: None,
            message: message.into(),
            param: None,
            data: None,
            details: Vec::new(),
            rate: None,
            retry_after: None,
            cause: None,
        }))
    }

    /// A request that cannot be understood.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::transport(StatusCode::BAD_REQUEST, code, message)
    }

    /// A parameter that cannot be understood.
    pub(crate) fn parameter(name: &str, problem: impl fmt::Display) -> Self {
        let mut error = Self::bad_request("invalid_parameter", format!("`{name}`: {problem}"));
        error.param = Some(name.to_owned());
        error
    }

    /// A parameter that is needed and absent.
    pub(crate) fn missing_parameter(name: &str) -> Self {
        let mut error = Self::bad_request(
            "missing_parameter",
            format!("`{name}` is missing: give it in the query or in a JSON body"),
        );
        error.param = Some(name.to_owned());
        error
    }

    /// A thing that does not exist, or is none of the caller's business.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::transport(StatusCode::NOT_FOUND, "not_found", format!("no such {what}"))
    }

    /// A defect of ours; `cause` is logged and not shown.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut error = Self::transport(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; the request id leads us to it",
        );
        error.cause = Some(cause.into());
        error
    }

    /// For responses that reached the edge with a bare status.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::transport(
                status,
                "route_not_found",
                "no such route; see the documentation for the paths there are",
            ),
            StatusCode::METHOD_NOT_ALLOWED => Self::transport(
                status,
                "method_not_allowed",
                "this path does not take this method; the Allow header lists those it takes",
            ),
            status if status.is_server_error() => Self::internal(format!("bare status {status}")),
            status => Self::transport(status, "bad_request", "the request cannot be understood"),
        }
    }

    /// With what the caller can go on with.
    pub(crate) fn with_data(mut self, data: &impl serde::Serialize) -> Self {
        self.data = serde_json::to_value(data).ok();
        self
    }

    /// Its causes, outermost first, for the log.
    pub(crate) fn causes(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&(dyn Error + 'static)> = match &self.cause {
            Some(cause) => Some(cause.as_ref()),
            None => None,
        };
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }
}

impl<F: Failure> From<F> for ApiError {
    fn from(failure: F) -> Self {
        let kind = failure.kind();
        Self(Box::new(Details {
            status: status_of(kind),
            kind: Cow::Borrowed(class(kind)),
            code: Cow::Borrowed(failure.code()),
            own_code: None,
            message: failure.to_string(),
            param: None,
            data: None,
            details: failure.details(),
            rate: None,
            retry_after: failure.retry_after(),
            cause: Some(Box::new(failure)),
        }))
    }
}

impl Deref for ApiError {
    type Target = Details;
    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for ApiError {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.message)
    }
}

/// A failure that waits for the edge to render it in the dialect of its path.
#[derive(Clone)]
pub(crate) struct Failed(pub Arc<ApiError>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(Failed(Arc::new(self)));
        response
    }
}
