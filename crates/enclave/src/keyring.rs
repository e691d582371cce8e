//! The keys: one to seal to, and those that were.

use haithe_kernel::WalletAddress;
use haithe_marketplace::sealing::{
    ContentKey, EnclavePublicKey, EnclaveSecretKey, KeyId, SealingError, WrappedKey,
};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A key that cannot be used. The text never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an enclave key is 32 bytes of hex in the range of secp256k1; `haithe keygen` prints one")]
pub struct KeyringError;

/// The enclave's keys by their names.
pub struct Keyring {
    newest: EnclavePublicKey,
    keys: BTreeMap<KeyId, EnclaveSecretKey>,
}

impl Keyring {
    /// Takes the key to seal to from now on, and those that what was sealed before still needs.
    ///
    /// # Errors
    /// [`KeyringError`] when one of them is no key.
    pub fn new(newest: &SecretString, former: &[SecretString]) -> Result<Self, KeyringError> {
        let newest = parse(newest)?;
        let public = newest.public_key();
        let mut keys = BTreeMap::from([(public.id(), newest)]);
        for key in former {
            let key = parse(key)?;
            keys.insert(key.public_key().id(), key);
        }
        Ok(Self { newest: public, keys })
    }

    /// The key to seal to.
    pub const fn public_key(&self) -> EnclavePublicKey {
        self.newest
    }

    /// Opens with whichever key it was wrapped to.
    ///
    /// # Errors
    /// [`SealingError::OtherEnclave`] when it is none of these.
    pub fn unwrap(&self, wrapped: &WrappedKey, creator: WalletAddress) -> Result<ContentKey, SealingError> {
        let id = wrapped.key_id();
        let key = self.keys.get(&id).ok_or(SealingError::OtherEnclave(id))?;
        key.unwrap(wrapped, creator)
    }
}

fn parse(key: &SecretString) -> Result<EnclaveSecretKey, KeyringError> {
    let digits = key.expose_secret();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| KeyringError)?;
    EnclaveSecretKey::new(&bytes).map_err(|_| KeyringError)
}
