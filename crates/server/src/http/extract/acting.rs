//! A wallet that changes something, with what the audit wants to know of its request.

use super::{AuthUser, Client, Proxies};
use crate::http::{ApiError, edge::RequestId};
use axum::extract::{FromRef, FromRequestParts};
use haithe_identity::Authenticator;
use haithe_orgs::Caller;
use http::request::Parts;
use std::sync::Arc;

/// A caller with a live session, as [`AuthUser`], for routes that write.
#[derive(Debug, Clone)]
pub struct Acting(pub Caller);

impl<S> FromRequestParts<S> for Acting
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
    Proxies: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let user = AuthUser::from_request_parts(parts, state).await?;
        let Ok(client) = Client::from_request_parts(parts, state).await;
        let request = parts.extensions.get::<RequestId>();
        Ok(Self(Caller {
            address: user.address,
            ip: client.ip,
            request: request.map(|id| id.as_str().to_owned()),
        }))
    }
}
