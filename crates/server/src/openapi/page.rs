//! `/api/openapi.json`, and `/docs`: a page over it whose every file is in the program.

use super::DocumentError;
use crate::http::{ApiError, extract::Segment};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::Value;
use std::sync::Arc;
use tokio::{sync::OnceCell, task::spawn_blocking};
use utoipa_swagger_ui::{Config, serve};

/// The page loads nothing from elsewhere, sends nothing elsewhere, and cannot be framed. Swagger UI
/// sets styles on elements, which needs `unsafe-inline` for styles.
pub const DOCS_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Where the document is.
const DOCUMENT: &str = "/api/openapi.json";

/// The document as it is sent, made when it is first asked for, and the page's settings.
#[derive(Clone)]
pub struct Document {
    make: fn() -> Result<Value, DocumentError>,
    json: Arc<OnceCell<Bytes>>,
    page: Arc<Config<'static>>,
}

impl Document {
    /// Over what `make` makes.
    pub fn new(make: fn() -> Result<Value, DocumentError>) -> Self {
        let page = Config::from(DOCUMENT).deep_linking(true).validator_url("none");
        Self {
            make,
            json: Arc::default(),
            page: Arc::new(page.persist_authorization(false)),
        }
    }

    /// Its JSON. Making it is tens of milliseconds of work, for which no other request waits.
    async fn json(&self) -> Result<Bytes, ApiError> {
        let make = self.make;
        let made = self.json.get_or_try_init(|| async move {
            let made = spawn_blocking(move || Ok::<_, DocumentError>(serde_json::to_vec(&make()?)?));
            let json = made.await.map_err(ApiError::internal)?;
            Ok(json.map_err(ApiError::internal)?.into())
        });
        made.await.cloned()
    }
}

/// This document (OpenAPI 3.1).
#[utoipa::path(get, path = "/api/openapi.json", security(()), responses((status = 200, body = Object)))]
pub async fn show(State(document): State<Document>) -> Result<Response, ApiError> {
    let mut response = Response::new(Body::from(document.json().await?));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// A page to read this document with.
#[utoipa::path(get, path = "/docs", security(()), responses((status = 303, description = "To the page itself")))]
pub async fn docs() -> Redirect {
    Redirect::to("/docs/index.html")
}

/// A file of the page.
#[utoipa::path(get, path = "/docs/{*file}", security(()),
    params(("file" = String, Path, description = "`index.html` and what it loads")),
    responses((status = 200, description = "The file", content((String = "text/html")))))]
pub async fn docs_file(
    State(document): State<Document>,
    Segment(file): Segment<String>,
) -> Result<Response, ApiError> {
    let file = serve(&file, document.page).map_err(|error| ApiError::internal(error.to_string()))?;
    let file = file.ok_or_else(|| ApiError::not_found("file"))?;
    let mut response = Body::from(file.bytes.into_owned()).into_response();
    let headers = response.headers_mut();
    let content_type = HeaderValue::try_from(file.content_type).map_err(ApiError::internal)?;
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(DOCS_CSP),
    );
    let fresh = HeaderValue::from_static("public, max-age=3600");
    headers.insert(header::CACHE_CONTROL, fresh);
    Ok(response)
}
