//! Withdrawals: what was announced on chain, and what the owner's wallet has to sign for the next step.

use super::transaction::TransactionView;
use crate::http::{
    Answer, Success,
    amount::AmountInput,
    extract::{AuthUser, Change, Input, PageQuery, Paging, Segment},
    wire::{AddressText, BaseUnits, exact},
};
use axum::extract::State;
use haithe_billing::treasury::{Treasury, WithdrawalEnd, WithdrawalStatus};
use haithe_kernel::{Decimals, OrgId, TokenUnits, WalletAddress};
use haithe_orgs::UnsignedTransaction;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A withdrawal as the index has it. Amounts are `null` where they are more than 128 bits can say.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Withdrawal)]
pub struct WithdrawalView {
    id: i64,
    /// `requested`, `executable`, `executed`, `cancelled` or `expired`.
    state: &'static str,
    /// Who is paid.
    #[schema(value_type = AddressText)]
    to: WalletAddress,
    /// The most that is paid.
    #[schema(required = true)]
    amount: Option<BaseUnits>,
    #[schema(required = true)]
    amount_usdt: Option<String>,
    /// What was paid, once it was.
    #[schema(required = true)]
    paid: Option<BaseUnits>,
    #[schema(required = true)]
    paid_usdt: Option<String>,
    /// RFC 3339.
    requested_at: String,
    /// From when it can be executed; later by as long as the contracts are paused. RFC 3339.
    executable_at: String,
    /// Until when. RFC 3339.
    expires_at: String,
    /// Its end is final: what it did not take can be spent again.
    settled: bool,
    /// The transaction that announced it.
    transaction_hash: String,
}

impl WithdrawalView {
    fn of(status: WithdrawalStatus, decimals: Decimals) -> Self {
        let withdrawal = status.withdrawal;
        let paid = match withdrawal.end {
            Some(WithdrawalEnd::Executed(paid)) => paid,
            _ => None,
        };
        let (amount, paid) = (withdrawal.amount.map(TokenUnits::new), paid.map(TokenUnits::new));
        Self {
            id: withdrawal.id,
            state: status.state.as_str(),
            to: withdrawal.to,
            amount: amount.and_then(BaseUnits::units),
            amount_usdt: amount.map(|amount| exact(amount, decimals)),
            paid: paid.and_then(BaseUnits::units),
            paid_usdt: paid.map(|paid| exact(paid, decimals)),
            requested_at: withdrawal.requested_at.rfc3339(),
            executable_at: status.executable_at.rfc3339(),
            expires_at: status.expires_at.rfc3339(),
            settled: withdrawal.settled,
            transaction_hash: format!("0x{}", hex::encode(withdrawal.tx)),
        }
    }
}

/// What to sign, and the withdrawal it is about, once one is announced.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalStep)]
pub struct WithdrawalStepView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    withdrawal: Option<WithdrawalView>,
    transaction: TransactionView,
}

impl WithdrawalStepView {
    fn of((status, transaction): (WithdrawalStatus, UnsignedTransaction), decimals: Decimals) -> Self {
        Self {
            withdrawal: Some(WithdrawalView::of(status, decimals)),
            transaction: TransactionView::of(transaction, decimals),
        }
    }
}

/// How much to withdraw, and to whom.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = WithdrawalInput)]
pub struct RequestInput {
    /// At most this many base units. Less than 0.01 USDT needs `confirm_small`.
    #[serde(default)]
    #[param(value_type = Option<BaseUnits>)]
    #[schema(value_type = Option<BaseUnits>)]
    amount: Change<String>,
    /// At most this much, in USDT; instead of `amount`.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "12.5")]
    #[schema(value_type = Option<String>, example = "12.5")]
    amount_usdt: Change<String>,
    /// Confirms an `amount` of less than 0.01 USDT.
    confirm_small: Option<bool>,
    /// Who is paid: the owner, where nobody else is named.
    #[param(value_type = Option<AddressText>)]
    #[schema(value_type = Option<AddressText>)]
    to: Option<WalletAddress>,
}

/// Withdrawals of an organization, newest first.
///
/// Lets the index catch up first (a second at most).
#[utoipa::path(get, path = "/api/v1/orgs/{id}/withdrawals",
    params(("id" = i64, Path, description = "The organization's number"), PageQuery),
    responses((status = 200, body = Success<Vec<WithdrawalView>>)))]
pub async fn list(
    State(treasury): State<Arc<Treasury>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Paging(page): Paging,
) -> Answer<Vec<WithdrawalView>> {
    let listed = treasury.withdrawals(user.address, id, page).await?;
    let listed = listed.map(|status| WithdrawalView::of(status, decimals));
    Ok(Success::listed("Withdrawals", listed))
}

/// The transaction by which the owner announces a withdrawal.
///
/// One at a time. It can be executed once the contracts' withdrawal delay has passed, for a day. Its
/// whole amount is frozen until then.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/withdrawals",
    params(("id" = i64, Path, description = "The organization's number"), RequestInput),
    request_body = RequestInput, responses((status = 200, body = Success<WithdrawalStepView>)))]
pub async fn request(
    State(treasury): State<Arc<Treasury>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Input(input): Input<RequestInput>,
) -> Answer<WithdrawalStepView> {
    let amount = AmountInput::new("amount", input.amount, input.amount_usdt)
        .confirmed(input.confirm_small)
        .required(decimals)?;
    let transaction = treasury.request(user.address, id, input.to, amount).await?;
    let step = WithdrawalStepView {
        withdrawal: None,
        transaction: TransactionView::of(transaction, decimals),
    };
    Ok(Success::of("Sign this transaction", step))
}

/// The transaction by which the owner executes the withdrawal that is announced.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/withdrawals/execute",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<WithdrawalStepView>)))]
pub async fn execute(
    State(treasury): State<Arc<Treasury>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<WithdrawalStepView> {
    let step = treasury.execute(user.address, id).await?;
    let step = WithdrawalStepView::of(step, decimals);
    Ok(Success::of("Sign this transaction", step))
}

/// The transaction by which the owner takes the withdrawal that is announced back.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/withdrawals/cancel",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<WithdrawalStepView>)))]
pub async fn cancel(
    State(treasury): State<Arc<Treasury>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<WithdrawalStepView> {
    let step = treasury.cancel(user.address, id).await?;
    let step = WithdrawalStepView::of(step, decimals);
    Ok(Success::of("Sign this transaction", step))
}
