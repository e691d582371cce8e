//! The wallet, its organizations and its projects.

use crate::{
    api::{
        orgs::{OrgView, SearchInput},
        projects::ProjectView,
    },
    http::{
        Answer, ApiError, Success,
        extract::{AuthUser, Input, PageQuery, Paging},
        wire::AddressText,
    },
};
use axum::extract::State;
use haithe_identity::Sessions;
use haithe_kernel::{Clock, Decimals, WalletAddress};
use haithe_orgs::{Organizations, Projects};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The caller's account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountView {
    #[schema(value_type = AddressText)]
    address: WalletAddress,
    /// First login.
    registered: String,
}

/// The caller's account.
#[utoipa::path(get, path = "/api/v1/me", responses((status = 200, body = Success<AccountView>)))]
pub async fn show(State(sessions): State<Arc<Sessions>>, user: AuthUser) -> Answer<AccountView> {
    let account = sessions.account(user.address).await?;
    let account = account.ok_or_else(|| ApiError::internal("a session without an account"))?;
    Ok(Success::of(
        "Account",
        AccountView {
            address: account.address,
            registered: account.created_at.legacy(),
        },
    ))
}

/// Organizations that the caller owns or belongs to, newest first.
#[utoipa::path(get, path = "/api/v1/me/orgs", params(SearchInput, PageQuery),
    responses((status = 200, body = Success<Vec<OrgView>>)))]
pub async fn orgs(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Paging(page): Paging,
    Input(search): Input<SearchInput>,
) -> Answer<Vec<OrgView>> {
    let orgs = organizations.of_wallet(user.address, search.name(), page).await?;
    Ok(Success::listed("Organizations", orgs))
}

/// Projects that the caller has a role in, newest first.
#[utoipa::path(get, path = "/api/v1/me/projects", params(SearchInput, PageQuery),
    responses((status = 200, body = Success<Vec<ProjectView>>)))]
pub async fn projects(
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    State(clock): State<Arc<dyn Clock>>,
    user: AuthUser,
    Paging(page): Paging,
    Input(search): Input<SearchInput>,
) -> Answer<Vec<ProjectView>> {
    let now = clock.now();
    let projects = projects.of_wallet(user.address, search.name(), page).await?;
    let projects = projects.map(|project| ProjectView::of(project, decimals, now));
    Ok(Success::listed("Projects", projects))
}
