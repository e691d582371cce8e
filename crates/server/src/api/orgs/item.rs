//! One organization.

use super::OrgView;
use crate::{
    api::projects::ProjectView,
    http::{
        Answer, Success,
        extract::{AuthUser, Params, Segment},
    },
};
use axum::extract::State;
use haithe_billing::ports::Ledger;
use haithe_kernel::{Decimals, OrgId, Usdt};
use haithe_orgs::{Action, Organizations, Projects};
use std::sync::Arc;

/// `GET /{id}`
pub async fn show(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<OrgView> {
    let access = organizations.authorize(user.address, id, Action::ReadOrg).await?;
    Ok(Success::of("Organization", access.org.into()))
}

/// `PATCH /{id}` with `name`
pub async fn rename(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    params: Params,
) -> Answer<OrgView> {
    let name: String = params.required("name")?;
    let org = organizations.rename(user.address, id, &name).await?;
    Ok(Success::of("Organization renamed", org.into()))
}

/// `DELETE /{id}`: refused while calls are held; a deleted organization keeps settling.
pub async fn delete(
    State(organizations): State<Arc<Organizations>>,
    State(ledger): State<Arc<dyn Ledger>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<OrgView> {
    let access = organizations
        .authorize(user.address, id, Action::ManageOrgAdmins)
        .await?;
    let held = ledger.balance(id).await?.held;
    let org = organizations.delete(&access, held > Usdt::ZERO).await?;
    Ok(Success::of("Organization deleted", org.into()))
}

/// `GET /{id}/projects`
pub async fn projects(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<Vec<ProjectView>> {
    let projects = projects.of_org(user.address, id).await?;
    let view = |project| ProjectView::of(project, decimals);
    Ok(Success::of("Projects", projects.into_iter().map(view).collect()))
}
