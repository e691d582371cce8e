//! Whether a product's content can be used, for its creator.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Input, Parsed, Segment},
};
use axum::extract::State;
use haithe_inference::agent::{ProductCheck, ProductChecks};
use haithe_kernel::ProductId;
use haithe_marketplace::{Category, loading::ProductSource};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Whether a call would use the product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductContentCheck)]
pub struct CheckView {
    /// A call would use it now.
    loadable: bool,
    /// Some later call can use it as it is published: the content may not be hosted yet, or its address may
    /// not answer now. If `false`, only publishing something else helps.
    usable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The part at fault: `category`, `uri`, `encrypted_key` or `content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'static str>,
    /// The place in the content (RFC 6901), where that is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pointer: Option<String>,
}

impl From<ProductCheck> for CheckView {
    fn from(check: ProductCheck) -> Self {
        let (loadable, usable, reason, fault) = match check {
            ProductCheck::Usable => (true, true, None, None),
            ProductCheck::Unavailable(reason) => (false, true, Some(reason), None),
            ProductCheck::Unusable(fault) => (false, false, Some(fault.reason.clone()), Some(fault)),
        };
        Self {
            loadable,
            usable,
            reason,
            field: fault.as_ref().map(|fault| fault.field.as_str()),
            pointer: fault.and_then(|fault| fault.pointer),
        }
    }
}

/// What is about to be published.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = ProductDraft)]
pub struct DraftInput {
    /// The category.
    #[param(value_type = String)]
    #[schema(value_type = String)]
    category: Parsed<Category>,
    /// `haithe:sha256:<digest>`, or an http or https address with `#sha256=<digest>`.
    uri: String,
    /// The content key, wrapped to the enclave's key for the caller's wallet (`docs/SEALING.md`).
    encrypted_key: String,
}

/// Check what is about to be published.
///
/// Fetches, opens and reads the content exactly as a call would if the caller's wallet published it, its
/// server of tools included. Shows nothing of it and stores nothing.
#[utoipa::path(post, path = "/api/v1/products/check", params(DraftInput), request_body = DraftInput,
    responses((status = 200, body = Success<CheckView>)))]
pub async fn check_draft(
    State(checks): State<Arc<ProductChecks>>,
    user: AuthUser,
    Input(input): Input<DraftInput>,
) -> Answer<CheckView> {
    let source = ProductSource {
        uri: input.uri,
        encrypted_key: input.encrypted_key,
        category: input.category.0.as_str().to_owned(),
        creator: user.address,
    };
    let view = checks.draft(&source).await.into();
    Ok(Success::of("Checked", view))
}

/// Try to use one's own product, as a call would.
///
/// Fetches, opens and reads it, its server of tools included, and says why that fails. Shows nothing of it.
#[utoipa::path(get, path = "/api/v1/products/{id}/content", params(("id" = i64, Path)),
    responses((status = 200, body = Success<CheckView>)))]
pub async fn check(
    State(checks): State<Arc<ProductChecks>>,
    user: AuthUser,
    Segment(id): Segment<ProductId>,
) -> Answer<CheckView> {
    let view = checks.of_creator(user.address, id).await?.into();
    Ok(Success::of("Content", view))
}
