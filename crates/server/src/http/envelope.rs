//! The envelope of every successful REST answer.

use super::{ApiError, idempotency::About};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use haithe_kernel::Listed;
use http::{HeaderName, HeaderValue, header::CONTENT_TYPE};
use serde::Serialize;
use utoipa::ToSchema;

/// How many rows a list has on all its pages.
pub const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// `{"success":true,"message":…,"data":…}`. `data` is never null: nothing is `{}` or `[]`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success<T> {
    /// Always true.
    success: bool,
    /// What was done, for people.
    message: &'static str,
    data: T,
    /// How long the whole list is, of which `data` is one page; the header `x-total-count`.
    #[serde(skip)]
    total: Option<u64>,
    #[serde(skip)]
    about: Option<About>,
}

/// What a REST handler gives.
pub type Answer<T> = Result<Success<T>, ApiError>;

/// `{}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Nothing {}

impl<T> Success<T> {
    /// The envelope around `data`.
    pub const fn of(message: &'static str, data: T) -> Self {
        Self {
            success: true,
            message,
            data,
            total: None,
            about: None,
        }
    }
}

impl<T> Success<Vec<T>> {
    /// The envelope around one page of a list; the header `x-total-count` says how long all of it is.
    pub fn listed<U: Into<T>>(message: &'static str, listed: Listed<U>) -> Self {
        let items = listed.items.into_iter().map(U::into).collect();
        Self::of(message, items).out_of(listed.total)
    }
}

impl<T> Success<T> {
    /// About something that the path does not name: who is replayed the answer must be able to read it.
    #[must_use]
    pub const fn about(mut self, about: About) -> Self {
        self.about = Some(about);
        self
    }

    /// With the header `x-total-count`, for lists that stand inside an object.
    #[must_use]
    pub fn out_of(mut self, total: u64) -> Self {
        self.total = Some(total);
        self
    }
}

impl Success<Nothing> {
    /// The envelope around `{}`.
    pub const fn nothing(message: &'static str) -> Self {
        Self::of(message, Nothing {})
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        let mut response = json(&self);
        if let Some(total) = self.total {
            response
                .headers_mut()
                .insert(X_TOTAL_COUNT, HeaderValue::from(total));
        }
        if let Some(about) = self.about {
            response.extensions_mut().insert(about);
        }
        response
    }
}

/// A JSON answer without an envelope.
pub fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        }
        Err(error) => ApiError::internal(error).into_response(),
    }
}
