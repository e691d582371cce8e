//! Between rows of `api_keys` and keys.

use crate::columns::Columns;
use haithe_identity::api_key::{ApiKey, KeyBudget, KeyScope, RouteFamily};
use haithe_kernel::{StoreError, Usdt};
use sqlx::postgres::PgRow;
use std::fmt::Display;

pub(super) fn key(row: &PgRow) -> Result<ApiKey, StoreError> {
    let columns = Columns::of(row);
    Ok(ApiKey {
        id: columns.get("api_keys.id")?,
        address: columns.get("api_keys.wallet_address")?,
        nonce: columns.get("api_keys.nonce")?,
        hash: columns.get("api_keys.hash")?,
        name: columns.get("api_keys.name")?,
        is_default: columns.get("api_keys.is_default")?,
        scope: KeyScope {
            org: columns.get("api_keys.scope_org")?,
            project: columns.get("api_keys.scope_project")?,
            models: models(columns.get("api_keys.scope_models")?)?,
            routes: routes(columns.get("api_keys.scope_routes")?)?,
        },
        expires_at: columns.get("api_keys.expires_at")?,
        budget: budget(
            columns.get("api_keys.budget_limit")?,
            columns.get("api_keys.budget_window")?,
        )?,
        requests_per_minute: columns.get("api_keys.requests_per_minute")?,
        tokens_per_minute: columns.get("api_keys.tokens_per_minute")?,
        issued_at: columns.get("api_keys.issued_at")?,
        last_used_at: columns.get("api_keys.last_used_at")?,
        revoked_at: columns.get("api_keys.revoked_at")?,
    })
}

/// A list of names, as a column holds it.
pub(super) fn list<T: Display>(names: &[T]) -> Result<String, StoreError> {
    let names: Vec<String> = names.iter().map(T::to_string).collect();
    serde_json::to_string(&names).map_err(StoreError::new)
}

fn models(json: Option<String>) -> Result<Option<Vec<String>>, StoreError> {
    json.map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|_| StoreError::inconsistent("api_keys.scope_models"))
}

fn routes(json: Option<String>) -> Result<Option<Vec<RouteFamily>>, StoreError> {
    let inconsistent = || StoreError::inconsistent("api_keys.scope_routes");
    json.map(|json| {
        let words: Vec<String> = serde_json::from_str(&json).map_err(|_| inconsistent())?;
        let families = words.iter().map(|word| word.parse().map_err(|_| inconsistent()));
        families.collect()
    })
    .transpose()
}

fn budget(limit: Option<Usdt>, window: Option<String>) -> Result<Option<KeyBudget>, StoreError> {
    let (Some(limit), Some(window)) = (limit, window) else {
        return Ok(None);
    };
    let window = window
        .parse()
        .map_err(|_| StoreError::inconsistent("api_keys.budget_window"))?;
    Ok(Some(KeyBudget { limit, window }))
}

/// The columns that [`key`] reads, between two pieces of SQL.
macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, wallet_address, nonce, hash, name, is_default, scope_org, scope_project, scope_models,
              scope_routes, expires_at, budget_limit, budget_window, requests_per_minute, tokens_per_minute,
              issued_at, last_used_at, revoked_at ",
            $after
        )
    };
}
pub(super) use with_columns;
