//! Members of an organization. The owner is none: the chain says who it is.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Params, Segment},
};
use axum::extract::State;
use haithe_kernel::{OrgId, WalletAddress};
use haithe_orgs::{OrgMember, Organizations};
use serde::Serialize;
use std::sync::Arc;

/// A member on the wire.
#[derive(Debug, Serialize)]
pub struct OrgMemberView {
    org_id: i64,
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

/// `GET /{id}/members`
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

/// `POST /{id}/members` with `wallet_address`, `role`
pub async fn add(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    params: Params,
) -> Answer<OrgMemberView> {
    let (address, role) = (params.required("wallet_address")?, params.required("role")?);
    let member = organizations.add_member(user.address, id, address, role).await?;
    Ok(Success::of("Member added", member.into()))
}

/// `PATCH /{id}/members` with `wallet_address`, `role`
pub async fn change(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    params: Params,
) -> Answer<OrgMemberView> {
    let (address, role) = (params.required("wallet_address")?, params.required("role")?);
    let member = organizations
        .change_member(user.address, id, address, role)
        .await?;
    Ok(Success::of("Member changed", member.into()))
}

/// `DELETE /{id}/members` with `wallet_address`
pub async fn remove(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    params: Params,
) -> Answer<OrgMemberView> {
    let address = params.required("wallet_address")?;
    let member = organizations.remove_member(user.address, id, address).await?;
    Ok(Success::of("Member removed", member.into()))
}
