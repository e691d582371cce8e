//! Members of a project.

use crate::http::{
    Answer, Success,
    extract::{Acting, AuthUser, Input, PageQuery, Paging, Parsed, Segment},
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

/// Which members.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MembersInput {
    /// Only `admin`, only `developer` or only `viewer`.
    #[param(value_type = Option<String>, pattern = "^(admin|developer|viewer)$")]
    role: Option<Parsed<ProjectRole>>,
}

/// Members of a project, newest first.
#[utoipa::path(get, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number"), MembersInput, PageQuery),
    responses((status = 200, body = Success<Vec<ProjectMemberView>>)))]
pub async fn list(
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
    Paging(page): Paging,
    Input(input): Input<MembersInput>,
) -> Answer<Vec<ProjectMemberView>> {
    let role = input.role.map(|role| role.0);
    let members = projects.members(user.address, id, role, page).await?;
    Ok(Success::listed("Members", members))
}

/// Add a member.
#[utoipa::path(post, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<ProjectMemberView>)))]
pub async fn add(
    State(projects): State<Arc<Projects>>,
    Acting(caller): Acting,
    Segment(id): Segment<ProjectId>,
    Input(input): Input<MemberInput>,
) -> Answer<ProjectMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = projects.add_member(caller, id, address, role).await?;
    Ok(Success::of("Member added", member.into()))
}

/// Change a member's role.
#[utoipa::path(patch, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<ProjectMemberView>)))]
pub async fn change(
    State(projects): State<Arc<Projects>>,
    Acting(caller): Acting,
    Segment(id): Segment<ProjectId>,
    Input(input): Input<MemberInput>,
) -> Answer<ProjectMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = projects.change_member(caller, id, address, role).await?;
    Ok(Success::of("Member changed", member.into()))
}

/// Remove a member, or leave.
#[utoipa::path(delete, path = "/api/v1/projects/{id}/members",
    params(("id" = i64, Path, description = "The project's number"), MemberName), request_body = MemberName,
    responses((status = 200, body = Success<ProjectMemberView>)))]
pub async fn remove(
    State(projects): State<Arc<Projects>>,
    Acting(caller): Acting,
    Segment(id): Segment<ProjectId>,
    Input(input): Input<MemberName>,
) -> Answer<ProjectMemberView> {
    let address = input.wallet_address;
    let member = projects.remove_member(caller, id, address).await?;
    Ok(Success::of("Member removed", member.into()))
}
