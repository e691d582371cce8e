//! New organizations.

use super::OrgView;
use crate::http::{
    Answer, Success,
    extract::{AuthUser, Params},
};
use axum::extract::State;
use haithe_orgs::Organizations;
use serde::Serialize;
use std::sync::Arc;

/// The caller's organization, and how many the index holds.
#[derive(Debug, Serialize)]
pub struct CreatedView {
    #[serde(flatten)]
    organization: OrgView,
    count: u64,
}

/// `POST /`: after the wallet's own `createOrganization`, finds it; with `name`, deploys one for the
/// wallet.
pub async fn create(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    params: Params,
) -> Answer<CreatedView> {
    let name: Option<String> = params.optional("name")?;
    let (organization, count) = match name {
        Some(name) => organizations.deploy(user.address, &name).await?,
        None => organizations.newest(user.address).await?,
    };
    Ok(Success::of(
        "Organization",
        CreatedView {
            organization: organization.into(),
            count,
        },
    ))
}
