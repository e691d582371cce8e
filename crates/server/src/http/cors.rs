//! Which browsers' pages may call.

use http::{HeaderName, HeaderValue, Method, header};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Allows the configured origins; bearer tokens only, so no credentials.
pub fn layer<'a>(origins: impl Iterator<Item = &'a str>) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
            Method::PUT,
            Method::OPTIONS,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("haithe-organization"),
            HeaderName::from_static("haithe-project"),
            HeaderName::from_static("haithe-conversation"),
            super::extract::HAITHE_MAX_COST,
            HeaderName::from_static("openai-organization"),
            HeaderName::from_static("openai-project"),
        ])
        .expose_headers([
            HeaderName::from_static("x-request-id"),
            header::RETRY_AFTER,
            HeaderName::from_static("x-haithe-call"),
            HeaderName::from_static("x-haithe-cost"),
            HeaderName::from_static("x-haithe-cost-limit"),
            super::envelope::X_TOTAL_COUNT,
            HeaderName::from_static("idempotency-replayed"),
            HeaderName::from_static("x-ratelimit-limit-requests"),
            HeaderName::from_static("x-ratelimit-remaining-requests"),
            HeaderName::from_static("x-ratelimit-reset-requests"),
            HeaderName::from_static("x-ratelimit-limit-tokens"),
            HeaderName::from_static("x-ratelimit-remaining-tokens"),
            HeaderName::from_static("x-ratelimit-reset-tokens"),
        ])
        .max_age(Duration::from_secs(3600))
}
