//! `GET /api/v1/models`: the catalogue.

use crate::http::{Answer, Success, wire::BaseUnits};
use axum::extract::State;
use haithe_inference::{Catalogue, Model, catalogue::PerMillion};
use haithe_kernel::{Decimals, Usdt};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A model on the wire.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelView {
    id: i64,
    name: String,
    /// Other names that calls may use.
    aliases: Vec<String>,
    display_name: String,
    provider: String,
    is_active: bool,
    price_per_call: BaseUnits,
    price_per_call_usdt: String,
    input_per_million_usdt: String,
    cached_input_per_million_usdt: String,
    output_per_million_usdt: String,
    reasoning_per_million_usdt: String,
    context: u32,
    max_output: u32,
}

impl ModelView {
    /// The view of a model.
    pub fn of(model: &Model, decimals: Decimals) -> Self {
        let per_million =
            |PerMillion(nano): PerMillion| i64::try_from(nano).map_or(Usdt::MAX, Usdt::from_nano).to_string();
        Self {
            id: model.id.0,
            name: model.name.clone(),
            aliases: model.aliases.clone(),
            display_name: model.display_name.clone(),
            provider: model.provider.clone(),
            is_active: model.active,
            price_per_call: BaseUnits::of(model.price.per_call, decimals),
            price_per_call_usdt: model.price.per_call.to_string(),
            input_per_million_usdt: per_million(model.price.input),
            cached_input_per_million_usdt: per_million(model.price.cached),
            output_per_million_usdt: per_million(model.price.output),
            reasoning_per_million_usdt: per_million(model.price.reasoning),
            context: model.context,
            max_output: model.max_output,
        }
    }
}

/// The catalogue of models.
#[utoipa::path(get, path = "/api/v1/models", security(()), responses((status = 200, body = Success<Vec<ModelView>>)))]
pub async fn list(
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
) -> Answer<Vec<ModelView>> {
    let models = catalogue.models().iter();
    let views = models.map(|model| ModelView::of(model, decimals)).collect();
    Ok(Success::of("Models", views))
}
