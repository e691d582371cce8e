//! An enclave that is none, and says so.

use crate::Keyring;
use async_trait::async_trait;
use haithe_kernel::WalletAddress;
use haithe_marketplace::{
    enclave::{Attestation, Enclave, EnclaveError, Nonce},
    sealing::{ContentKey, EnclavePublicKey, WrappedKey},
};

/// Keys in an ordinary process. Whoever runs it can read them.
pub struct LocalEnclave(Keyring);

impl LocalEnclave {
    /// Holds these keys.
    pub const fn new(keys: Keyring) -> Self {
        Self(keys)
    }
}

#[async_trait]
impl Enclave for LocalEnclave {
    fn public_key(&self) -> EnclavePublicKey {
        self.0.public_key()
    }

    async fn unwrap(&self, wrapped: &WrappedKey, creator: WalletAddress) -> Result<ContentKey, EnclaveError> {
        Ok(self.0.unwrap(wrapped, creator)?)
    }

    async fn attest(&self, _nonce: Option<Nonce>) -> Result<Attestation, EnclaveError> {
        Ok(Attestation::None)
    }
}
