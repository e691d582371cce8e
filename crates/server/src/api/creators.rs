//! `/api/v1/creator`: who publishes.

use super::products::{ProductView, ProductsView};
use crate::http::{
    Answer, Success,
    extract::{PageQuery, Paging, Segment},
    wire::AddressText,
};
use axum::extract::State;
use haithe_kernel::{Decimals, WalletAddress};
use haithe_marketplace::{Creator, Market, ProductFilter};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A creator on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Creator)]
pub struct CreatorView {
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    uri: String,
    created_at: String,
}

impl From<Creator> for CreatorView {
    fn from(creator: Creator) -> Self {
        Self {
            wallet_address: creator.address,
            uri: creator.uri,
            created_at: creator.created_at.legacy(),
        }
    }
}

/// Creators, as the frontend reads them.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatorsView {
    creators: Vec<CreatorView>,
}

/// One creator, as the frontend reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneCreatorView {
    creator: CreatorView,
}

/// Creators, newest first.
#[utoipa::path(get, path = "/api/v1/creator", security(()), params(PageQuery),
    responses((status = 200, body = Success<CreatorsView>)))]
pub async fn list(State(market): State<Arc<Market>>, Paging(page): Paging) -> Answer<CreatorsView> {
    let listed = market.creators(page).await?;
    let creators = listed.items.into_iter().map(CreatorView::from).collect();
    Ok(Success::of("Creators", CreatorsView { creators }).out_of(listed.total))
}

/// A creator.
#[utoipa::path(get, path = "/api/v1/creator/{address}", security(()),
    params(("address" = AddressText, Path)), responses((status = 200, body = Success<OneCreatorView>)))]
pub async fn show(
    State(market): State<Arc<Market>>,
    Segment(address): Segment<WalletAddress>,
) -> Answer<OneCreatorView> {
    let creator = market.creator(address).await?.into();
    Ok(Success::of("Creator", OneCreatorView { creator }))
}

/// A creator's products, newest first.
#[utoipa::path(get, path = "/api/v1/creator/{address}/products", security(()),
    params(("address" = AddressText, Path), PageQuery), responses((status = 200, body = Success<ProductsView>)))]
pub async fn products(
    State(market): State<Arc<Market>>,
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
