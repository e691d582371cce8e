//! The models an organization enabled.

use crate::{
    api::models::ModelView,
    http::{
        Answer, ApiError, Success,
        extract::{AuthUser, Params, Segment},
    },
};
use axum::extract::State;
use haithe_inference::Catalogue;
use haithe_kernel::{Decimals, ModelId, OrgId};
use haithe_orgs::Organizations;
use serde::Serialize;
use std::sync::Arc;

/// The organization whose model was disabled.
#[derive(Debug, Serialize)]
pub struct DisabledView {
    id: i64,
}

/// `GET /{id}/models`: enabled and active
pub async fn list(
    State(organizations): State<Arc<Organizations>>,
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<Vec<ModelView>> {
    let enabled = organizations.models(user.address, id).await?;
    let models = catalogue.models().iter();
    let usable = models.filter(|model| model.active && enabled.contains(&model.id));
    let views = usable.map(|model| ModelView::of(model, decimals)).collect();
    Ok(Success::of("Enabled models", views))
}

/// `POST /{id}/models` with `model_id`
pub async fn enable(
    State(organizations): State<Arc<Organizations>>,
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    params: Params,
) -> Answer<ModelView> {
    let model = ModelId(params.required("model_id")?);
    let known = catalogue.by_id(model).filter(|model| model.active);
    // Asked first, so that a stranger learns nothing about the organization from the model's absence.
    organizations
        .authorize(user.address, id, haithe_orgs::Action::ManageModelsAndProjects)
        .await?;
    let known = known.ok_or_else(|| ApiError::not_found("model"))?;
    organizations.enable_model(user.address, id, model).await?;
    Ok(Success::of("Model enabled", ModelView::of(known, decimals)))
}

/// `DELETE /{id}/models` with `model_id`
pub async fn disable(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    params: Params,
) -> Answer<DisabledView> {
    let model = ModelId(params.required("model_id")?);
    organizations.disable_model(user.address, id, model).await?;
    Ok(Success::of("Model disabled", DisabledView { id: id.0 }))
}
