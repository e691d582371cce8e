//! `/api/v1/content`: sealed content, by its SHA-256.

use crate::http::{
    Answer, ApiError, Success,
    body::BodyLimits,
    envelope::Nothing,
    extract::{AuthUser, Segment},
};
use crate::state::PublicHosting;
use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use haithe_marketplace::{
    hosting::{ContentDigest, Hosting, NotHosted},
    loading::ContentUri,
};
use haithe_orgs::ports::ChainSync;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Bytes under this name never change.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// Sealed content that is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HostedContent)]
pub struct HostedView {
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// What to publish as the product's `uri`.
    uri: String,
    size: usize,
    /// Whether the wallet had not brought it before.
    created: bool,
}

/// Keep sealed content.
///
/// The body is the sealed form of `docs/SEALING.md`; anything else is refused. Size and number are
/// limited per wallet, and the wallet must be registered as a creator. Content to which no product has
/// referred for seven days is deleted. To bring the same again is no error.
#[utoipa::path(put, path = "/api/v1/content",
    request_body(content = String, content_type = "application/octet-stream", description = "Sealed content"),
    responses((status = 200, body = Success<HostedView>)))]
pub async fn put(
    State(hosting): State<Arc<Hosting>>,
    State(limits): State<BodyLimits>,
    State(chain): State<Arc<dyn ChainSync>>,
    user: AuthUser,
    request: Request,
) -> Answer<HostedView> {
    if matches!(hosting.admit(user.address).await, Err(NotHosted::NotACreator)) {
        // A creator of a moment ago may not be in the index yet.
        chain.catch_up().await;
        hosting.admit(user.address).await?;
    }
    let (parts, body) = request.into_parts();
    let limits = BodyLimits {
        bytes: hosting.limits().content_bytes,
        ..limits
    };
    let body = limits.read(&parts, body).await?;
    let hosted = hosting.host(user.address, body.into()).await?;
    let view = HostedView {
        sha256: hosted.digest.to_string(),
        uri: ContentUri::Hosted(hosted.digest).to_string(),
        size: hosted.bytes,
        created: hosted.new,
    };
    Ok(Success::of("Content kept", view))
}

/// Sealed content, for anybody: it opens for the enclave only.
#[utoipa::path(get, path = "/api/v1/content/{sha256}", security(()),
    params(("sha256" = String, Path, description = "64 hexadecimal digits")),
    responses(
        (status = 200, description = "Sealed content", content((String = "application/octet-stream"))),
        (status = 304, description = "The caller has it: its `If-None-Match` is the digest")))]
pub async fn show(
    State(PublicHosting(hosting)): State<PublicHosting>,
    Segment(digest): Segment<ContentDigest>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("content");
    let bytes = hosting.content(digest).await?.ok_or_else(missing)?;
    let tag = format!("\"{digest}\"");
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(bytes).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    headers.insert(ETAG, HeaderValue::try_from(tag).map_err(ApiError::internal)?);
    if !known {
        let bytes = HeaderValue::from_static("application/octet-stream");
        headers.insert(CONTENT_TYPE, bytes);
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    Ok(response)
}

/// Keep one's own sealed content no longer.
///
/// Products that were published with it cannot be loaded any more, unless another wallet keeps it.
#[utoipa::path(delete, path = "/api/v1/content/{sha256}",
    params(("sha256" = String, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Success<Nothing>)))]
pub async fn delete(
    State(hosting): State<Arc<Hosting>>,
    user: AuthUser,
    Segment(digest): Segment<ContentDigest>,
) -> Answer<Nothing> {
    if !hosting.delete(user.address, digest).await? {
        return Err(ApiError::not_found("content"));
    }
    Ok(Success::nothing("Content deleted"))
}
