//! `/api/v1/creator`: who publishes.

pub mod earnings;
pub mod payout;

use super::{
    orgs::transaction::ToSignView,
    products::{ProductView, ProductsView},
};
use crate::http::{
    Answer, ApiError, Success,
    extract::{AuthUser, Client, Ignored, Input, PageQuery, Paging, Segment},
    wire::{AddressText, name_warning},
};
use crate::state::PublicMarket;
use axum::extract::State;
use haithe_kernel::{Decimals, WalletAddress};
use haithe_marketplace::{Creator, Market, MarketError, NewCreator, ProductFilter};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A creator on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Creator)]
pub struct CreatorView {
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    uri: String,
    /// Why the `uri` can deceive, such as an invisible character; absent for an honest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    uri_warning: Option<String>,
    created_at: String,
}

impl From<Creator> for CreatorView {
    fn from(creator: Creator) -> Self {
        Self {
            wallet_address: creator.address,
            uri_warning: name_warning(&creator.uri),
            uri: creator.uri,
            created_at: creator.created_at.legacy(),
        }
    }
}

/// Creators, as the frontend reads them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Creators)]
pub struct CreatorsView {
    creators: Vec<CreatorView>,
}

/// One creator, as the frontend reads it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OneCreator)]
pub struct OneCreatorView {
    creator: CreatorView,
}

/// Creators, newest first.
#[utoipa::path(get, path = "/api/v1/creator", security(()), params(PageQuery),
    responses((status = 200, body = Success<CreatorsView>)))]
pub async fn list(
    State(PublicMarket(market)): State<PublicMarket>,
    Paging(page): Paging,
) -> Answer<CreatorsView> {
    let listed = market.creators(page).await?;
    let creators = listed.items.into_iter().map(CreatorView::from).collect();
    Ok(Success::of("Creators", CreatorsView { creators }).out_of(listed.total))
}

/// A creator.
#[utoipa::path(get, path = "/api/v1/creator/{address}", security(()),
    params(("address" = AddressText, Path)), responses((status = 200, body = Success<OneCreatorView>)))]
pub async fn show(
    State(PublicMarket(market)): State<PublicMarket>,
    Segment(address): Segment<WalletAddress>,
) -> Answer<OneCreatorView> {
    let creator = market.creator(address).await?.into();
    Ok(Success::of("Creator", OneCreatorView { creator }))
}

/// What a creator sells and how much it is used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatorStatistics)]
pub struct StatisticsView {
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    /// Retired ones too.
    products: u64,
    /// Calls that were charged for its products, once for each product.
    calls: u64,
    /// Projects that have any of its products enabled.
    projects: u64,
}

/// How much a creator's products are used.
///
/// For everybody to see, as the same figures of each product are. What they earned is at `earnings`, for
/// the creator alone.
#[utoipa::path(get, path = "/api/v1/creator/{address}/statistics", security(()),
    params(("address" = AddressText, Path)), responses((status = 200, body = Success<StatisticsView>)))]
pub async fn statistics(
    State(PublicMarket(market)): State<PublicMarket>,
    Segment(wallet_address): Segment<WalletAddress>,
) -> Answer<StatisticsView> {
    let statistics = market.statistics(wallet_address).await?;
    let view = StatisticsView {
        wallet_address,
        products: statistics.products,
        calls: statistics.uses.calls,
        projects: statistics.uses.projects,
    };
    Ok(Success::of("Statistics", view))
}

/// A creator's products, newest first.
#[utoipa::path(get, path = "/api/v1/creator/{address}/products", security(()),
    params(("address" = AddressText, Path), PageQuery), responses((status = 200, body = Success<ProductsView>)))]
pub async fn products(
    State(PublicMarket(market)): State<PublicMarket>,
    State(decimals): State<Decimals>,
    Paging(page): Paging,
    Segment(address): Segment<WalletAddress>,
) -> Answer<ProductsView> {
    market.creator(address).await?;
    let filter = ProductFilter {
        creator: Some(address),
        ..ProductFilter::default()
    };
    let listed = market.products(filter, page).await?;
    let view = |page| ProductView::of(page, decimals);
    let products = listed.items.into_iter().map(view).collect();
    Ok(Success::of("Products", ProductsView { products }).out_of(listed.total))
}

/// Who publishes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreatorInput)]
pub struct RegisterInput {
    /// Where the creator says who it is: 1 to 1,024 bytes.
    uri: String,
    /// The creator's public key: 1 to 1,024 bytes.
    pub_key: String,
    /// The contract determines the seed.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted and ignored: existing clients send it")]
    pvt_key_seed: Ignored,
}

impl RegisterInput {
    fn of(&self, address: WalletAddress) -> NewCreator {
        NewCreator {
            address,
            uri: self.uri.clone(),
            pub_key: self.pub_key.clone(),
        }
    }
}

/// The transaction by which the wallet registers itself as a creator.
///
/// The wallet signs, sends and pays it; the server's budgets do not matter.
#[utoipa::path(post, path = "/api/v1/creator/transaction", request_body = RegisterInput,
    responses((status = 200, body = Success<ToSignView>)))]
pub async fn transaction(
    State(market): State<Arc<Market>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Input(input): Input<RegisterInput>,
) -> Answer<ToSignView> {
    let transaction = market.registration(input.of(user.address)).await?;
    Ok(Success::of(
        "Sign this transaction",
        ToSignView::of(transaction, decimals),
    ))
}

/// A fresh creator. The contract determines the seed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegisteredCreator)]
pub struct RegisteredView {
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    uri: String,
    pub_key: String,
    pvt_key_seed: String,
}

/// Become a creator.
///
/// The server registers the wallet on chain at its own expense, within daily budgets per wallet, per
/// client network and in all, and waits three seconds at most. When it does not pay (429
/// `registration_budget_spent`, 503 `sponsoring_paused`, 403 `not_sponsored`), `data.transaction` is the
/// transaction for the wallet to sign and send.
#[utoipa::path(post, path = "/api/v1/creator", request_body = RegisterInput,
    responses((status = 200, body = Success<RegisteredView>)))]
pub async fn register(
    State(market): State<Arc<Market>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    client: Client,
    Input(input): Input<RegisterInput>,
) -> Answer<RegisteredView> {
    let new = input.of(user.address);
    let seed = match market.register(new.clone(), client.network()).await {
        Ok(seed) => seed,
        Err(MarketError::Register(refusal)) if refusal.is_unsponsored() => {
            let transaction = market.registration(new).await?;
            return Err(ApiError::from(refusal).with_data(&ToSignView::of(transaction, decimals)));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Success::of(
        "Creator registered",
        RegisteredView {
            wallet_address: user.address,
            uri: input.uri,
            pub_key: input.pub_key,
            pvt_key_seed: format!("0x{}", hex::encode(seed)),
        },
    ))
}
