//! A wallet's session.

use super::{Client, Proxies};
use crate::http::{ApiError, security::Event};
use axum::extract::{FromRef, FromRequestParts};
use haithe_identity::{AuthError, Authenticator, Credential, session::SessionId};
use haithe_kernel::WalletAddress;
use http::{HeaderMap, header, request::Parts};
use std::sync::Arc;

/// A caller with a live session. API keys are refused: they work under `/api/v1beta` only.
#[derive(Debug, Clone, Copy)]
pub struct AuthUser {
    /// The wallet.
    pub address: WalletAddress,
    /// The session that was used.
    pub session: SessionId,
}

/// The credential of `Authorization: Bearer …`. No cookies, no other scheme.
///
/// # Errors
/// [`AuthError::Missing`] when there is none, [`AuthError::InvalidToken`] when it cannot be read.
pub fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let only = match (given.next(), given.next()) {
        (Some(only), None) => only,
        (None, _) => return Err(AuthError::Missing),
        (Some(_), Some(_)) => return Err(AuthError::InvalidToken),
    };
    let text = only.to_str().map_err(|_| AuthError::InvalidToken)?;
    let (scheme, credential) = text.split_once(' ').ok_or(AuthError::InvalidToken)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(credential.trim())
    } else {
        Err(AuthError::InvalidToken)
    }
}

impl<S> FromRequestParts<S> for AuthUser
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
    Proxies: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let authenticator = Arc::<Authenticator>::from_ref(state);
        let principal = authenticator.session(bearer(&parts.headers)?).await;
        if let Err(AuthError::KeyNotAccepted) = &principal {
            Client::of(parts, &Proxies::from_ref(state))
                .did(Event::KeyRefused)
                .because("the route takes sessions only")
                .log();
        }
        let principal = principal?;
        match principal.credential {
            Credential::Session(session) => Ok(Self {
                address: principal.address,
                session,
            }),
            Credential::ApiKey(_) => Err(AuthError::KeyNotAccepted.into()),
        }
    }
}
