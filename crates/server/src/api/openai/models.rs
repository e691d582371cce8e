//! `GET /models`, `GET /models/{id}`: what the caller's organization enabled.

use crate::http::{
    ApiError,
    envelope::json,
    extract::{ApiCaller, Segment},
};
use axum::{extract::State, response::Response};
use haithe_identity::Credential;
use haithe_inference::{CompletionError, Completions, ErrorObject, Model};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A list of models, as OpenAI gives it.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiModels)]
pub struct ListView<'a> {
    object: &'static str,
    data: Vec<ModelView<'a>>,
}

/// A model, as OpenAI gives it.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiModel)]
pub struct ModelView<'a> {
    id: &'a str,
    object: &'static str,
    /// Not known; clients require a number.
    created: u64,
    owned_by: &'a str,
}

impl<'a> From<&'a Arc<Model>> for ModelView<'a> {
    fn from(model: &'a Arc<Model>) -> Self {
        Self {
            id: &model.name,
            object: "model",
            created: 0,
            owned_by: &model.provider,
        }
    }
}

fn usable(completions: &Completions, caller: &ApiCaller) -> Vec<Arc<Model>> {
    let key = match &caller.principal.credential {
        Credential::ApiKey(key) => Some(key.as_ref()),
        Credential::Session(_) => None,
    };
    completions.models(&caller.context, key)
}

/// Models that the caller's organization enabled.
#[utoipa::path(get, path = "/api/v1beta/openai/models", responses((status = 200, body = ListView)))]
pub async fn list(State(completions): State<Arc<Completions>>, caller: ApiCaller) -> Response {
    let models = usable(&completions, &caller);
    json(&ListView {
        object: "list",
        data: models.iter().map(ModelView::from).collect(),
    })
}

/// One model.
#[utoipa::path(get, path = "/api/v1beta/openai/models/{*id}",
    params(("id" = String, Path, description = "The model's name")), responses((status = 200, body = ModelView)))]
pub async fn show(
    State(completions): State<Arc<Completions>>,
    caller: ApiCaller,
    Segment(name): Segment<String>,
) -> Result<Response, ApiError> {
    let models = usable(&completions, &caller);
    match models.iter().find(|model| model.answers_to(&name)) {
        Some(model) => Ok(json(&ModelView::from(model))),
        None => {
            let error = CompletionError::UnknownModel {
                model: name.chars().filter(|c| !c.is_control()).take(128).collect(),
            };
            let object = ErrorObject::from(&error);
            let mut refused = ApiError::from(error);
            refused.param = object.param;
            Err(refused)
        }
    }
}
