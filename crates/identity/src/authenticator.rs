//! Use case: one bearer credential, whichever sort it is.

use crate::{
    Principal,
    api_keys::ApiKeys,
    logins::{AuthError, Sessions},
};
use std::sync::Arc;

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

    /// The caller behind a session token or an API key.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for anything else.
    pub async fn any(&self, bearer: &str) -> Result<Principal, AuthError> {
        if bearer.starts_with("sk-") {
            self.keys.authenticate(bearer).await
        } else {
            self.sessions.authenticate(bearer).await
        }
    }

    /// The caller behind a session token; an API key is refused as such.
    ///
    /// # Errors
    /// [`AuthError::KeyNotAccepted`] for an API key, [`AuthError::Invalid`] for anything else.
    pub async fn session(&self, bearer: &str) -> Result<Principal, AuthError> {
        if bearer.starts_with("sk-") {
            return Err(AuthError::KeyNotAccepted);
        }
        self.sessions.authenticate(bearer).await
    }
}
