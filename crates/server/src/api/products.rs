//! `/api/v1/products`: what creators sell, and which projects use it.

pub mod content;
pub mod uses;

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Change, Ignored, Input, PageQuery, Paging, Segment},
    wire::{AddressText, BaseUnits, name_warning},
};
use crate::state::PublicMarket;
use axum::extract::State;
use haithe_kernel::{Decimals, ProductId, Usdt, WalletAddress};
use haithe_marketplace::{
    Market, PageChange, ProductFilter, ProductOrder, ProductPage, usability::ProductFault,
};
use haithe_orgs::ports::ChainSync;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A product on the wire. A price that the ledger cannot count shows as 0 and is not `usable`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub struct ProductView {
    id: i64,
    #[schema(value_type = AddressText)]
    address: WalletAddress,
    #[schema(value_type = AddressText)]
    creator: WalletAddress,
    name: String,
    /// Why the name can deceive, such as an invisible character; absent for an honest name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name_warning: Option<String>,
    price_per_call: BaseUnits,
    price_per_call_usdt: String,
    /// The announced higher price, while it is not in force; `null` too when it is beyond what can be paid.
    #[schema(required = true)]
    next_price: Option<BaseUnits>,
    #[schema(required = true)]
    next_price_usdt: Option<String>,
    /// When the announced price comes into force; RFC 3339.
    #[schema(required = true)]
    next_price_at: Option<String>,
    category: String,
    #[schema(required = true)]
    description: Option<String>,
    #[schema(required = true)]
    photo_url: Option<String>,
    created_at: String,
    /// False until the block that created it has `chain.confirmations`. A reorganization can remove it
    /// before that; its address stays its creator's.
    confirmed: bool,
    /// Whether projects can use it as it is published, as far as that is known.
    usable: bool,
    /// Why not.
    #[schema(required = true)]
    problem: Option<FaultView>,
    /// Calls that were charged for it, of all time.
    calls: u64,
    /// Projects that have it enabled.
    projects: u64,
}

/// Why a product can never be used as it is published.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductFault)]
pub struct FaultView {
    reason: String,
    /// The part at fault: `retired`, `category`, `price_per_call`, `uri`, `encrypted_key` or `content`.
    field: &'static str,
    /// The place in the content (RFC 6901), where that is JSON.
    #[schema(required = true)]
    pointer: Option<String>,
}

impl From<ProductFault> for FaultView {
    fn from(fault: ProductFault) -> Self {
        Self {
            field: fault.field.as_str(),
            reason: fault.reason,
            pointer: fault.pointer,
        }
    }
}

impl ProductView {
    /// The view of a product.
    pub fn of(page: ProductPage, decimals: Decimals) -> Self {
        let price = page.product.price_per_call.unwrap_or(Usdt::ZERO);
        let fault = page.unusable();
        let next = page.product.next_price;
        let announced = next.and_then(|next| next.price_per_call);
        Self {
            id: page.product.id.0,
            address: page.product.address,
            creator: page.product.creator,
            usable: fault.is_none(),
            problem: fault.map(Into::into),
            name_warning: name_warning(&page.product.name),
            name: page.product.name,
            price_per_call: BaseUnits::of(price, decimals),
            price_per_call_usdt: price.to_string(),
            next_price: announced.map(|price| BaseUnits::of(price, decimals)),
            next_price_usdt: announced.map(|price| price.to_string()),
            next_price_at: next.map(|next| next.at.rfc3339()),
            category: page.category,
            description: page.description,
            photo_url: page.photo_url,
            created_at: page.product.created_at.legacy(),
            confirmed: page.product.confirmed,
            calls: page.uses.calls,
            projects: page.uses.projects,
        }
    }
}

/// Products, as the frontend reads them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Products)]
pub struct ProductsView {
    pub(super) products: Vec<ProductView>,
}

/// One product, as the frontend reads it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OneProduct)]
pub struct OneProductView {
    product: ProductView,
}

