//! Members of an organization. The owner is none: the chain says who it is.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Input, Parsed, Segment},
    wire::AddressText,
};
use axum::extract::State;
use haithe_kernel::{OrgId, WalletAddress};
use haithe_orgs::{OrgMember, OrgRole, Organizations};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A member on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrgMember)]
pub struct OrgMemberView {
    org_id: i64,
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    role: &'static str,
    created_at: String,
}

impl From<OrgMember> for OrgMemberView {
    fn from(member: OrgMember) -> Self {
        Self {
            org_id: member.org.0,
            wallet_address: member.address,
            role: member.role.as_str(),
            created_at: member.created_at.legacy(),
        }
    }
}

/// A wallet and its role.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = OrgMemberInput)]
pub struct MemberInput {
    #[param(value_type = AddressText)]
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    /// `admin` or `member`.
    #[param(value_type = String, pattern = "^(admin|member)$")]
    #[schema(value_type = String, pattern = "^(admin|member)$")]
    role: Parsed<OrgRole>,
}

/// A wallet.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = OrgMemberName)]
pub struct MemberName {
    #[param(value_type = AddressText)]
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
}

/// Members of an organization, newest first, without the owner.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/members",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<Vec<OrgMemberView>>)))]
pub async fn list(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<Vec<OrgMemberView>> {
    let members = organizations.members(user.address, id).await?;
    Ok(Success::of(
        "Members",
        members.into_iter().map(OrgMemberView::from).collect(),
    ))
}

/// Add a member.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/members",
    params(("id" = i64, Path, description = "The organization's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<OrgMemberView>)))]
pub async fn add(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Input(input): Input<MemberInput>,
) -> Answer<OrgMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = organizations.add_member(user.address, id, address, role).await?;
    Ok(Success::of("Member added", member.into()))
}

/// Change a member's role.
#[utoipa::path(patch, path = "/api/v1/orgs/{id}/members",
    params(("id" = i64, Path, description = "The organization's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<OrgMemberView>)))]
pub async fn change(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Input(input): Input<MemberInput>,
) -> Answer<OrgMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = organizations
        .change_member(user.address, id, address, role)
        .await?;
    Ok(Success::of("Member changed", member.into()))
}

/// Remove a member, or leave.
#[utoipa::path(delete, path = "/api/v1/orgs/{id}/members",
    params(("id" = i64, Path, description = "The organization's number"), MemberName), request_body = MemberName,
    responses((status = 200, body = Success<OrgMemberView>)))]
pub async fn remove(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Input(input): Input<MemberName>,
) -> Answer<OrgMemberView> {
    let address = input.wallet_address;
    let member = organizations.remove_member(user.address, id, address).await?;
    Ok(Success::of("Member removed", member.into()))
}
