//! One organization.

use super::{OrgView, SearchInput};
use crate::{
    api::projects::ProjectView,
    http::{
        Answer, Success,
        extract::{Acting, AuthUser, Input, PageQuery, Paging, Segment},
    },
};
use axum::extract::State;
use haithe_kernel::{Clock, Decimals, OrgId};
use haithe_orgs::{Action, Organizations, Projects};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// An organization.
#[utoipa::path(get, path = "/api/v1/orgs/{id}",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<OrgView>)))]
pub async fn show(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<OrgView> {
    let access = organizations.authorize(user.address, id, Action::ReadOrg).await?;
    Ok(Success::of("Organization", access.org.into()))
}

/// What to change.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[schema(as = OrganizationChange)]
#[into_params(parameter_in = Query)]
pub struct RenameInput {
    /// The shown name: 1 to 64 characters. The name on chain stays.
    name: String,
}

/// Rename an organization.
#[utoipa::path(patch, path = "/api/v1/orgs/{id}",
    params(("id" = i64, Path, description = "The organization's number"), RenameInput), request_body = RenameInput,
    responses((status = 200, body = Success<OrgView>)))]
pub async fn rename(
    State(organizations): State<Arc<Organizations>>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
    Input(RenameInput { name }): Input<RenameInput>,
) -> Answer<OrgView> {
    let org = organizations.rename(caller, id, &name).await?;
    Ok(Success::of("Organization renamed", org.into()))
}

/// Delete an organization.
///
/// Refused while calls are held; a deleted organization takes no calls and keeps settling.
#[utoipa::path(delete, path = "/api/v1/orgs/{id}",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<OrgView>)))]
pub async fn delete(
    State(organizations): State<Arc<Organizations>>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
) -> Answer<OrgView> {
    let org = organizations.delete(caller, id).await?;
    Ok(Success::of("Organization deleted", org.into()))
}

/// Projects of an organization, newest first.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/projects",
    params(("id" = i64, Path, description = "The organization's number"), SearchInput, PageQuery),
    responses((status = 200, body = Success<Vec<ProjectView>>)))]
pub async fn projects(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    State(clock): State<Arc<dyn Clock>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
    Input(search): Input<SearchInput>,
) -> Answer<Vec<ProjectView>> {
    let now = clock.now();
    let projects = projects.of_org(user.address, id, search.name(), page).await?;
    let projects = projects.map(|project| ProjectView::of(project, decimals, now));
    Ok(Success::listed("Projects", projects))
}
