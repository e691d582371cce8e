//! An organization's money.

use crate::{
    api::receipts::ReceiptView,
    http::{
        Answer, ApiError, Success,
        extract::{AuthUser, Input, Segment},
        wire::BaseUnits,
    },
};
use axum::extract::State;
use haithe_billing::ports::{Books, Ledger};
use haithe_kernel::{CallId, Decimals, OrgId};
use haithe_orgs::{Action, Organizations, ports::ChainSync};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Base units beside exact decimals. `balance` is on chain at the index's head − unsettled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balance)]
pub struct BalanceView {
    balance: BaseUnits,
    balance_usdt: String,
    available: BaseUnits,
    available_usdt: String,
    held: BaseUnits,
    held_usdt: String,
    unsettled: BaseUnits,
    unsettled_usdt: String,
    onchain: BaseUnits,
    onchain_usdt: String,
    pending_withdrawal: BaseUnits,
    pending_withdrawal_usdt: String,
}

/// Everything ever charged.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Expenditure)]
pub struct ExpenditureView {
    expenditure: BaseUnits,
    expenditure_usdt: String,
}

/// An organization's money now.
///
/// Lets the index catch up first (a second at most), so that a deposit shows.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/balance",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<BalanceView>)))]
pub async fn balance(
    State(organizations): State<Arc<Organizations>>,
    State(ledger): State<Arc<dyn Ledger>>,
    State(chain): State<Arc<dyn ChainSync>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<BalanceView> {
    organizations
        .authorize(user.address, id, Action::ReadOrgMoney)
        .await?;
    chain.catch_up().await;
    let balance = ledger.balance(id).await?;
    let units = |amount| BaseUnits::of(amount, decimals);
    Ok(Success::of(
        "Balance",
        BalanceView {
            balance: units(balance.shown()),
            balance_usdt: balance.shown().to_string(),
            available: units(balance.available),
            available_usdt: balance.available.to_string(),
            held: units(balance.held),
            held_usdt: balance.held.to_string(),
            unsettled: units(balance.unsettled),
            unsettled_usdt: balance.unsettled.to_string(),
            onchain: units(balance.onchain),
            onchain_usdt: balance.onchain.to_string(),
            pending_withdrawal: units(balance.withdrawing),
            pending_withdrawal_usdt: balance.withdrawing.to_string(),
        },
    ))
}

/// Everything ever charged to an organization.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/expenditure",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<ExpenditureView>)))]
pub async fn expenditure(
    State(organizations): State<Arc<Organizations>>,
    State(ledger): State<Arc<dyn Ledger>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<ExpenditureView> {
    organizations
        .authorize(user.address, id, Action::ReadOrgMoney)
        .await?;
    let spent = ledger.expenditure(id).await?;
    Ok(Success::of(
        "Expenditure",
        ExpenditureView {
            expenditure: BaseUnits::of(spent, decimals),
            expenditure_usdt: spent.to_string(),
        },
    ))
}

/// Which receipts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReceiptsInput {
    /// After this call.
    after: Option<Uuid>,
    /// At most this many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// Receipts of an organization, oldest first.
#[utoipa::path(get, path = "/api/v1/orgs/{id}/receipts",
    params(("id" = i64, Path, description = "The organization's number"), ReceiptsInput),
    responses((status = 200, body = Success<Vec<ReceiptView>>)))]
pub async fn receipts(
    State(organizations): State<Arc<Organizations>>,
    State(books): State<Arc<dyn Books>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Input(input): Input<ReceiptsInput>,
) -> Answer<Vec<ReceiptView>> {
    organizations
        .authorize(user.address, id, Action::ReadOrgMoney)
        .await?;
    let after = input.after.map(CallId);
    let limit = input.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(ApiError::parameter("limit", "must be 1 to 200"));
    }
    let receipts = books.receipts(id, after, limit).await?;
    let views: Result<_, ApiError> = receipts
        .into_iter()
        .map(|receipt| ReceiptView::of(receipt, decimals))
        .collect();
    Ok(Success::of("Receipts", views?))
}
