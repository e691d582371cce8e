//! The models an organization enabled.

use crate::{
    api::models::ModelView,
    http::{
        Answer, ApiError, Success,
        extract::{Acting, AuthUser, Input, PageQuery, Paging, Segment},
    },
};
use axum::extract::State;
use haithe_inference::Catalogue;
use haithe_kernel::{Decimals, Listed, ModelId, OrgId};
use haithe_orgs::Organizations;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The organization whose model was disabled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DisabledModel)]
pub struct DisabledView {
    id: i64,
}

/// A model of the catalogue.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ModelName {
    model_id: i64,
}

/// Models that the organization enabled and that are active.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/models",
    params(("id" = i64, Path, description = "The organization's number"), PageQuery),
    responses((status = 200, body = Success<Vec<ModelView>>)))]
pub async fn list(
    State(organizations): State<Arc<Organizations>>,
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
) -> Answer<Vec<ModelView>> {
    let enabled = organizations.models(user.address, id).await?;
    let models = catalogue.models().iter();
    let usable = models.filter(|model| model.active && enabled.contains(&model.id));
    let views = usable.map(|model| ModelView::of(model, decimals));
    Ok(Success::listed("Enabled models", Listed::of_all(views, page)))
}

/// Enable a model.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/models",
    params(("id" = i64, Path, description = "The organization's number"), ModelName), request_body = ModelName,
    responses((status = 200, body = Success<ModelView>)))]
pub async fn enable(
    State(organizations): State<Arc<Organizations>>,
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
    Input(input): Input<ModelName>,
) -> Answer<ModelView> {
    let model = ModelId(input.model_id);
    let known = catalogue.by_id(model).filter(|model| model.active);
    // Asked first, so that a stranger learns nothing about the organization from the model's absence.
    organizations
        .authorize(caller.address, id, haithe_orgs::Action::ManageModelsAndProjects)
        .await?;
    let known = known.ok_or_else(|| ApiError::not_found("model"))?;
    organizations.enable_model(caller, id, model).await?;
    Ok(Success::of("Model enabled", ModelView::of(known, decimals)))
}

/// Disable a model.
#[utoipa::path(delete, path = "/api/v1/orgs/{id}/models",
    params(("id" = i64, Path, description = "The organization's number"), ModelName), request_body = ModelName,
    responses((status = 200, body = Success<DisabledView>)))]
pub async fn disable(
    State(organizations): State<Arc<Organizations>>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
    Input(input): Input<ModelName>,
) -> Answer<DisabledView> {
    let model = ModelId(input.model_id);
    organizations.disable_model(caller, id, model).await?;
    Ok(Success::of("Model disabled", DisabledView { id: id.0 }))
}
