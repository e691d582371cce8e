//! New organizations.

use super::OrgView;
use crate::http::{
    Answer, Success,
    extract::{AuthUser, Input},
    idempotency::About,
};
use axum::extract::State;
use haithe_orgs::Organizations;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The caller's organization, and how many the index holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedOrganization)]
pub struct CreatedView {
    #[serde(flatten)]
    organization: OrgView,
    count: u64,
}

/// A new organization.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[schema(as = OrganizationInput)]
#[into_params(parameter_in = Query)]
pub struct CreateInput {
    /// Deploys one of this name on the wallet's behalf.
    name: Option<String>,
}

/// Find the wallet's newest organization, or deploy one.
///
/// After the wallet's own `createOrganization`, finds it; with `name`, deploys one for the wallet.
#[utoipa::path(post, path = "/api/v1/orgs", params(CreateInput), request_body = CreateInput,
    responses((status = 200, body = Success<CreatedView>)))]
pub async fn create(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Input(CreateInput { name }): Input<CreateInput>,
) -> Answer<CreatedView> {
    let (organization, count) = match name {
        Some(name) => organizations.deploy(user.address, &name).await?,
        None => organizations.newest(user.address).await?,
    };
    let about = About::Org(organization.id.0);
    let view = CreatedView {
        organization: organization.into(),
        count,
    };
    Ok(Success::of("Organization", view).about(about))
}
