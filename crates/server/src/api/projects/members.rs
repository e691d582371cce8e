//! Members of a project.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Params, Segment},
};
use axum::extract::State;
use haithe_kernel::{ProjectId, WalletAddress};
use haithe_orgs::{ProjectMember, Projects};
use serde::Serialize;
use std::sync::Arc;

/// A member on the wire.
#[derive(Debug, Serialize)]
pub struct ProjectMemberView {
    project_id: i64,
    wallet_address: WalletAddress,
    role: &'static str,
}

impl From<ProjectMember> for ProjectMemberView {
    fn from(member: ProjectMember) -> Self {
        Self {
            project_id: member.project.0,
            wallet_address: member.address,
            role: member.role.as_str(),
        }
    }
}

/// `GET /{id}/members`
pub async fn list(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<Vec<ProjectMemberView>> {
    let members = projects.members(user.address, id).await?;
    Ok(Success::of(
        "Members",
        members.into_iter().map(ProjectMemberView::from).collect(),
    ))
}

/// `POST /{id}/members` with `wallet_address`, `role`
pub async fn add(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    params: Params,
) -> Answer<ProjectMemberView> {
    let (address, role) = (params.required("wallet_address")?, params.required("role")?);
    let member = projects.add_member(user.address, id, address, role).await?;
    Ok(Success::of("Member added", member.into()))
}

/// `PATCH /{id}/members` with `wallet_address`, `role`
pub async fn change(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    params: Params,
) -> Answer<ProjectMemberView> {
    let (address, role) = (params.required("wallet_address")?, params.required("role")?);
    let member = projects.change_member(user.address, id, address, role).await?;
    Ok(Success::of("Member changed", member.into()))
}

/// `DELETE /{id}/members` with `wallet_address`
pub async fn remove(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    params: Params,
) -> Answer<ProjectMemberView> {
    let address = params.required("wallet_address")?;
    let member = projects.remove_member(user.address, id, address).await?;
    Ok(Success::of("Member removed", member.into()))
}
