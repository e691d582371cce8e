//! A segment of the path.

use crate::http::ApiError;
use axum::extract::{FromRequestParts, RawPathParams};
use haithe_identity::{
    api_key::ApiKeyId,
    session::{SessionId, SessionIdError},
};
use haithe_inference::webhooks::WebhookId;
use haithe_kernel::{AddressError, OrgId, ProductId, ProjectId, ProjectUid, UidError, WalletAddress};
use haithe_marketplace::hosting::{ContentDigest, DigestError};
use http::request::Parts;
use std::{fmt::Display, str::FromStr};

/// The last parameter of the route's path, parsed.
#[derive(Debug, Clone)]
pub struct Segment<T>(pub T);

/// What can stand in a path.
pub trait InPath: Sized {
    /// Parses it; the error says what is allowed.
    ///
    /// # Errors
    /// What is allowed.
    fn from_segment(text: &str) -> Result<Self, String>;
}

fn number(text: &str) -> Result<i64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| "must be the object's number".to_owned())
}

impl InPath for OrgId {
    fn from_segment(text: &str) -> Result<Self, String> {
        number(text).map(Self)
    }
}

impl InPath for ProjectId {
    fn from_segment(text: &str) -> Result<Self, String> {
        number(text).map(Self)
    }
}

impl InPath for ProjectUid {
    fn from_segment(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: UidError| error.to_string())
    }
}

impl InPath for ProductId {
    fn from_segment(text: &str) -> Result<Self, String> {
        number(text).map(Self)
    }
}

impl InPath for WalletAddress {
    fn from_segment(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|error: AddressError| format!("must be an address: {error}"))
    }
}

impl InPath for i64 {
    fn from_segment(text: &str) -> Result<Self, String> {
        number(text)
    }
}

impl InPath for String {
    fn from_segment(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl InPath for SessionId {
    fn from_segment(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: SessionIdError| error.to_string())
    }
}

impl InPath for ApiKeyId {
    fn from_segment(text: &str) -> Result<Self, String> {
        number(text).map(Self)
    }
}

impl InPath for WebhookId {
    fn from_segment(text: &str) -> Result<Self, String> {
        uuid::Uuid::from_segment(text).map(Self)
    }
}

impl InPath for ContentDigest {
    fn from_segment(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: DigestError| error.to_string())
    }
}

impl InPath for uuid::Uuid {
    fn from_segment(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|_| "must be a UUID".to_owned())
    }
}

fn refuse(problem: impl Display) -> ApiError {
    ApiError::bad_request("invalid_path", format!("the path: {problem}"))
}

impl<S, T> FromRequestParts<S> for Segment<T>
where
    S: Send + Sync,
    T: InPath,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| refuse("is not valid UTF-8"))?;
        let (name, text) = segments
            .iter()
            .last()
            .ok_or_else(|| ApiError::internal("a route without a path parameter asks for one"))?;
        T::from_segment(text)
            .map(Self)
            .map_err(|problem| refuse(format!("`{name}` {problem}")))
    }
}

/// Both parameters of a route's path, in its order.
#[derive(Debug, Clone)]
pub struct Segments<A, B>(pub A, pub B);

impl<S, A, B> FromRequestParts<S> for Segments<A, B>
where
    S: Send + Sync,
    A: InPath,
    B: InPath,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| refuse("is not valid UTF-8"))?;
        let mut segments = segments.iter();
        let (Some(first), Some(second)) = (segments.next(), segments.next()) else {
            return Err(ApiError::internal(
                "a route with too few path parameters asks for two",
            ));
        };
        Ok(Self(parsed(first)?, parsed(second)?))
    }
}

fn parsed<T: InPath>((name, text): (&str, &str)) -> Result<T, ApiError> {
    T::from_segment(text).map_err(|problem| refuse(format!("`{name}` {problem}")))
}
