//! One project, and how it begins.

use super::ProjectView;
use crate::http::{
    Answer, ApiError, Success,
    extract::{AuthUser, Change, Params, Segment},
    wire::amount_of,
};
use axum::extract::State;
use haithe_inference::Catalogue;
use haithe_kernel::{Decimals, ModelId, OrgId, ProjectId, Usdt};
use haithe_orgs::{Action, ProjectChange, Projects};
use std::sync::Arc;

/// `POST /` with `org_id`, `name`
pub async fn create(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    params: Params,
) -> Answer<ProjectView> {
    let org = OrgId(params.required("org_id")?);
    let name: String = params.required("name")?;
    let project = projects.create(user.address, org, &name).await?;
    Ok(Success::of("Project created", ProjectView::of(project, decimals)))
}

/// `GET /{id}`
pub async fn show(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<ProjectView> {
    let access = projects.authorize(user.address, id, Action::ReadProject).await?;
    Ok(Success::of("Project", ProjectView::of(access.project, decimals)))
}

/// `PATCH /{id}` with any of `name`, `search_enabled`, `memory_enabled`, `memory_window`,
/// `memory_retention_days`, `default_model_id`, `price_per_call`, `public`
pub async fn change(
    State(projects): State<Arc<Projects>>,
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    params: Params,
) -> Answer<ProjectView> {
    let change = ProjectChange {
        name: params.optional("name")?,
        search_enabled: params.optional("search_enabled")?,
        memory_enabled: params.optional("memory_enabled")?,
        memory_window: params.optional("memory_window")?,
        memory_retention_days: match params.change("memory_retention_days")? {
            Change::Keep => None,
            Change::Clear => Some(None),
            Change::Set(days) => Some(Some(days)),
        },
        default_model: params.optional("default_model_id")?.map(ModelId),
        price_per_call: price(&params, decimals)?,
        public: params.optional("public")?,
    };
    let unknown = |model: &ModelId| catalogue.by_id(*model).is_none_or(|model| !model.active);
    if change.default_model.as_ref().is_some_and(unknown) {
        // The caller's right to know the project comes before what is wrong with the request.
        projects
            .authorize(user.address, id, Action::ConfigureProject)
            .await?;
        return Err(ApiError::parameter("default_model_id", "there is no such model"));
    }
    let project = projects.change(user.address, id, change).await?;
    Ok(Success::of("Project changed", ProjectView::of(project, decimals)))
}

fn price(params: &Params, decimals: Decimals) -> Result<Option<Usdt>, ApiError> {
    let Some(text) = params.optional::<String>("price_per_call")? else {
        return Ok(None);
    };
    amount_of(&text, decimals)
        .map(Some)
        .map_err(|problem| ApiError::parameter("price_per_call", problem))
}

/// `DELETE /{id}`
pub async fn delete(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<ProjectView> {
    let project = projects.delete(user.address, id).await?;
    Ok(Success::of("Project deleted", ProjectView::of(project, decimals)))
}
