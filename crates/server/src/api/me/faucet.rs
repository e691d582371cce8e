//! `/api/v1/me/faucet`: test tokens, where the chain is one for development.

use crate::http::{
    Answer, ApiError, Success,
    extract::{AuthUser, Client, Ignored, Input},
    wire::AddressText,
};
use axum::extract::{FromRef, FromRequestParts, State};
use haithe_billing::{
    chain::Hash32,
    faucet::{AMOUNT, Faucet, Grant},
    outbox::TxState,
};
use haithe_kernel::WalletAddress;
use http::{StatusCode, request::Parts};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What the faucet gives, whatever the contract calls itself.
const TOKEN: &str = "tUSDT";

/// The faucet, where there is one: elsewhere its routes are no routes.
pub struct Open(Arc<Faucet>);

impl<S> FromRequestParts<S> for Open
where
    S: Send + Sync,
    Option<Arc<Faucet>>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let State(faucet) = State::<Option<Arc<Faucet>>>::from_request_parts(parts, state)
            .await
            .unwrap_or_else(|never| match never {});
        faucet
            .map(Self)
            .ok_or_else(|| ApiError::of_status(StatusCode::NOT_FOUND))
    }
}

/// The wallet's newest grant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Faucet)]
pub struct FaucetView {
    last_request: GrantView,
}

/// A grant. One that failed on chain is forgotten.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = FaucetRequest)]
pub struct GrantView {
    /// 0 when there is none.
    id: i64,
    /// Empty when there is none.
    requested_at: String,
    /// How far it has come: `queued`, `sent`, `mined` or, when it is final, `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// The transaction, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_hash: Option<String>,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        Self {
            id: grant.id.0,
            requested_at: grant.requested_at.legacy(),
            state: Some(match grant.state {
                TxState::Queued => "queued",
                TxState::Sent => "sent",
                TxState::Mined => "mined",
                TxState::Done => "done",
                TxState::Failed => "failed",
            }),
            transaction_hash: grant.transaction.map(|hash| written(&hash)),
        }
    }
}

fn written(hash: &Hash32) -> String {
    format!("0x{}", hex::encode(hash))
}

/// The wallet's newest grant of test tokens.
///
/// 404 where the chain is not one for development.
#[utoipa::path(get, path = "/api/v1/me/faucet", responses((status = 200, body = Success<FaucetView>)))]
pub async fn show(Open(faucet): Open, user: AuthUser) -> Answer<FaucetView> {
    let last_request = faucet.newest(user.address).await?;
    let last_request = last_request.map_or_else(GrantView::default, GrantView::from);
    Ok(Success::of("Faucet", FaucetView { last_request }))
}

/// Test tokens on their way, or there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FaucetGrant)]
pub struct GrantedView {
    /// Whole tokens.
    #[schema(example = "500")]
    amount: String,
    #[schema(example = "tUSDT")]
    token: &'static str,
    /// One that waits long for its block may be replaced by another with a higher fee; GET says.
    transaction_hash: String,
    #[schema(value_type = AddressText)]
    recipient: WalletAddress,
}

/// What older clients send.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = FaucetInput)]
#[expect(dead_code, reason = "accepted and ignored: existing clients send it")]
pub struct FaucetInput {
    #[serde(default)]
    product_id: Ignored,
}

/// Be given 500 tUSDT by the server's wallet, once an hour.
///
/// Waits three seconds at most for the transaction. 400 `faucet_too_soon` within an hour of the last
/// grant, 429 when the day's are given, 404 where the chain is not one for development.
#[utoipa::path(post, path = "/api/v1/me/faucet", request_body = FaucetInput,
    responses((status = 200, body = Success<GrantedView>)))]
pub async fn ask(
    Open(faucet): Open,
    user: AuthUser,
    client: Client,
    Input(FaucetInput { .. }): Input<FaucetInput>,
) -> Answer<GrantedView> {
    let granted = faucet.ask(user.address, client.network()).await?;
    Ok(Success::of(
        "Test tokens are on their way",
        GrantedView {
            amount: AMOUNT.to_string(),
            token: TOKEN,
            transaction_hash: written(&granted.transaction),
            recipient: granted.recipient,
        },
    ))
}
