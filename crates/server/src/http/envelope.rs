//! The envelope of every successful REST answer.

use super::ApiError;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header::CONTENT_TYPE};
use serde::Serialize;

/// `{"success":true,"message":…,"data":…}`. `data` is never null: nothing is `{}` or `[]`.
#[derive(Debug, Serialize)]
pub struct Success<T> {
    success: bool,
    message: &'static str,
    data: T,
}

/// What a REST handler gives.
pub type Answer<T> = Result<Success<T>, ApiError>;

/// `{}`.
#[derive(Debug, Serialize)]
pub struct Nothing {}

impl<T> Success<T> {
    /// The envelope around `data`.
    pub const fn of(message: &'static str, data: T) -> Self {
        Self {
            success: true,
            message,
            data,
        }
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
        json(&self)
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
