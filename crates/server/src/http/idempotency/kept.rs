//! An answer as it is kept: its head as JSON behind its length (4 bytes, big endian), then its body.
//!
//! A failure is kept as what it says, not as it was written: the edge writes it again with the id of
//! the request that is answered. Everything else comes back byte for byte.

use super::About;
use crate::http::{ApiError, error::Failed};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

/// Everything but the body.
#[derive(Serialize, Deserialize)]
pub struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    failure: Option<Failure>,
    about: Option<About>,
}

/// What the edge needs to write a failure.
#[derive(Serialize, Deserialize)]
struct Failure {
    kind: String,
    code: String,
    message: String,
    param: Option<String>,
}

impl Head {
    /// The head of an answer as a handler gave it.
    pub fn of(response: &Response) -> Self {
        let headers = response.headers().iter();
        // The length is the body's to say, and values of ours are text.
        let headers = headers.filter(|(name, _)| **name != header::CONTENT_LENGTH);
        let headers = headers.filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        let failure = response
            .extensions()
            .get::<Failed>()
            .map(|Failed(error)| Failure {
                kind: error.kind.to_string(),
                code: error.code.to_string(),
                message: error.message.clone(),
                param: error.param.clone(),
            });
        Self {
            status: response.status().as_u16(),
            headers: headers.collect(),
            failure,
            about: response.extensions().get().copied(),
        }
    }

    /// With its length in front, ready for the body.
    pub fn encoded(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let length = u32::try_from(json.len()).unwrap_or_default();
        [length.to_be_bytes().as_slice(), &json].concat()
    }

    /// The whole answer.
    pub fn with(&self, body: &[u8]) -> Vec<u8> {
        [&*self.encoded(), body].concat()
    }
}

/// An answer that was kept.
pub struct Kept {
    head: Head,
    body: Bytes,
}

impl Kept {
    /// What [`Head::with`] wrote.
    pub fn decode(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Bytes::from(bytes);
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (head, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Self {
            head: serde_json::from_slice(head).ok()?,
            body: bytes.slice_ref(body),
        })
    }

    /// What the handler said that it is about.
    pub const fn about(&self) -> Option<About> {
        self.head.about
    }
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        let Head {
            status,
            headers,
            failure,
            ..
        } = self.head;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match failure {
            Some(failure) => {
                let mut error = ApiError::transport(status, "", failure.message);
                error.kind = failure.kind.into();
                error.code = failure.code.into();
                error.param = failure.param;
                error.into_response()
            }
            None => {
                let mut response = Response::new(Body::from(self.body));
                *response.status_mut() = status;
                response
            }
        };
        for (name, value) in headers {
            let pair = (HeaderName::try_from(name), HeaderValue::try_from(value));
            if let (Ok(name), Ok(value)) = pair {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
