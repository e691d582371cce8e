//! The table of paths.

use super::{auth, config, me, models, openai, orgs, projects, receipts};
use crate::{
    http::{ApiError, cors, edge::Edge},
    service::health,
    state::AppState,
};
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};
use http::StatusCode;
use std::time::Duration;
use tower::Layer;
use tower_http::cors::Cors;

/// The whole service: the routes, the edge around them, and CORS for `origins` around that.
pub fn service<'a>(
    state: AppState,
    deadline: Duration,
    origins: impl Iterator<Item = &'a str>,
) -> Cors<Edge<Router>> {
    cors::layer(origins).layer(Edge::new(router(state, deadline)))
}

/// Every route, with its state, and what answers where there is none.
fn router(state: AppState, deadline: Duration) -> Router {
    Router::new()
        .merge(rest().layer(middleware::from_fn(move |request, next| {
            within(deadline, request, next)
        })))
        .merge(models_of_others())
        .fallback(async || ApiError::of_status(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED))
        .with_state(state)
}

/// Routes that ask no model. Each must answer within the deadline.
fn rest() -> Router<AppState> {
    Router::new()
        .route("/health", get(health::alive))
        .route("/health/ready", get(health::ready))
        .route("/api/v1/auth/nonce", get(auth::nonce))
        .route("/api/v1/auth/login", post(auth::login))
        .route("/api/v1/auth/logout", post(auth::logout))
        .route("/api/v1/me", get(me::profile::show))
        .route("/api/v1/me/orgs", get(me::profile::orgs))
        .route("/api/v1/me/projects", get(me::profile::projects))
        .route(
            "/api/v1/me/api-key",
            get(me::default_key::issue).head(me::default_key::refuse_head),
        )
        .route(
            "/api/v1/me/api-key/last-issued",
            get(me::default_key::last_issued),
        )
        .route("/api/v1/me/api-key/disable", post(me::default_key::disable))
        .route("/api/v1/me/api-keys", get(me::keys::list).post(me::keys::create))
        .route("/api/v1/me/api-keys/{id}", delete(me::keys::revoke))
        .route("/api/v1/models", get(models::list))
        .route("/api/v1/config", get(config::show))
        .route("/api/v1/orgs", post(orgs::collection::create))
        .route(
            "/api/v1/orgs/{id}",
            get(orgs::item::show)
                .patch(orgs::item::rename)
                .delete(orgs::item::delete),
        )
        .route("/api/v1/orgs/{id}/projects", get(orgs::item::projects))
        .route(
            "/api/v1/orgs/{id}/members",
            get(orgs::members::list)
                .post(orgs::members::add)
                .patch(orgs::members::change)
                .delete(orgs::members::remove),
        )
        .route(
            "/api/v1/orgs/{id}/models",
            get(orgs::models::list)
                .post(orgs::models::enable)
                .delete(orgs::models::disable),
        )
        .route("/api/v1/orgs/{id}/balance", get(orgs::money::balance))
        .route("/api/v1/orgs/{id}/expenditure", get(orgs::money::expenditure))
        .route("/api/v1/orgs/{id}/receipts", get(orgs::money::receipts))
        .route("/api/v1/projects", post(projects::item::create))
        .route(
            "/api/v1/projects/{id}",
            patch(projects::item::change)
                .get(projects::item::show)
                .delete(projects::item::delete),
        )
        .route(
            "/api/v1/projects/{id}/members",
            get(projects::members::list)
                .post(projects::members::add)
                .patch(projects::members::change)
                .delete(projects::members::remove),
        )
        .route("/api/v1/receipts/{id}", get(receipts::show))
        .route("/api/v1beta/openai/models", get(openai::models::list))
        .route("/api/v1beta/openai/models/{*id}", get(openai::models::show))
}

/// Routes that wait for providers, who have limits of their own.
fn models_of_others() -> Router<AppState> {
    Router::new().route(
        "/api/v1beta/openai/chat/completions",
        post(openai::completions::create),
    )
}

async fn within(deadline: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let mut error = ApiError::transport(
                StatusCode::SERVICE_UNAVAILABLE,
                "deadline_exceeded",
                "the request took too long and was given up; try again",
            );
            error.retry_after = Some(1);
            error.into_response()
        }
    }
}
