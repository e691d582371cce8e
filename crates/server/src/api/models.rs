//! `GET /api/v1/models`: the catalogue.

use crate::http::{
    Answer, Success,
    extract::{Input, PageQuery, Paging, Parsed},
    wire::BaseUnits,
};
use axum::extract::State;
use haithe_inference::{
    Catalogue, Model,
    catalogue::{Capability, ModelFilter, PerMillion},
};
use haithe_kernel::{Decimals, Listed, Usdt};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A model on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
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
    /// What it can do.
    #[schema(value_type = Vec<CapabilityWord>)]
    capabilities: Vec<&'static str>,
}

/// Something a model can do.
#[derive(ToSchema)]
#[schema(as = Capability, rename_all = "lowercase")]
#[expect(dead_code, reason = "for the document; the domain reads the words")]
enum CapabilityWord {
    Streaming,
    Tools,
    Vision,
    Reasoning,
    Embeddings,
}

/// Which models.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ModelQuery {
    /// Of this provider.
    provider: Option<String>,
    /// On offer, or not.
    active: Option<bool>,
    /// With this in a name, an alias or the shown name, in either case.
    search: Option<String>,
    /// The same as `search`.
    q: Option<String>,
    /// That can do this.
    #[param(value_type = Option<CapabilityWord>)]
    capability: Option<Parsed<Capability>>,
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
            capabilities: model.capabilities.iter().map(Capability::as_str).collect(),
        }
    }
}

/// The catalogue of models: all of them, or those that fit.
#[utoipa::path(get, path = "/api/v1/models", security(()), params(ModelQuery, PageQuery),
    responses((status = 200, body = Success<Vec<ModelView>>)))]
pub async fn list(
    State(catalogue): State<Arc<Catalogue>>,
    State(decimals): State<Decimals>,
    Paging(page): Paging,
    Input(query): Input<ModelQuery>,
) -> Answer<Vec<ModelView>> {
    let filter = ModelFilter {
        provider: query.provider,
        active: query.active,
        text: query.search.or(query.q),
        capability: query.capability.map(|capability| capability.0),
    };
    let views = catalogue
        .find(&filter)
        .map(|model| ModelView::of(model, decimals));
    Ok(Success::listed("Models", Listed::of_all(views, page)))
}
