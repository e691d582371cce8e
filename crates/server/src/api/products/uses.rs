//! Products in projects.

use crate::http::{
    Answer, Success,
    envelope::Nothing,
    extract::{AuthUser, Input, Segment},
    idempotency::About,
    wire::BaseUnits,
};
use axum::extract::State;
use haithe_kernel::{Decimals, ProductId, ProjectId, Usdt};
use haithe_marketplace::Market;
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

/// Use a product in a project.
///
/// The organization's contract must accept calls of it first (`enableProduct` by its owner or an
/// admin), at today's price or above.
#[utoipa::path(post, path = "/api/v1/products/{id}/enable", params(("id" = i64, Path), ProjectName),
    request_body = ProjectName, responses((status = 200, body = Success<Nothing>)))]
pub async fn enable(
    State(market): State<Arc<Market>>,
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProductId>,
    Input(input): Input<ProjectName>,
) -> Answer<Nothing> {
    let project = ProjectId(input.project_id);
    let access = projects
        .authorize(user.address, project, Action::ConfigureProject)
        .await?;
    market.enable(access.org.id, project, id).await?;
    Ok(Success::nothing("Product enabled").about(About::Project(project.0)))
}

/// Stop using a product in a project.
#[utoipa::path(delete, path = "/api/v1/products/{id}/disable", params(("id" = i64, Path), ProjectName),
    request_body = ProjectName, responses((status = 200, body = Success<Nothing>)))]
pub async fn disable(
    State(market): State<Arc<Market>>,
    State(projects): State<Arc<Projects>>,
    user: AuthUser,
    Segment(id): Segment<ProductId>,
    Input(input): Input<ProjectName>,
) -> Answer<Nothing> {
    let project = ProjectId(input.project_id);
    projects
        .authorize(user.address, project, Action::ConfigureProject)
        .await?;
    market.disable(project, id).await?;
    Ok(Success::nothing("Product disabled"))
}

/// The products of a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductIds)]
pub struct ProductIdsView {
    product_ids: Vec<i64>,
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
    let product_ids = products.iter().map(|page| page.product.id.0).collect();
    Ok(Success::of("Products", ProductIdsView { product_ids }))
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
    usable: bool,
    price_per_call: BaseUnits,
    price_per_call_usdt: String,
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
    let lines = products.into_iter().map(|page| {
        let usable = page.unusable().is_none();
        let price = page.product.price_per_call.filter(|_| usable);
        let price = price.unwrap_or(Usdt::ZERO);
        PriceLineView {
            product_id: page.product.id.0,
            name: page.product.name,
            usable,
            price_per_call: BaseUnits::of(price, decimals),
            price_per_call_usdt: price.to_string(),
        }
    });
    let view = PricePerCallView {
        total_price_per_call: BaseUnits::of(total, decimals),
        total_price_per_call_usdt: total.to_string(),
        lines: lines.collect(),
    };
    Ok(Success::of("Price per call", view))
}
