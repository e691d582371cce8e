//! The OpenAPI document: made from the handlers, finished by one pass, served beside a page that
//! works offline.
//!
//! A handler says its path, its parameters and what it gives (`#[utoipa::path]`); the routes register
//! it together with that, so nothing is served that the document does not have. What is true of every
//! operation (refusals, who may call, names) is added here, in [`finish`].

mod closed;
mod finish;
mod names;
pub mod page;
mod routes;
mod unused;

pub use page::Document;
pub(crate) use routes::routes;
pub use routes::{Endpoint, Routes};

use crate::http::dialect::{OpenAiFailure, RestFailure};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// Why there is no document: a defect, found by whoever builds it.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Two schemas of one name.
    #[error("two schemas are named {0}: give one of them another name, #[schema(as = …)]")]
    Name(String),
    /// No JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What every operation shares.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Haithe",
        description = "Organizations, projects and API keys over REST, and models through an API that OpenAI's \
            SDKs understand. Successful REST answers are `{\"success\":true,\"message\":…,\"data\":…}`; lists also \
            say their whole length in `x-total-count`. Parameters of POST, PATCH, PUT and DELETE may come in \
            the query or in a JSON body; the same name with two values is refused. Names that an operation does not \
            document are refused with 400 `unknown_field` or `unknown_parameter`, except where a model's dialect \
            passes them on. Schemas of bodies say so with `additionalProperties: false`."
    ),
    components(schemas(RestFailure, OpenAiFailure)),
    modifiers(&Credentials)
)]
struct Shared;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = |text: &str| {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(text));
            SecurityScheme::Http(scheme.build())
        };
        components.add_security_scheme("session", bearer("The token of a login"));
        components.add_security_scheme("api_key", bearer("An API key, under /api/v1beta only"));
    }
}

/// The document before its routes.
pub fn begin() -> utoipa::openapi::OpenApi {
    Shared::openapi()
}

/// The whole document, from what the routes collected.
///
/// # Errors
/// [`DocumentError`].
pub fn complete(collected: &utoipa::openapi::OpenApi) -> Result<Value, DocumentError> {
    let mut document = serde_json::to_value(collected)?;
    names::tidy(&mut document)?;
    finish::finish(&mut document);
    closed::close(&mut document);
    unused::remove(&mut document);
    Ok(document)
}

/// The document of this program's routes, as the checked-in copy is written.
///
/// # Errors
/// As [`complete`].
pub fn text() -> Result<String, DocumentError> {
    let document = crate::api::router::document()?;
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
