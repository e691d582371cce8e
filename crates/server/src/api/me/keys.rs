//! The wallet's API keys, each with its own scope, expiry and budget.

mod scope;
mod view;

use crate::http::{
    Answer, ApiError, Success,
    envelope::Nothing,
    extract::{AuthUser, Change, Client, Input, PageQuery, Paging, Parsed, Segment},
    security::Event,
};
use axum::extract::State;
use haithe_identity::{
    ApiKeys, KeySpec,
    api_key::{ApiKeyId, KeyBudget, KeyChange, RouteFamily},
};
use haithe_kernel::{OrgId, ProjectId};
use haithe_orgs::Settings;
use scope::{Asked, Scopes};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
pub use view::BudgetView;
use view::{KeyView, Moment, NewKeyView, RouteView};

/// What a new key shall be. What is left out is not restricted.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ApiKeyInput)]
pub struct KeyInput {
    /// 1 to 64 characters.
    name: String,
    /// Only as this organization.
    org_id: Option<i64>,
    /// Only as this project; such a key needs no context headers.
    project_id: Option<i64>,
    /// Only these models.
    models: Option<Vec<String>>,
    /// Only these families of routes.
    routes: Option<Vec<RouteView>>,
    /// RFC 3339.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Parsed<Moment>>,
    /// Left out: the `default_key_budget` of the organization, where one is set. A key that is bound to
    /// no organization gets the lowest of all organizations that the wallet has a role in.
    budget: Option<BudgetView>,
    #[schema(minimum = 1)]
    requests_per_minute: Option<u32>,
    #[schema(minimum = 1)]
    tokens_per_minute: Option<u32>,
}

/// Create an API key, shown only once.
#[utoipa::path(post, path = "/api/v1/me/api-keys", request_body = KeyInput,
    responses((status = 200, body = Success<NewKeyView>)))]
pub async fn create(
    State(keys): State<Arc<ApiKeys>>,
    State(settings): State<Arc<Settings>>,
    scopes: Scopes,
    client: Client,
    user: AuthUser,
    Input(input): Input<KeyInput>,
) -> Answer<NewKeyView> {
    let families = |routes: Vec<RouteView>| routes.into_iter().map(RouteFamily::from).collect();
    let asked = Asked {
        org: input.org_id.map(OrgId),
        project: input.project_id.map(ProjectId),
        models: input.models,
        routes: input.routes.map(families),
    };
    let scope = scopes.read(user.address, asked).await?;
    let budget = match input.budget {
        Some(budget) => Some(budget.try_into()?),
        None => settings.budget_of_new_key(user.address, scope.org).await?,
    };
    let spec = KeySpec {
        name: input.name,
        scope,
        expires_at: input.expires_at.map(|moment| moment.0.0),
        budget,
        requests_per_minute: input.requests_per_minute,
        tokens_per_minute: input.tokens_per_minute,
    };
    let issued = keys.issue(user.address, spec).await?;
    client
        .did(Event::KeyCreated)
        .wallet(user.address)
        .key(issued.row.id)
        .log();
    Ok(Success::of(
        "API key created; it is shown only once",
        issued.into(),
    ))
}

/// Which keys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KeyQuery {
    /// Only those that open something now (`true`), or only revoked and expired ones (`false`).
    live: Option<bool>,
    /// Only those with this text in their name.
    q: Option<String>,
}

/// The wallet's API keys, newest first, without their secrets.
#[utoipa::path(get, path = "/api/v1/me/api-keys", params(PageQuery, KeyQuery),
    responses((status = 200, body = Success<Vec<KeyView>>)))]
pub async fn list(
    State(keys): State<Arc<ApiKeys>>,
    user: AuthUser,
    Paging(page): Paging,
    Input(query): Input<KeyQuery>,
) -> Answer<Vec<KeyView>> {
    let keys = keys.list(user.address, query.live, query.q, page).await?;
    Ok(Success::listed("API keys", keys))
}

/// One API key, without its secret.
#[utoipa::path(get, path = "/api/v1/me/api-keys/{id}", params(("id" = i64, Path)),
    responses((status = 200, body = Success<KeyView>)))]
pub async fn show(
    State(keys): State<Arc<ApiKeys>>,
    user: AuthUser,
    Segment(id): Segment<ApiKeyId>,
) -> Answer<KeyView> {
    let key = keys.get(user.address, id).await?;
    Ok(Success::of("API key", key.into()))
}

/// What to change about a key. What is left out stays; `null` lifts a restriction.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ApiKeyChange)]
pub struct KeyPatch {
    /// 1 to 64 characters.
    name: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Change<Parsed<Moment>>,
    #[serde(default)]
    #[schema(value_type = Option<BudgetView>)]
    budget: Change<BudgetView>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    requests_per_minute: Change<u32>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    tokens_per_minute: Change<u32>,
}

/// Change a live API key's name, expiry, budget or rates.
///
/// Its scope cannot be changed: what a key opens was decided when it was handed out.
#[utoipa::path(patch, path = "/api/v1/me/api-keys/{id}", params(("id" = i64, Path)), request_body = KeyPatch,
    responses((status = 200, body = Success<KeyView>)))]
pub async fn change(
    State(keys): State<Arc<ApiKeys>>,
    client: Client,
    user: AuthUser,
    Segment(id): Segment<ApiKeyId>,
    Input(patch): Input<KeyPatch>,
) -> Answer<KeyView> {
    let budget = patch.budget.nested();
    let change = KeyChange {
        name: patch.name,
        expires_at: patch
            .expires_at
            .nested()
            .map(|moment| moment.map(|moment| moment.0.0)),
        budget: budget
            .map(|budget| budget.map(KeyBudget::try_from).transpose())
            .transpose()?,
        requests_per_minute: patch.requests_per_minute.nested(),
        tokens_per_minute: patch.tokens_per_minute.nested(),
    };
    let key = keys.change(user.address, id, change).await?;
    client.did(Event::KeyChanged).wallet(user.address).key(id).log();
    Ok(Success::of("API key changed", key.into()))
}

/// Give a live API key a new secret, shown only once.
///
/// Its authority, its budget and what it has spent of it stay. The old secret is dead on the next
/// request. The default key can be rotated too; it stays the default key.
#[utoipa::path(post, path = "/api/v1/me/api-keys/{id}/rotate", params(("id" = i64, Path)),
    responses((status = 200, body = Success<NewKeyView>)))]
pub async fn rotate(
    State(keys): State<Arc<ApiKeys>>,
    client: Client,
    user: AuthUser,
    Segment(id): Segment<ApiKeyId>,
) -> Answer<NewKeyView> {
    let issued = keys.rotate(user.address, id).await?;
    client.did(Event::KeyRotated).wallet(user.address).key(id).log();
    Ok(Success::of(
        "API key rotated; it is shown only once",
        issued.into(),
    ))
}

/// Revoke an API key for ever.
#[utoipa::path(delete, path = "/api/v1/me/api-keys/{id}", params(("id" = i64, Path)),
    responses((status = 200, body = Success<Nothing>)))]
pub async fn revoke(
    State(keys): State<Arc<ApiKeys>>,
    client: Client,
    user: AuthUser,
    Segment(id): Segment<ApiKeyId>,
) -> Answer<Nothing> {
    if !keys.revoke(user.address, id).await? {
        return Err(ApiError::not_found("API key"));
    }
    client.did(Event::KeyRevoked).wallet(user.address).key(id).log();
    Ok(Success::nothing("API key revoked"))
}
