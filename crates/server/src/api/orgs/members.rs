//! Members of an organization. The owner is none: the chain says who it is.

use super::transaction::TransactionView;
use crate::http::{
    Answer, Success,
    extract::{Acting, AuthUser, Input, PageQuery, Paging, Parsed, Segment},
    wire::AddressText,
};
use axum::extract::State;
use haithe_kernel::{Decimals, OrgId, WalletAddress};
use haithe_orgs::{MemberChange, OrgMember, OrgRole, Organizations};
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
    /// What the contract says, as far as the index has come: `none`, `member` or `admin`. The server
    /// mirrors members; administrators are made and unmade by the owner's own transaction.
    on_chain_role: &'static str,
    /// What the owner has to sign so that the contract says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionView>,
}

impl From<OrgMember> for OrgMemberView {
    fn from(member: OrgMember) -> Self {
        Self {
            org_id: member.org.0,
            wallet_address: member.address,
            role: member.role.as_str(),
            created_at: member.created_at.legacy(),
            on_chain_role: member.on_chain.as_str(),
            transaction: None,
        }
    }
}

impl OrgMemberView {
    fn of(change: MemberChange, decimals: Decimals) -> Self {
        let transaction = change.transaction;
        Self {
            transaction: transaction.map(|transaction| TransactionView::of(transaction, decimals)),
            ..change.member.into()
        }
    }
}

/// Which members.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MembersInput {
    /// Only `admin` or only `member`.
    #[param(value_type = Option<String>, pattern = "^(admin|member)$")]
    role: Option<Parsed<OrgRole>>,
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
    params(("id" = i64, Path, description = "The organization's number"), MembersInput, PageQuery),
    responses((status = 200, body = Success<Vec<OrgMemberView>>)))]
pub async fn list(
    State(organizations): State<Arc<Organizations>>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
    Input(input): Input<MembersInput>,
) -> Answer<Vec<OrgMemberView>> {
    let role = input.role.map(|role| role.0);
    let members = organizations.members(user.address, id, role, page).await?;
    Ok(Success::listed("Members", members))
}

/// Add a member.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/members",
    params(("id" = i64, Path, description = "The organization's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<OrgMemberView>)))]
pub async fn add(
    State(organizations): State<Arc<Organizations>>,
    State(decimals): State<Decimals>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
    Input(input): Input<MemberInput>,
) -> Answer<OrgMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = organizations.add_member(caller, id, address, role).await?;
    Ok(Success::of("Member added", OrgMemberView::of(member, decimals)))
}

/// Change a member's role.
#[utoipa::path(patch, path = "/api/v1/orgs/{id}/members",
    params(("id" = i64, Path, description = "The organization's number"), MemberInput), request_body = MemberInput,
    responses((status = 200, body = Success<OrgMemberView>)))]
pub async fn change(
    State(organizations): State<Arc<Organizations>>,
    State(decimals): State<Decimals>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
    Input(input): Input<MemberInput>,
) -> Answer<OrgMemberView> {
    let (address, role) = (input.wallet_address, input.role.0);
    let member = organizations.change_member(caller, id, address, role).await?;
    Ok(Success::of("Member changed", OrgMemberView::of(member, decimals)))
}

/// Remove a member, or leave.
#[utoipa::path(delete, path = "/api/v1/orgs/{id}/members",
    params(("id" = i64, Path, description = "The organization's number"), MemberName), request_body = MemberName,
    responses((status = 200, body = Success<OrgMemberView>)))]
pub async fn remove(
    State(organizations): State<Arc<Organizations>>,
    State(decimals): State<Decimals>,
    Acting(caller): Acting,
    Segment(id): Segment<OrgId>,
    Input(input): Input<MemberName>,
) -> Answer<OrgMemberView> {
    let address = input.wallet_address;
    let member = organizations.remove_member(caller, id, address).await?;
    Ok(Success::of("Member removed", OrgMemberView::of(member, decimals)))
}
