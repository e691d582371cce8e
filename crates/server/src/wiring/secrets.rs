//! The keys and secrets of the configuration.

use super::WiringError;
use crate::Config;
use haithe_encryption::EncryptionKey;
use haithe_identity::{MessageSigner, Tokens};
use std::sync::Arc;

/// What the configuration keeps secret, parsed.
pub(super) struct Secrets {
    /// Encrypts what is stored and must be read again.
    pub encryption: EncryptionKey,
    /// Signs API keys.
    pub signer: MessageSigner,
    /// Signs and verifies the tokens of sessions.
    pub tokens: Arc<Tokens>,
}

impl Secrets {
    pub(super) fn parse(config: &Config) -> Result<Self, WiringError> {
        Ok(Self {
            encryption: EncryptionKey::parse(&config.database.encryption_key)?,
            signer: MessageSigner::from_hex(&config.auth.api_key_signing_key)?,
            tokens: Arc::new(Tokens::new(&config.auth.jwt_secret)?),
        })
    }
}
