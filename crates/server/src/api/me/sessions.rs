//! Where the wallet is logged in, and how to end that.

use crate::http::{
    Answer, ApiError, Success,
    envelope::Nothing,
    extract::{AuthUser, Client, Input, PageQuery, Paging, Segment},
    security::Event,
};
use axum::extract::State;
use haithe_identity::{Sessions, session::SessionId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A login that has not ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// 64 hexadecimal digits. It names the session and opens nothing.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    id: String,
    /// Whether it is the session that asks.
    current: bool,
    /// The address it was opened from.
    #[schema(required = true)]
    ip: Option<String>,
    /// The client network of that address: the address itself (IPv4) or its /64 network (IPv6).
    #[schema(required = true)]
    network: Option<String>,
    /// The program that opened it.
    #[schema(required = true)]
    user_agent: Option<String>,
    created_at: String,
    /// To the minute.
    last_seen_at: String,
    expires_at: String,
}

/// How many sessions ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevokedSessions)]
pub struct RevokedView {
    revoked: u64,
}

/// The wallet's sessions, newest first.
#[utoipa::path(get, path = "/api/v1/me/sessions", params(PageQuery),
    responses((status = 200, body = Success<Vec<SessionView>>)))]
pub async fn list(
    State(sessions): State<Arc<Sessions>>,
    user: AuthUser,
    Paging(page): Paging,
) -> Answer<Vec<SessionView>> {
    let listed = sessions.list(user.address, page).await?;
    let listed = listed.map(|session| SessionView {
        id: session.id.to_string(),
        current: session.id == user.session,
        ip: session.ip.map(|ip| ip.to_string()),
        network: session.ip.map(|ip| ip.network().to_string()),
        user_agent: session.user_agent,
        created_at: session.created_at.rfc3339(),
        last_seen_at: session.last_seen_at.rfc3339(),
        expires_at: session.expires_at.rfc3339(),
    });
    Ok(Success::listed("Sessions", listed))
}

/// End one of the wallet's sessions.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Success<Nothing>)))]
pub async fn revoke(
    State(sessions): State<Arc<Sessions>>,
    client: Client,
    user: AuthUser,
    Segment(id): Segment<SessionId>,
) -> Answer<Nothing> {
    if !sessions.revoke(user.address, id).await? {
        return Err(ApiError::not_found("session"));
    }
    client
        .did(Event::SessionRevoked)
        .wallet(user.address)
        .session(id)
        .log();
    Ok(Success::nothing("Session ended"))
}

/// Which sessions end.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[schema(as = SessionsToRevoke)]
#[into_params(parameter_in = Query)]
pub struct RevokeInput {
    /// Whether the session that asks stays.
    #[serde(default)]
    #[param(required = false, default = false)]
    #[schema(required = false, default = false)]
    others: bool,
}

/// End every session of the wallet.
#[utoipa::path(delete, path = "/api/v1/me/sessions", params(RevokeInput), request_body = RevokeInput,
    responses((status = 200, body = Success<RevokedView>)))]
pub async fn revoke_all(
    State(sessions): State<Arc<Sessions>>,
    client: Client,
    user: AuthUser,
    Input(RevokeInput { others }): Input<RevokeInput>,
) -> Answer<RevokedView> {
    let kept = others.then_some(user.session);
    let revoked = sessions.revoke_all(user.address, kept).await?;
    let revoked = u64::try_from(revoked).unwrap_or(u64::MAX);
    client
        .did(Event::SessionRevoked)
        .wallet(user.address)
        .count(revoked)
        .log();
    Ok(Success::of("Sessions ended", RevokedView { revoked }))
}
