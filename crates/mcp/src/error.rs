//! From the library's errors to the port's, which repeat nothing of the server's.

use haithe_kernel::FetchError;
use haithe_marketplace::ports::ToolServerError;
use rmcp::{
    ServiceError,
    service::ClientInitializeError,
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};

/// Why no session was opened.
pub(crate) fn of_opening(error: &ClientInitializeError) -> ToolServerError {
    match error {
        ClientInitializeError::TransportError { error, .. } => of_transport(error),
        _ => ToolServerError::Protocol,
    }
}

/// Why a request of a session failed, beside errors that the server reports.
pub(crate) fn of_service(error: &ServiceError) -> ToolServerError {
    match error {
        ServiceError::TransportSend(error) => of_transport(error),
        ServiceError::Timeout { .. } => ToolServerError::Late,
        _ => ToolServerError::Protocol,
    }
}

fn of_transport(error: &DynamicTransportError) -> ToolServerError {
    match error.error.downcast_ref::<StreamableHttpError<FetchError>>() {
        Some(StreamableHttpError::Client(error)) => of_fetching(error),
        Some(StreamableHttpError::HttpStatus(status)) => match status.status {
            401 | 403 => ToolServerError::Denied,
            429 | 500..=599 => ToolServerError::Unreachable,
            _ => ToolServerError::Protocol,
        },
        _ => ToolServerError::Protocol,
    }
}

fn of_fetching(error: &FetchError) -> ToolServerError {
    match error {
        FetchError::Refused(_) | FetchError::Header => ToolServerError::Refused,
        FetchError::Redirect => ToolServerError::Moved,
        FetchError::TooLarge => ToolServerError::TooLarge,
        FetchError::Late | FetchError::Busy => ToolServerError::Late,
        FetchError::Unreachable(_) => ToolServerError::Unreachable,
    }
}
