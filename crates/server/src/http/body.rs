//! Reading a request's body, bounded in size and time.

use super::ApiError;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;

/// Bounds on a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Most bytes.
    pub bytes: usize,
    /// Longest time until it is complete.
    pub time: Duration,
}

impl BodyLimits {
    /// The whole body.
    ///
    /// # Errors
    /// 413 when it is too large, 408 when it takes too long, 400 when the connection breaks.
    pub async fn read(self, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.bytes as u64) {
            return Err(self.too_large());
        }
        match tokio::time::timeout(self.time, Limited::new(body, self.bytes).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Ok(Err(_)) => Err(ApiError::bad_request(
                "body_incomplete",
                "the request's body ended before it was complete",
            )),
            Err(_) => Err(ApiError::transport(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                "the request's body did not arrive in time",
            )),
        }
    }

    fn too_large(self) -> ApiError {
        ApiError::transport(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!(
                "the request's body is larger than the {} bytes allowed",
                self.bytes
            ),
        )
    }
}

/// Refuses a body that does not say it is JSON. No body, or none said, is fine.
///
/// # Errors
/// 415.
pub fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(stated) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = stated
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence.to_ascii_lowercase().ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(ApiError::transport(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "send the body as JSON, with `Content-Type: application/json`",
    ))
}
