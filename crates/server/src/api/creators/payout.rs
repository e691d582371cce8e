//! A creator's second payout address. It changes on chain only: these routes give what has to be signed.

use crate::{
    api::orgs::transaction::TransactionView,
    http::{
        Answer, Success,
        extract::{AuthUser, Input, Segment},
        wire::AddressText,
    },
};
use axum::extract::State;
use haithe_billing::earnings::{CreatorEarnings, PayoutAddress};
use haithe_kernel::{Decimals, WalletAddress};
use haithe_orgs::UnsignedTransaction;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Where a creator can be paid beside its own address, as far as the index has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PayoutAddress)]
pub struct PayoutView {
    /// The address in effect; null when there is none. The creator's own address can always be paid.
    #[schema(value_type = Option<AddressText>, required = true)]
    payout_address: Option<WalletAddress>,
    /// The announced address that takes effect next; null when there is none.
    #[schema(value_type = Option<AddressText>, required = true)]
    next_payout_address: Option<WalletAddress>,
    /// When it does, in block time.
    #[schema(format = DateTime, required = true)]
    next_payout_at: Option<String>,
    /// What to sign to take all settled earnings out to the address in effect; absent when there is
    /// nothing, no address is in effect, or the chain is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    withdrawal: Option<TransactionView>,
}

impl PayoutView {
    fn of(payout: PayoutAddress, withdrawal: Option<UnsignedTransaction>, decimals: Decimals) -> Self {
        Self {
            payout_address: payout.current,
            next_payout_address: payout.next.map(|(to, _)| to),
            next_payout_at: payout.next.map(|(_, at)| at.rfc3339()),
            withdrawal: withdrawal.map(|transaction| TransactionView::of(transaction, decimals)),
        }
    }
}

/// The present payout address, and what changes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PayoutAddressToSign)]
pub struct PayoutToSignView {
    #[serde(flatten)]
    payout: PayoutView,
    transaction: TransactionView,
}

impl PayoutToSignView {
    fn of((payout, transaction): (PayoutAddress, UnsignedTransaction), decimals: Decimals) -> Self {
        Self {
            payout: PayoutView::of(payout, None, decimals),
            transaction: TransactionView::of(transaction, decimals),
        }
    }
}

/// Where the creator shall be paid beside its own address.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = PayoutAddressInput)]
pub struct PayoutInput {
    /// Neither the zero address nor the creator's own.
    #[param(value_type = AddressText)]
    #[schema(value_type = AddressText)]
    payout_address: WalletAddress,
}

/// The second payout address of the wallet's own earnings.
///
/// Another wallet's is as if there were none. Lets the index catch up first (a second at most).
#[utoipa::path(get, path = "/api/v1/creator/{address}/payout-address",
    params(("address" = AddressText, Path)), responses((status = 200, body = Success<PayoutView>)))]
pub async fn show(
    State(earnings): State<Arc<CreatorEarnings>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(address): Segment<WalletAddress>,
) -> Answer<PayoutView> {
    let (payout, withdrawal) = earnings.payout(user.address, address).await?;
    let view = PayoutView::of(payout, withdrawal, decimals);
    Ok(Success::of("Payout address", view))
}

/// The transaction by which the creator announces a second payout address.
///
/// For a creator whose own address the payment token refuses. The address takes effect after the contracts'
/// withdrawal delay; another announcement replaces it. The address in effect stays until then.
#[utoipa::path(post, path = "/api/v1/creator/{address}/payout-address",
    params(("address" = AddressText, Path), PayoutInput), request_body = PayoutInput,
    responses((status = 200, body = Success<PayoutToSignView>)))]
pub async fn propose(
    State(earnings): State<Arc<CreatorEarnings>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(address): Segment<WalletAddress>,
    Input(input): Input<PayoutInput>,
) -> Answer<PayoutToSignView> {
    let proposed = earnings.propose_payout(user.address, address, input.payout_address);
    let view = PayoutToSignView::of(proposed.await?, decimals);
    Ok(Success::of("Sign this transaction", view))
}

/// The transaction by which the creator cancels the announced payout address.
///
/// When none is announced, it removes the one in effect, at once.
#[utoipa::path(delete, path = "/api/v1/creator/{address}/payout-address",
    params(("address" = AddressText, Path)), responses((status = 200, body = Success<PayoutToSignView>)))]
pub async fn take_back(
    State(earnings): State<Arc<CreatorEarnings>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(address): Segment<WalletAddress>,
) -> Answer<PayoutToSignView> {
    let back = earnings.take_payout_back(user.address, address).await?;
    let view = PayoutToSignView::of(back, decimals);
    Ok(Success::of("Sign this transaction", view))
}
