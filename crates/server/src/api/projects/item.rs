//! One project, and how it begins.

use super::ProjectView;
use crate::http::{
    Answer, ApiError, Success,
    amount::AmountInput,
    extract::{Acting, AuthUser, Change, Input, Segment},
    idempotency::About,
    wire::BaseUnits,
};
use axum::extract::State;
use haithe_inference::Catalogue;
use haithe_kernel::{Clock, Decimals, ModelId, OrgId, ProjectId};
use haithe_orgs::{Action, ProjectChange, Projects};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A new project.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = ProjectInput)]
pub struct CreateInput {
    /// The organization that owns it.
    org_id: i64,
    /// 1 to 64 characters.
    name: String,
}

/// Create a project.
#[utoipa::path(post, path = "/api/v1/projects",
    params(CreateInput), request_body = CreateInput,
    responses((status = 200, body = Success<ProjectView>)))]
pub async fn create(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    State(clock): State<Arc<dyn Clock>>,
    Acting(caller): Acting,
    Input(input): Input<CreateInput>,
) -> Answer<ProjectView> {
    let now = clock.now();
    let project = projects.create(caller, OrgId(input.org_id), &input.name).await?;
    let about = About::Project(project.id.0);
    Ok(Success::of("Project created", ProjectView::of(project, decimals, now)).about(about))
}

/// A project.
#[utoipa::path(get, path = "/api/v1/projects/{id}",
    params(("id" = i64, Path, description = "The project's number")),
    responses((status = 200, body = Success<ProjectView>)))]
pub async fn show(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    State(clock): State<Arc<dyn Clock>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<ProjectView> {
    let now = clock.now();
    let access = projects.authorize(user.address, id, Action::ReadProject).await?;
    Ok(Success::of(
        "Project",
        ProjectView::of(access.project, decimals, now),
    ))
}

/// What to change; at least one of them.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = ProjectChange)]
pub struct ChangeInput {
    /// 1 to 64 characters.
    name: Option<String>,
    search_enabled: Option<bool>,
    memory_enabled: Option<bool>,
    /// Messages of memory put before the model.
    #[param(minimum = 0, maximum = 100)]
    #[schema(minimum = 0, maximum = 100)]
    memory_window: Option<u8>,
    /// Days that memory is kept; `null` keeps it until it is deleted.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 3650)]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 3650)]
    memory_retention_days: Change<u16>,
    /// Whether calls go on without a product that cannot be loaded; else they are refused.
    skip_unavailable_products: Option<bool>,
    default_model_id: Option<i64>,
    /// What another organization pays per call, in base units; a whole number of nano-USDT.
    #[serde(default)]
    #[param(value_type = Option<BaseUnits>)]
    #[schema(value_type = Option<BaseUnits>)]
    price_per_call: Change<String>,
    /// What another organization pays per call, in USDT; instead of `price_per_call`.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "0.05")]
    #[schema(value_type = Option<String>, example = "0.05")]
    price_per_call_usdt: Change<String>,
    /// May other organizations call it?
    public: Option<bool>,
}

/// Change a project's configuration, price or public flag.
#[utoipa::path(patch, path = "/api/v1/projects/{id}",
    params(("id" = i64, Path, description = "The project's number"), ChangeInput), request_body = ChangeInput,
    responses((status = 200, body = Success<ProjectView>)))]
pub async fn change(
    State(projects): State<Arc<Projects>>,
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
    State(clock): State<Arc<dyn Clock>>,
    Acting(caller): Acting,
    Segment(id): Segment<ProjectId>,
    Input(input): Input<ChangeInput>,
) -> Answer<ProjectView> {
    let now = clock.now();
    let price = AmountInput::new("price_per_call", input.price_per_call, input.price_per_call_usdt);
    let change = ProjectChange {
        name: input.name,
        search_enabled: input.search_enabled,
        memory_enabled: input.memory_enabled,
        memory_window: input.memory_window,
        memory_retention_days: input.memory_retention_days.nested(),
        skip_unavailable_products: input.skip_unavailable_products,
        default_model: input.default_model_id.map(ModelId),
        price_per_call: price.may_be_small().optional_usdt(decimals)?,
        public: input.public,
    };
    let unknown = |model: &ModelId| catalogue.by_id(*model).is_none_or(|model| !model.active);
    if change.default_model.as_ref().is_some_and(unknown) {
        // The caller's right to know the project comes before what is wrong with the request.
        projects
            .authorize(caller.address, id, Action::ConfigureProject)
            .await?;
        return Err(ApiError::parameter("default_model_id", "there is no such model"));
    }
    let project = projects.change(caller, id, change).await?;
    Ok(Success::of(
        "Project changed",
        ProjectView::of(project, decimals, now),
    ))
}

/// Delete a project; its usage records and receipts stay.
#[utoipa::path(delete, path = "/api/v1/projects/{id}",
    params(("id" = i64, Path, description = "The project's number")),
    responses((status = 200, body = Success<ProjectView>)))]
pub async fn delete(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    State(clock): State<Arc<dyn Clock>>,
    Acting(caller): Acting,
    Segment(id): Segment<ProjectId>,
) -> Answer<ProjectView> {
    let now = clock.now();
    let project = projects.delete(caller, id).await?;
    Ok(Success::of(
        "Project deleted",
        ProjectView::of(project, decimals, now),
    ))
}
