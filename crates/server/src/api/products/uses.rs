//! Products in projects.

use super::FaultView;
use crate::http::{
    Answer, Success,
    envelope::Nothing,
    extract::{Acting, AuthUser, Input, Parsed, Segment},
    idempotency::About,
    wire::{AddressText, BaseUnits},
};
use axum::extract::State;
use haithe_inference::agent::ProductChecks;
use haithe_kernel::{Decimals, ProductId, ProjectId, Usdt, WalletAddress};
use haithe_marketplace::{Market, catalog::ProjectProduct, hosting::ContentDigest, usability::digest_of};
use haithe_orgs::{Action, Projects};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A project.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ProjectName {
    project_id: i64,
}

/// How a project uses a product.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct EnableInput {
    project_id: i64,
    /// Use whatever the creator publishes later, without accepting it; `false` when it is left out at first.
    follow_updates: Option<bool>,
}

/// Which content a project accepts.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct AcceptContentInput {
    project_id: i64,
    /// The SHA-256 of the content that the caller looked at; other published content is refused (409).
    #[param(value_type = Option<String>, pattern = "^[0-9a-fA-F]{64}$")]
    #[schema(value_type = Option<String>, pattern = "^[0-9a-fA-F]{64}$")]
    content_sha256: Option<Parsed<ContentDigest>>,
}

/// Use a product in a project.
///
/// The organization's contract must accept calls of it first (`enableProduct` by its owner or an
/// admin), at today's price or above. The project keeps the content that is published now, until it accepts
/// other content or with `follow_updates`. A product that can never be used as it is published is refused
/// (422 `product_unusable`).
#[utoipa::path(post, path = "/api/v1/products/{id}/enable", params(("id" = i64, Path), EnableInput),
    request_body = EnableInput, responses((status = 200, body = Success<Nothing>)))]
pub async fn enable(
    State(checks): State<Arc<ProductChecks>>,
    State(projects): State<Arc<Projects>>,
    Acting(by): Acting,
    Segment(id): Segment<ProductId>,
    Input(input): Input<EnableInput>,
) -> Answer<Nothing> {
    let project = ProjectId(input.project_id);
    let access = projects
        .authorize(by.address, project, Action::ConfigureProject)
        .await?;
    checks.enable(by, &access, id, input.follow_updates).await?;
    Ok(Success::nothing("Product enabled").about(About::Project(project.0)))
}

/// Accept the content that a product's creator publishes now.
///
/// Calls of the project use it from then on, in place of the content that was accepted before.
#[utoipa::path(post, path = "/api/v1/products/{id}/accept-content", params(("id" = i64, Path), AcceptContentInput),
    request_body = AcceptContentInput, responses((status = 200, body = Success<Nothing>)))]
pub async fn accept_content(
    State(checks): State<Arc<ProductChecks>>,
    State(projects): State<Arc<Projects>>,
    Acting(by): Acting,
    Segment(id): Segment<ProductId>,
    Input(input): Input<AcceptContentInput>,
) -> Answer<Nothing> {
    let project = ProjectId(input.project_id);
    let access = projects
        .authorize(by.address, project, Action::ConfigureProject)
        .await?;
    let expected = input.content_sha256.map(|digest| digest.0);
    checks.accept_content(by, &access, id, expected).await?;
    Ok(Success::nothing("Content accepted").about(About::Project(project.0)))
}

/// Stop using a product in a project.
#[utoipa::path(delete, path = "/api/v1/products/{id}/disable", params(("id" = i64, Path), ProjectName),
    request_body = ProjectName, responses((status = 200, body = Success<Nothing>)))]
pub async fn disable(
    State(market): State<Arc<Market>>,
    State(projects): State<Arc<Projects>>,
    Acting(by): Acting,
    Segment(id): Segment<ProductId>,
    Input(input): Input<ProjectName>,
) -> Answer<Nothing> {
    let project = ProjectId(input.project_id);
    let access = projects
        .authorize(by.address, project, Action::ConfigureProject)
        .await?;
    market.disable(by, (access.org.id, access.project.id), id).await?;
    Ok(Success::nothing("Product disabled"))
}

/// The products of a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductIds)]
pub struct ProductIdsView {
    product_ids: Vec<i64>,
    products: Vec<ProjectProductView>,
}

