//! The wallet's one default key, in the form that the existing SDK asks for it.

use crate::http::{
    Answer, ApiError, Success,
    envelope::Nothing,
    extract::{AuthUser, Client},
    security::Event,
};
use axum::extract::State;
use haithe_identity::ApiKeys;
use haithe_orgs::Settings;
use http::HeaderMap;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A key, shown once. Its signature covers exactly `message`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DefaultApiKey)]
pub struct IssuedView {
    api_key: String,
    message: String,
    /// Unix seconds.
    issued_at: i64,
}

/// When the newest default key was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastIssued)]
pub struct LastIssuedView {
    /// Unix seconds; 0 when there was none.
    issued_at: i64,
}

/// Create the default key.
///
/// It creates although it is a GET, because the existing SDK wants it so; prefetches and HEAD are
/// refused. `POST /api/v1/me/api-keys` is the proper route.
#[utoipa::path(get, path = "/api/v1/me/api-key", responses((status = 200, body = Success<IssuedView>)))]
pub async fn issue(
    State(keys): State<Arc<ApiKeys>>,
    State(settings): State<Arc<Settings>>,
    client: Client,
    user: AuthUser,
    headers: HeaderMap,
) -> Answer<IssuedView> {
    if is_prefetch(&headers) {
        return Err(ApiError::bad_request(
            "prefetch_refused",
            "this request creates a key and must not be prefetched",
        ));
    }
    let budget = settings.budget_of_new_key(user.address, None).await?;
    let issued = keys.issue_default(user.address, budget).await?;
    client
        .did(Event::DefaultKeyCreated)
        .wallet(user.address)
        .key(issued.row.id)
        .log();
    Ok(Success::of(
        "API key created; it is shown only once",
        IssuedView {
            api_key: issued.api_key,
            message: issued.message,
            issued_at: issued.row.issued_at.seconds(),
        },
    ))
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .any(|name| {
            let values = headers.get_all(*name).iter();
            let mut texts = values.filter_map(|value| value.to_str().ok());
            texts.any(|text| {
                let text = text.to_ascii_lowercase();
                text.contains("prefetch") || text.contains("prerender") || text.contains("preview")
            })
        })
}

/// `HEAD /api-key`: it would create a key and not even show it.
pub async fn refuse_head() -> ApiError {
    ApiError::of_status(http::StatusCode::METHOD_NOT_ALLOWED)
}

/// When the newest default key was made.
#[utoipa::path(get, path = "/api/v1/me/api-key/last-issued", responses((status = 200, body = Success<LastIssuedView>)))]
pub async fn last_issued(State(keys): State<Arc<ApiKeys>>, user: AuthUser) -> Answer<LastIssuedView> {
    let at = keys.last_issued(user.address).await?;
    let issued_at = at.map_or(0, haithe_kernel::Timestamp::seconds);
    Ok(Success::of("Last issued", LastIssuedView { issued_at }))
}

/// Revoke the default key for ever; also fine when there is none.
#[utoipa::path(post, path = "/api/v1/me/api-key/disable", responses((status = 200, body = Success<Nothing>)))]
pub async fn disable(State(keys): State<Arc<ApiKeys>>, client: Client, user: AuthUser) -> Answer<Nothing> {
    if let Some(id) = keys.disable_default(user.address).await? {
        client
            .did(Event::DefaultKeyDisabled)
            .wallet(user.address)
            .key(id)
            .log();
    }
    Ok(Success::nothing("API key disabled"))
}
