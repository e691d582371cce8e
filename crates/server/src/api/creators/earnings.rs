//! What a creator earned, for its own wallet.

use crate::{
    api::orgs::transaction::TransactionView,
    http::{
        Answer, Success,
        extract::{AuthUser, Input, PageQuery, Paging, Parsed, Segment},
        wire::{AddressText, BaseUnits},
    },
};
use axum::extract::State;
use haithe_billing::{
    earnings::{CreatorEarnings, ProductEarnings},
    usage::Day,
};
use haithe_kernel::{Decimals, WalletAddress};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Earnings of all time, and of each product in the days that were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Earnings)]
pub struct EarningsView {
    /// The lines of all charges: `pending` + `settled`.
    earned: BaseUnits,
    earned_usdt: String,
    /// Charged, and not settled on chain for good.
    pending: BaseUnits,
    pending_usdt: String,
    /// Credited on chain for good: `withdrawable` + what left.
    settled: BaseUnits,
    settled_usdt: String,
    /// Taken out for good.
    withdrawn: BaseUnits,
    withdrawn_usdt: String,
    /// What can be taken out now.
    withdrawable: BaseUnits,
    withdrawable_usdt: String,
    /// What earned most comes first.
    products: Vec<ProductEarningsView>,
    /// What to sign to take everything out; absent when there is nothing, or the chain is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transaction: Option<TransactionView>,
}

/// What one product earned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductEarnings)]
pub struct ProductEarningsView {
    product_id: i64,
    #[schema(required = true)]
    name: Option<String>,
    /// Calls that were charged for it.
    calls: u64,
    earned: BaseUnits,
    earned_usdt: String,
}

impl ProductEarningsView {
    fn of(product: ProductEarnings, decimals: Decimals) -> Self {
        Self {
            product_id: product.product.0,
            name: product.name,
            calls: product.calls,
            earned: BaseUnits::of(product.charged, decimals),
            earned_usdt: product.charged.to_string(),
        }
    }
}

/// Of which days the products' figures are.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DaysInput {
    /// From this day on, in UTC.
    #[param(value_type = Option<String>, format = Date, example = "2026-01-01")]
    from: Option<Parsed<Day>>,
    /// Up to and with this day, in UTC.
    #[param(value_type = Option<String>, format = Date, example = "2026-01-31")]
    until: Option<Parsed<Day>>,
}

/// What the wallet's own products earned, and what it signs to withdraw.
///
/// Anybody else's are as if there were none. Lets the index catch up first (a second at most). The
/// page is of the products.
#[utoipa::path(get, path = "/api/v1/creator/{address}/earnings",
    params(("address" = AddressText, Path), DaysInput, PageQuery),
    responses((status = 200, body = Success<EarningsView>)))]
pub async fn show(
    State(earnings): State<Arc<CreatorEarnings>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(address): Segment<WalletAddress>,
    Paging(page): Paging,
    Input(days): Input<DaysInput>,
) -> Answer<EarningsView> {
    let days = (days.from.map(|day| day.0), days.until.map(|day| day.0));
    let earnings = earnings.of(user.address, address, days, page).await?;
    let earned = earnings.earned;
    let products = earnings.products;
    let total = products.total;
    let view = |product| ProductEarningsView::of(product, decimals);
    let units = |amount| BaseUnits::of(amount, decimals);
    let view = EarningsView {
        earned: units(earned.charged),
        earned_usdt: earned.charged.to_string(),
        pending: units(earned.pending()),
        pending_usdt: earned.pending().to_string(),
        settled: units(earned.settled),
        settled_usdt: earned.settled.to_string(),
        withdrawn: units(earned.withdrawn),
        withdrawn_usdt: earned.withdrawn.to_string(),
        withdrawable: units(earned.withdrawable()),
        withdrawable_usdt: earned.withdrawable().to_string(),
        products: products.items.into_iter().map(view).collect(),
        transaction: earnings
            .withdrawal
            .map(|transaction| TransactionView::of(transaction, decimals)),
    };
    Ok(Success::of("Earnings", view).out_of(total))
}
