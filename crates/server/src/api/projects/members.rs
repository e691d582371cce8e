//! Members of a project.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Input, Parsed, Segment},
    wire::AddressText,
};
use axum::extract::State;
use haithe_kernel::{ProjectId, WalletAddress};
use haithe_orgs::{ProjectMember, ProjectRole, Projects};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A member on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectMember)]
pub struct ProjectMemberView {
    project_id: i64,
    #[schema(value_type = AddressText)]
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

/// A wallet and its role.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = ProjectMemberInput)]
pub struct MemberInput {
    #[param(value_type = AddressText)]
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    /// `admin`, `developer` or `viewer`.
    #[param(value_type = String, pattern = "^(admin|developer|viewer)$")]
    #[schema(value_type = String, pattern = "^(admin|developer|viewer)$")]
    role: Parsed<ProjectRole>,
}

/// A wallet.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = ProjectMemberName)]
pub struct MemberName {
    #[param(value_type = AddressText)]
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
}

/// Members of a project.
#[utoipa::path(get, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number")),
    responses((status = 200, body = Success<Vec<ProjectMemberView>>)))]
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

/// Add a member.
#[utoipa::path(post, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<ProjectMemberView>)))]
pub async fn add(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    Input(input): Input<MemberInput>,
) -> Answer<ProjectMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = projects.add_member(user.address, id, address, role).await?;
    Ok(Success::of("Member added", member.into()))
}

/// Change a member's role.
#[utoipa::path(patch, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<ProjectMemberView>)))]
pub async fn change(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    Input(input): Input<MemberInput>,
) -> Answer<ProjectMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = projects.change_member(user.address, id, address, role).await?;
    Ok(Success::of("Member changed", member.into()))
}

/// Remove a member, or leave.
#[utoipa::path(delete, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number"), MemberName), request_body = MemberName,
    responses((status = 200, body = Success<ProjectMemberView>)))]
pub async fn remove(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    Input(input): Input<MemberName>,
) -> Answer<ProjectMemberView> {
    let address = input.wallet_address;
    let member = projects.remove_member(user.address, id, address).await?;
    Ok(Success::of("Member removed", member.into()))
}