/// Which products.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProductQuery {
    /// Of this category, as it stands on chain.
    category: Option<String>,
    /// Of this creator.
    #[param(value_type = Option<AddressText>)]
    creator: Option<WalletAddress>,
    /// With this in the name or the description.
    q: Option<String>,
    #[param(inline)]
    sort: Option<Sort>,
}

/// In which order.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ProductSort)]
enum Sort {
    /// Newest first.
    Newest,
    /// Cheapest first.
    Price,
    /// Most called first.
    Calls,
}

/// Products, newest first.
#[utoipa::path(get, path = "/api/v1/products", security(()), params(ProductQuery, PageQuery),
    responses((status = 200, body = Success<ProductsView>)))]
pub async fn list(
    State(PublicMarket(market)): State<PublicMarket>,
    State(decimals): State<Decimals>,
    Paging(page): Paging,
    Input(query): Input<ProductQuery>,
) -> Answer<ProductsView> {
    let filter = ProductFilter {
        category: query.category,
        creator: query.creator,
        text: query.q.filter(|text| !text.is_empty()),
        order: match query.sort {
            None | Some(Sort::Newest) => ProductOrder::Newest,
            Some(Sort::Price) => ProductOrder::Price,
            Some(Sort::Calls) => ProductOrder::Calls,
        },
    };
    let listed = market.products(filter, page).await?;
    let view = |page| ProductView::of(page, decimals);
    let products = listed.items.into_iter().map(view).collect();
    Ok(Success::of("Products", ProductsView { products }).out_of(listed.total))
}

/// A product.
#[utoipa::path(get, path = "/api/v1/products/{id}", security(()), params(("id" = i64, Path)),
    responses((status = 200, body = Success<OneProductView>)))]
pub async fn show(
    State(PublicMarket(market)): State<PublicMarket>,
    State(decimals): State<Decimals>,
    Segment(id): Segment<ProductId>,
) -> Answer<OneProductView> {
    let product = ProductView::of(market.product(id).await?, decimals);
    Ok(Success::of("Product", OneProductView { product }))
}

/// How many products there are, and the caller's newest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncedProducts)]
pub struct SyncedView {
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    product: Option<ProductView>,
}

/// What older clients send beside the transaction: the product comes from the chain.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SyncProductsInput)]
#[expect(dead_code, reason = "accepted and ignored: existing clients send them")]
pub struct SyncInput {
    #[serde(default)]
    name: Ignored,
    #[serde(default)]
    url: Ignored,
    #[serde(default)]
    encrypted_key: Ignored,
    #[serde(default)]
    category: Ignored,
    #[serde(default)]
    price_per_call: Ignored,
}

/// Look for products that were just published on chain.
///
/// The wallet's own `addProduct` publishes; this asks the index to catch up (a second at most).
#[utoipa::path(post, path = "/api/v1/products", request_body = SyncInput,
    responses((status = 200, body = Success<SyncedView>)))]
pub async fn sync(
    State(market): State<Arc<Market>>,
    State(chain): State<Arc<dyn ChainSync>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Input(SyncInput { .. }): Input<SyncInput>,
) -> Answer<SyncedView> {
    chain.catch_up().await;
    let (newest, count) = market.newest(user.address).await?;
    let product = newest.map(|page| ProductView::of(page, decimals));
    Ok(Success::of("Products", SyncedView { count, product }))
}

/// What to change; `null` clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProductChange)]
pub struct DescribeInput {
    /// At most 4,000 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Change<String>,
    /// An https address.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    photo_url: Change<String>,
}

/// Describe one's own product.
#[utoipa::path(patch, path = "/api/v1/products/{id}", params(("id" = i64, Path)), request_body = DescribeInput,
    responses((status = 200, body = Success<OneProductView>)))]
pub async fn describe(
    State(market): State<Arc<Market>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<ProductId>,
    Input(input): Input<DescribeInput>,
) -> Answer<OneProductView> {
    let change = PageChange {
        description: input.description.nested(),
        photo_url: input.photo_url.nested(),
    };
    let page = market.describe(user.address, id, change).await?;
    let product = ProductView::of(page, decimals);
    Ok(Success::of("Product described", OneProductView { product }))
}
