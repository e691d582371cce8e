//! An organization's settings.

use crate::api::me::keys::BudgetView;
use crate::http::{
    Answer, ApiError, Success,
    extract::{Acting, AuthUser, Change, Input, Parsed, Segment},
};
use axum::extract::State;
use haithe_inference::Catalogue;
use haithe_kernel::{ModelId, OrgId};
use haithe_orgs::{Action, IpAllowlist, OrgSettings, OrgSettingsChange, Organizations, PromptLog, Settings};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// An organization's settings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrgSettings)]
pub struct SettingsView {
    /// What new projects begin with; `null` is the service's default.
    default_model_id: Option<i64>,
    /// What of calls may be logged: `none`, `metadata` or `full`.
    prompt_log: &'static str,
    /// Networks that calls on the organization's account may come from; empty: all.
    ip_allowlist: Vec<String>,
    /// What a new API key may spend, unless its maker names another budget; `null`: no limit.
    #[schema(required = true)]
    default_key_budget: Option<BudgetView>,
}

impl From<OrgSettings> for SettingsView {
    fn from(settings: OrgSettings) -> Self {
        Self {
            default_model_id: settings.default_model.map(|model| model.0),
            prompt_log: settings.prompt_log.as_str(),
            ip_allowlist: settings.ip_allowlist.texts(),
            default_key_budget: settings.default_key_budget.map(BudgetView::from),
        }
    }
}

/// What to change; at least one of them.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = OrgSettingsChange)]
pub struct SettingsInput {
    /// `null` is the service's default.
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    #[schema(value_type = Option<i64>)]
    default_model_id: Change<i64>,
    #[param(value_type = Option<String>, pattern = "^(none|metadata|full)$")]
    #[schema(value_type = Option<String>, pattern = "^(none|metadata|full)$")]
    prompt_log: Option<Parsed<PromptLog>>,
    /// Addresses or networks such as `203.0.113.0/24`; in a JSON body only.
    #[schema(max_items = 100)]
    ip_allowlist: Option<Vec<String>>,
    /// What keys that are made afterwards may spend, unless their maker names another budget; in a JSON
    /// body only. `null` is no limit.
    #[serde(default)]
    #[param(ignore)]
    #[schema(value_type = Option<BudgetView>)]
    default_key_budget: Change<BudgetView>,
}

/// An organization's settings.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/settings",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<SettingsView>)))]
pub async fn show(
    State(settings): State<Arc<Settings>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<SettingsView> {
    let settings = settings.show(user.address, id).await?;
    Ok(Success::of("Settings", settings.into()))
}

/// Change an organization's settings.
///
/// They hold for calls that begin afterwards. The allowlist is for calls of models only: it locks
/// nobody out of these routes.
#[utoipa::path(patch, path = "/api/v1/orgs/{id}/settings",
    params(("id" = i64, Path, description = "The organization's number"), SettingsInput), request_body = SettingsInput,
    responses((status = 200, body = Success<SettingsView>)))]
pub async fn change(
    State(settings): State<Arc<Settings>>,
    State(organizations): State<Arc<Organizations>>,
    State(catalogue): State<Arc<Catalogue>>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
    Input(input): Input<SettingsInput>,
) -> Answer<SettingsView> {
    // The caller's right to know the organization comes before what is wrong with the request.
    organizations
        .authorize(caller.address, id, Action::ManageOrg)
        .await?;
    let default_model = input.default_model_id.nested().map(|id| id.map(ModelId));
    let known = |model: ModelId| catalogue.by_id(model).is_some_and(|model| model.active);
    if default_model.flatten().is_some_and(|model| !known(model)) {
        return Err(ApiError::parameter("default_model_id", "there is no such model"));
    }
    let list = input.ip_allowlist.map(|texts| IpAllowlist::parse(&texts));
    let change = OrgSettingsChange {
        default_model,
        prompt_log: input.prompt_log.map(|policy| policy.0),
        ip_allowlist: list
            .transpose()
            .map_err(|problem| ApiError::parameter("ip_allowlist", problem))?,
        default_key_budget: input
            .default_key_budget
            .nested()
            .map(|budget| budget.map(|budget| budget.read("default_key_budget")).transpose())
            .transpose()?,
    };
    let settings = settings.change(caller, id, change).await?;
    Ok(Success::of("Settings changed", settings.into()))
}
