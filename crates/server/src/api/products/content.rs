//! Whether a product's content can be used, for its creator.

use crate::http::{
    Answer, Success,
    extract::{AuthUser, Segment},
};
use axum::extract::State;
use haithe_kernel::ProductId;
use haithe_marketplace::loading::{Check, ProductContents};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Whether a call would find the content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductContentCheck)]
pub struct CheckView {
    loadable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// Try to load the content of one's own product, as a call would.
///
/// Fetches, opens and reads it, and says why that fails. Shows nothing of it.
#[utoipa::path(get, path = "/api/v1/products/{id}/content", params(("id" = i64, Path)),
    responses((status = 200, body = Success<CheckView>)))]
pub async fn check(
    State(contents): State<Arc<ProductContents>>,
    user: AuthUser,
    Segment(id): Segment<ProductId>,
) -> Answer<CheckView> {
    let reason = match contents.check(user.address, id).await? {
        Check::Loads => None,
        Check::Fails(reason) => Some(reason.to_string()),
    };
    let view = CheckView {
        loadable: reason.is_none(),
        reason,
    };
    Ok(Success::of("Content", view))
}
