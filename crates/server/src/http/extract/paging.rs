//! Which page of a list.

use super::input::Input;
use crate::http::{ApiError, body::BodyLimits};
use axum::{
    body::Body,
    extract::{FromRef, FromRequest, FromRequestParts},
};
use haithe_kernel::Page;
use http::{Request, request::Parts};
use serde::Deserialize;
use utoipa::IntoParams;

/// `?limit=&offset=` of a list: the first 200 rows when nothing is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Paging(pub Page);

/// The parameters of [`Paging`], for the document: `params(PageQuery, …)`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows at most.
    #[param(minimum = 1, maximum = 200, default = 200)]
    limit: Option<u32>,
    /// Rows to skip.
    #[param(minimum = 0, maximum = 1_000_000, default = 0)]
    offset: Option<u32>,
}

impl<S> FromRequestParts<S> for Paging
where
    S: Send + Sync,
    BodyLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = parts.uri.clone();
        let Input(query) = Input::<PageQuery>::from_request(request, state).await?;
        let limit = query.limit.unwrap_or(Page::FIRST.limit());
        let page = Page::new(limit, query.offset.unwrap_or(0));
        page.map(Self)
            .map_err(|problem| ApiError::bad_request("invalid_page", problem.to_string()))
    }
}
