//! Who owns an organization. It changes on chain only: these routes give what has to be signed.

use super::transaction::TransactionView;
use crate::http::{
    Answer, Success,
    extract::{AuthUser, Input, Segment},
    wire::AddressText,
};
use axum::extract::State;
use haithe_kernel::{Decimals, OrgId, WalletAddress};
use haithe_orgs::{Ownership, UnsignedTransaction, ownership::OwnershipState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Owner and pending owner, as far as the index has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ownership)]
pub struct OwnershipView {
    #[schema(value_type = AddressText)]
    owner: WalletAddress,
    /// Who it was offered to and has not accepted.
    #[schema(value_type = Option<AddressText>)]
    pending_owner: Option<WalletAddress>,
    /// What has to be signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionView>,
}

impl OwnershipView {
    fn of(state: OwnershipState, transaction: Option<UnsignedTransaction>, decimals: Decimals) -> Self {
        Self {
            owner: state.owner,
            pending_owner: state.pending,
            transaction: transaction.map(|transaction| TransactionView::of(transaction, decimals)),
        }
    }
}

/// Who shall own the organization.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = OwnershipInput)]
pub struct OfferInput {
    #[param(value_type = AddressText)]
    #[schema(value_type = AddressText)]
    new_owner: WalletAddress,
}

/// Owner and pending owner of an organization.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/ownership",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<OwnershipView>)))]
pub async fn show(
    State(ownership): State<Arc<Ownership>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<OwnershipView> {
    let state = ownership.show(user.address, id).await?;
    Ok(Success::of("Ownership", OwnershipView::of(state, None, decimals)))
}

/// The transaction by which the owner offers ownership, or the pending owner accepts it.
///
/// The owner names the wallet to offer it to; the wallet it was offered to names itself. Ownership
/// changes once both transactions are on chain.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/ownership",
    params(("id" = i64, Path, description = "The organization's number"), OfferInput), request_body = OfferInput,
    responses((status = 200, body = Success<OwnershipView>)))]
pub async fn offer(
    State(ownership): State<Arc<Ownership>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Input(input): Input<OfferInput>,
) -> Answer<OwnershipView> {
    let (state, transaction) = ownership.hand_over(user.address, id, input.new_owner).await?;
    let view = OwnershipView::of(state, Some(transaction), decimals);
    Ok(Success::of("Sign this transaction", view))
}

/// The transaction by which the owner takes an offer of ownership back.
#[utoipa::path(delete, path = "/api/v1/orgs/{id}/ownership",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<OwnershipView>)))]
pub async fn take_back(
    State(ownership): State<Arc<Ownership>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<OwnershipView> {
    let (state, transaction) = ownership.take_back(user.address, id).await?;
    let view = OwnershipView::of(state, Some(transaction), decimals);
    Ok(Success::of("Sign this transaction", view))
}
