//! Use case: one bearer credential, whichever sort it is.

use crate::{
    Credential, Principal,
    api_key::{ApiKeyId, RouteFamily},
    api_keys::ApiKeys,
    sessions::Sessions,
};
use haithe_kernel::{Failure, Kind, StoreError, WalletAddress};
use std::sync::Arc;

/// Why a credential is not accepted. One answer of each sort for every reason.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No credential where one is needed.
    #[error("authentication is required: send `Authorization: Bearer <token>`")]
    Missing,
    /// No session's token: malformed, expired, revoked or forged.
    #[error("the token is not valid: it is malformed, expired or revoked; log in again")]
    InvalidToken,
    /// No live API key: malformed, expired, revoked or forged.
    #[error("the API key is not valid: it is malformed, expired or revoked; create a new one")]
    InvalidKey,
    /// An API key where only a session will do.
    #[error("API keys work under /api/v1beta only; log in with a wallet for this")]
    KeyNotAccepted,
    /// An API key bound to other routes.
    #[error("this API key is bound to other routes; use one whose `routes` name this one")]
    KeyScope {
        /// Whose key.
        address: WalletAddress,
        /// Which.
        key: ApiKeyId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for AuthError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing | Self::InvalidToken | Self::InvalidKey => Kind::Unauthenticated,
            Self::KeyNotAccepted | Self::KeyScope { .. } => Kind::Forbidden,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "authentication_required",
            Self::InvalidToken => "invalid_token",
            Self::InvalidKey => "invalid_api_key",
            Self::KeyNotAccepted => "session_required",
            Self::KeyScope { .. } => "key_scope",
            Self::Store(error) => error.code(),
        }
    }
}

/// Recognises session tokens and API keys by their form.
#[derive(Clone)]
pub struct Authenticator {
    sessions: Arc<Sessions>,
    keys: Arc<ApiKeys>,
}

impl Authenticator {
    /// Composes the use case.
    pub fn new(sessions: Arc<Sessions>, keys: Arc<ApiKeys>) -> Self {
        Self { sessions, keys }
    }

    /// The caller behind a session token or an API key, who asks a route of this family.
    ///
    /// # Errors
    /// [`AuthError::KeyScope`] for a key bound to other routes, [`AuthError::InvalidToken`]
    /// for what has the form of a token and is none, [`AuthError::InvalidKey`] for anything else.
    pub async fn any(&self, bearer: &str, route: Option<RouteFamily>) -> Result<Principal, AuthError> {
        if !is_key(bearer) {
            return match self.sessions.authenticate(bearer).await {
                // Whoever sends neither meant a key: programs call these routes.
                Err(AuthError::InvalidToken) if !is_token(bearer) => Err(AuthError::InvalidKey),
                other => other,
            };
        }
        let principal = self.keys.authenticate(bearer).await?;
        match &principal.credential {
            Credential::ApiKey(key) if !key.scope.allows(route) => Err(AuthError::KeyScope {
                address: key.address,
                key: key.id,
            }),
            _ => Ok(principal),
        }
    }

    /// The caller behind a session token; an API key is refused as such.
    ///
    /// # Errors
    /// [`AuthError::KeyNotAccepted`] for an API key, [`AuthError::InvalidToken`] for anything else.
    pub async fn session(&self, bearer: &str) -> Result<Principal, AuthError> {
        if is_key(bearer) {
            return Err(AuthError::KeyNotAccepted);
        }
        self.sessions.authenticate(bearer).await
    }
}

/// Whether a credential has the form of an API key.
pub fn is_key(bearer: &str) -> bool {
    bearer.starts_with("sk-")
}

/// Whether a credential has the form of a session's token: a JSON object in base64url, and more.
fn is_token(bearer: &str) -> bool {
    bearer.starts_with("eyJ")
}
