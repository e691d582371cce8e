//! The table of routes. Each handler says its own method and path, in the document's words.

use super::{
    auth, chat, config, content, creators, me, models, openai, orgs, products, projects, receipts, stats,
    tee, usage, waitlist, webhook,
};
use crate::{
    http::{ApiError, cors, edge::Edge, idempotency::OnceLayer, limits, public_reads},
    openapi::{self, DocumentError, Routes, routes},
    service::health,
    state::AppState,
};
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
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
    hsts: Option<Duration>,
) -> Cors<Edge<Router>> {
    cors::layer(origins).layer(Edge::new(router(state, deadline), hsts))
}

/// Every route, with its state, and what answers where there is none.
fn router(state: AppState, deadline: Duration) -> Router {
    let (rest, models) = (rest().into_router(), models_of_others().into_router());
    let within = middleware::from_fn(move |request, next| within(deadline, request, next));
    let public = middleware::from_fn_with_state(state.clone(), public_reads::bound);
    // Within the deadline, which cuts an answer short and not the work: the key finds it.
    let once = OnceLayer(state.clone());
    Router::new()
        .merge(rest.layer(once.clone()).layer(public).layer(within))
        .merge(models.layer(once))
        .fallback(async || ApiError::of_status(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED))
        .layer(middleware::from_fn_with_state(state.clone(), limits::at_the_door))
        .with_state(state)
}

/// The document of every route.
///
/// # Errors
/// [`DocumentError`], which is a defect.
pub fn document() -> Result<serde_json::Value, DocumentError> {
    let collected = rest().merge(models_of_others()).document(openapi::begin())?;
    openapi::complete(&collected)
}

/// Routes that ask no model. Each must answer within the deadline.
fn rest() -> Routes<AppState> {
    Routes::default()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(openapi::page::show))
        .routes(routes!(openapi::page::docs))
        .routes(routes!(openapi::page::docs_file))
        .routes(routes!(auth::nonce))
        .routes(routes!(auth::login))
        .routes(routes!(auth::logout))
        .routes(routes!(me::profile::show))
        .routes(routes!(me::profile::orgs))
        .routes(routes!(me::profile::projects))
        // axum answers HEAD with GET's handler, which would create a key.
        .routes(routes!(me::default_key::issue).map(|route| route.head(me::default_key::refuse_head)))
        .routes(routes!(me::default_key::last_issued))
        .routes(routes!(me::default_key::disable))
        .routes(routes!(me::keys::list, me::keys::create))
        .routes(routes!(me::keys::show, me::keys::change, me::keys::revoke))
        .routes(routes!(me::keys::rotate))
        .routes(routes!(me::sessions::list, me::sessions::revoke_all))
        .routes(routes!(me::sessions::revoke))
        .routes(routes!(me::faucet::show, me::faucet::ask))
        .routes(routes!(waitlist::join))
        .routes(routes!(creators::list, creators::register))
        .routes(routes!(creators::transaction))
        .routes(routes!(creators::show))
        .routes(routes!(creators::products))
        .routes(routes!(creators::statistics))
        .routes(routes!(creators::earnings::show))
        .routes(routes!(
            creators::payout::show,
            creators::payout::propose,
            creators::payout::take_back
        ))
        .routes(routes!(products::list, products::sync))
        .routes(routes!(products::show, products::describe))
        .routes(routes!(products::content::check_draft))
        .routes(routes!(products::content::check))
        .routes(routes!(products::uses::enable))
        .routes(routes!(products::uses::accept_content))
        .routes(routes!(products::uses::disable))
        .routes(routes!(products::uses::of_project))
        .routes(routes!(products::uses::price_per_call))
        .routes(routes!(content::put))
        .routes(routes!(content::show, content::delete))
        .routes(routes!(tee::public_key))
        .routes(routes!(tee::attest))
        .routes(routes!(stats::show))
        .routes(routes!(models::list))
        .routes(routes!(config::show))
        .routes(routes!(orgs::collection::create))
        .routes(routes!(orgs::collection::transaction))
        .routes(routes!(orgs::item::show, orgs::item::rename, orgs::item::delete))
        .routes(routes!(orgs::item::projects))
        .routes(routes!(
            orgs::members::list,
            orgs::members::add,
            orgs::members::change,
            orgs::members::remove
        ))
        .routes(routes!(
            orgs::models::list,
            orgs::models::enable,
            orgs::models::disable
        ))
        .routes(routes!(orgs::settings::show, orgs::settings::change))
        .routes(routes!(orgs::accepted_projects::list))
        .routes(routes!(
            orgs::accepted_projects::accept,
            orgs::accepted_projects::withdraw
        ))
        .routes(routes!(orgs::audit::list))
        .routes(routes!(
            orgs::ownership::show,
            orgs::ownership::offer,
            orgs::ownership::take_back
        ))
        .routes(routes!(orgs::money::balance))
        .routes(routes!(orgs::money::expenditure))
        .routes(routes!(receipts::lists::of_org))
        .routes(routes!(receipts::lists::of_project))
        .routes(routes!(usage::of_org))
        .routes(routes!(usage::of_project))
        .routes(routes!(orgs::withdrawals::list, orgs::withdrawals::request))
        .routes(routes!(orgs::withdrawals::execute))
        .routes(routes!(orgs::withdrawals::cancel))
        .routes(routes!(orgs::daily_cap::show, orgs::daily_cap::set))
        .routes(routes!(projects::item::create))
        .routes(routes!(
            projects::item::show,
            projects::item::change,
            projects::item::delete
        ))
        .routes(routes!(
            projects::members::list,
            projects::members::add,
            projects::members::change,
            projects::members::remove
        ))
        .routes(routes!(projects::bots::telegram, projects::bots::put_telegram))
        .routes(routes!(projects::bots::discord, projects::bots::put_discord))
        .routes(routes!(projects::webhooks::list, projects::webhooks::create))
        .routes(routes!(
            projects::webhooks::show,
            projects::webhooks::change,
            projects::webhooks::delete
        ))
        .routes(routes!(projects::webhooks::rotate))
        .routes(routes!(projects::webhooks::messages))
        .routes(routes!(receipts::show))
        .routes(routes!(chat::conversations::list, chat::conversations::create))
        .routes(routes!(
            chat::conversations::show,
            chat::conversations::rename,
            chat::conversations::delete
        ))
        .routes(routes!(chat::messages::list, chat::messages::say))
        .routes(routes!(openai::models::list))
        .routes(routes!(openai::models::show))
}

/// Routes that wait for providers, who have limits of their own.
fn models_of_others() -> Routes<AppState> {
    Routes::default()
        .routes(routes!(openai::completions::create))
        .routes(routes!(openai::embeddings::create))
        .routes(routes!(webhook::trigger))
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
