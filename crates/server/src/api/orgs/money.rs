//! An organization's money.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Segment},
    wire::BaseUnits,
};
use axum::extract::State;
use haithe_billing::ports::Ledger;
use haithe_kernel::{Decimals, OrgId};
use haithe_orgs::{Action, Organizations, ports::ChainSync};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

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