/// A product of a project, and the content that the project accepted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectProduct)]
pub struct ProjectProductView {
    product_id: i64,
    name: String,
    /// Whether calls can use it as it is published now.
    usable: bool,
    /// Why not.
    #[schema(required = true)]
    problem: Option<FaultView>,
    /// Whether the project uses whatever the creator publishes.
    follow_updates: bool,
    /// The SHA-256 of the content that calls use.
    #[schema(required = true)]
    content_sha256: Option<String>,
    /// The SHA-256 of other content that the creator has published since. Calls use it once it is accepted
    /// (`POST /v1/products/{id}/accept-content`).
    #[schema(required = true)]
    pending_content_sha256: Option<String>,
    /// Whether the creator has published other content since.
    content_changed: bool,
}

impl From<ProjectProduct> for ProjectProductView {
    fn from(product: ProjectProduct) -> Self {
        let digest = |uri: &str| digest_of(uri).map(|digest| digest.to_string());
        let fault = product.page.unusable();
        let content_changed = product.pin.is_outdated(&product.published_uri);
        Self {
            product_id: product.page.product.id.0,
            name: product.page.product.name,
            usable: fault.is_none(),
            problem: fault.map(Into::into),
            follow_updates: product.pin.follow_updates,
            content_sha256: digest(product.pin.uri_in_use(&product.published_uri)),
            pending_content_sha256: digest(&product.published_uri).filter(|_| content_changed),
            content_changed,
        }
    }
}

/// Products that a project uses.
#[utoipa::path(get, path = "/api/v1/projects/{id}/products",
    params(("id" = i64, Path, description = "The project's number")),
    responses((status = 200, body = Success<ProductIdsView>)))]
pub async fn of_project(
    State(market): State<Arc<Market>>,
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<ProductIdsView> {
    projects.authorize(user.address, id, Action::ReadProject).await?;
    let products = market.of_project(id).await?;
    let product_ids = products.iter().map(|product| product.page.product.id.0).collect();
    let products = products.into_iter().map(Into::into).collect();
    let view = ProductIdsView {
        product_ids,
        products,
    };
    Ok(Success::of("Products", view))
}

/// What a project's products cost per call, together and each.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PricePerCall)]
pub struct PricePerCallView {
    total_price_per_call: BaseUnits,
    total_price_per_call_usdt: String,
    lines: Vec<PriceLineView>,
}

/// One product's part. One that cannot be used costs nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductPrice)]
pub struct PriceLineView {
    product_id: i64,
    name: String,
    /// Who is paid.
    #[schema(value_type = AddressText)]
    creator: WalletAddress,
    usable: bool,
    price_per_call: BaseUnits,
    price_per_call_usdt: String,
    /// The announced higher price, while it is not in force.
    #[schema(required = true)]
    next_price_usdt: Option<String>,
    /// When the announced price comes into force; RFC 3339.
    #[schema(required = true)]
    next_price_at: Option<String>,
}

/// What a project's products cost per call.
#[utoipa::path(get, path = "/api/v1/projects/{id}/price-per-call",
    params(("id" = i64, Path, description = "The project's number")),
    responses((status = 200, body = Success<PricePerCallView>)))]
pub async fn price_per_call(
    State(market): State<Arc<Market>>,
    State(projects): State<Arc<Projects>>,
    State(decimals): State<Decimals>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<PricePerCallView> {
    projects.authorize(user.address, id, Action::ReadProject).await?;
    let products = market.of_project(id).await?;
    let total = Market::price_per_call(&products);
    let pages = products.into_iter().map(|product| product.page);
    let lines = pages.map(|page| {
        let usable = page.unusable().is_none();
        let price = page.product.price_per_call.filter(|_| usable);
        let price = price.unwrap_or(Usdt::ZERO);
        let next = page.product.next_price;
        let announced = next.and_then(|next| next.price_per_call);
        PriceLineView {
            product_id: page.product.id.0,
            name: page.product.name,
            creator: page.product.creator,
            usable,
            price_per_call: BaseUnits::of(price, decimals),
            price_per_call_usdt: price.to_string(),
            next_price_usdt: announced.map(|price| price.to_string()),
            next_price_at: next.map(|next| next.at.rfc3339()),
        }
    });
    let view = PricePerCallView {
        total_price_per_call: BaseUnits::of(total, decimals),
        total_price_per_call_usdt: total.to_string(),
        lines: lines.collect(),
    };
    Ok(Success::of("Price per call", view))
}
