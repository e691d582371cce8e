//! The most that may be settled of an organization's money in a day. It is set on chain only.

use super::transaction::TransactionView;
use crate::http::{
    Answer, ApiError, Success,
    amount::{AmountInput, missing},
    extract::{AuthUser, Change, Input, Segment},
    wire::{BaseUnits, exact},
};
use axum::extract::State;
use haithe_billing::treasury::{DailyCap, Treasury};
use haithe_kernel::{Decimals, OrgId};
use haithe_orgs::UnsignedTransaction;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// The daily cap (of a day in UTC), as far as the index has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DailyCap)]
pub struct DailyCapView {
    /// In force; `null` is no cap.
    #[schema(required = true)]
    daily_cap: Option<BaseUnits>,
    #[schema(required = true)]
    daily_cap_usdt: Option<String>,
    /// A lower one to come. New calls keep to it already.
    #[schema(required = true)]
    scheduled: Option<ScheduledView>,
    /// What has to be signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transaction: Option<TransactionView>,
}

/// A lower cap that is not in force yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduledDailyCap)]
pub struct ScheduledView {
    daily_cap: BaseUnits,
    daily_cap_usdt: String,
    /// From when it is; later by as long as the contracts are paused. RFC 3339.
    effective_at: String,
}

impl DailyCapView {
    fn of(cap: DailyCap, transaction: Option<UnsignedTransaction>, decimals: Decimals) -> Self {
        let scheduled = cap.scheduled.and_then(|(cap, from)| {
            Some(ScheduledView {
                daily_cap: BaseUnits::units(cap)?,
                daily_cap_usdt: exact(cap, decimals),
                effective_at: from.rfc3339(),
            })
        });
        Self {
            daily_cap: cap.current.and_then(BaseUnits::units),
            daily_cap_usdt: cap.current.map(|cap| exact(cap, decimals)),
            scheduled,
            transaction: transaction.map(|transaction| TransactionView::of(transaction, decimals)),
        }
    }
}

/// The cap to set.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = DailyCapInput)]
pub struct CapInput {
    /// In base units; `null`, in a body, is no cap. Less than 0.01 USDT, and more than nothing, needs
    /// `confirm_small`.
    #[serde(default)]
    #[param(value_type = Option<BaseUnits>)]
    #[schema(value_type = Option<BaseUnits>)]
    daily_cap: Change<String>,
    /// In USDT, instead of `daily_cap`; `null`, in a body, is no cap.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "100")]
    #[schema(value_type = Option<String>, example = "100")]
    daily_cap_usdt: Change<String>,
    /// Confirms a `daily_cap` of less than 0.01 USDT.
    confirm_small: Option<bool>,
}

/// The daily cap of an organization.
///
/// Lets the index catch up first (a second at most).
#[utoipa::path(get, path = "/api/v1/orgs/{id}/daily-cap",
    params(("id" = i64, Path, description = "The organization's number")),
    responses((status = 200, body = Success<DailyCapView>)))]
pub async fn show(
    State(treasury): State<Arc<Treasury>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
) -> Answer<DailyCapView> {
    let cap = treasury.daily_cap(user.address, id).await?;
    Ok(Success::of("Daily cap", DailyCapView::of(cap, None, decimals)))
}

/// The transaction by which the owner sets the daily cap.
///
/// A higher cap holds at once; a lower one after the contracts' withdrawal delay, so that calls that
/// were admitted before can be settled.
#[utoipa::path(post, path = "/api/v1/orgs/{id}/daily-cap",
    params(("id" = i64, Path, description = "The organization's number"), CapInput), request_body = CapInput,
    responses((status = 200, body = Success<DailyCapView>)))]
pub async fn set(
    State(treasury): State<Arc<Treasury>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<OrgId>,
    Input(input): Input<CapInput>,
) -> Answer<DailyCapView> {
    let amount = AmountInput::new("daily_cap", input.daily_cap, input.daily_cap_usdt);
    let cap = match amount.confirmed(input.confirm_small).read(decimals)? {
        Change::Keep => return Err(missing("daily_cap")),
        Change::Clear => None,
        // No more than the wire can say back.
        Change::Set(cap) if BaseUnits::units(cap).is_none() => {
            return Err(ApiError::parameter(
                "daily_cap",
                "is larger than any amount there is",
            ));
        }
        Change::Set(cap) => Some(cap),
    };
    let (now, transaction) = treasury.set_daily_cap(user.address, id, cap).await?;
    let view = DailyCapView::of(now, Some(transaction), decimals);
    Ok(Success::of("Sign this transaction", view))
}
