//! The port for whoever holds the key that content is sealed to.

use crate::sealing::{ContentKey, EnclavePublicKey, SealingError, WrappedKey};
use async_trait::async_trait;
use haithe_kernel::{Failure, Kind, WalletAddress};
use std::{error::Error, fmt, str::FromStr};

/// What a caller wants to find in a report, so that it is not an old one: 16 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

/// Not a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 16 to 64 bytes in hexadecimal digits")]
pub struct NonceError;

impl Nonce {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for Nonce {
    type Err = NonceError;
    fn from_str(text: &str) -> Result<Self, NonceError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if !(32..=128).contains(&digits.len()) {
            return Err(NonceError);
        }
        hex::decode(digits).map(Self).map_err(|_| NonceError)
    }
}

/// A statement about the key that somebody else can verify, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attestation {
    /// The key lies in an ordinary process: nothing is claimed.
    None,
    /// An AWS Nitro attestation document (COSE_Sign1), whose `public_key` is the enclave's
    /// uncompressed point and whose `user_data` is the nonce.
    AwsNitro(Vec<u8>),
}

/// Why an enclave does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum EnclaveError {
    /// The key does not open.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The attestation service does not answer, or not as it should.
    #[error("the enclave cannot be attested now; try again shortly")]
    Attestation(#[source] Box<dyn Error + Send + Sync>),
    /// The report is about another key or another nonce.
    #[error("the attestation service gave a report about something else, which is not passed on")]
    Unbound,
}

impl Failure for EnclaveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Sealing(error) => error.kind(),
            Self::Attestation(_) | Self::Unbound => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Sealing(error) => error.code(),
            Self::Attestation(_) => "attestation_unavailable",
            Self::Unbound => "attestation_unbound",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Attestation(_)).then_some(5)
    }
}

/// Whoever holds the key that content is sealed to.
///
/// Contract: what is wrapped to [`public_key`](Self::public_key), or to a former key that is still
/// held, unwraps for its creator and for nobody else. A report is passed on only if it is about the
/// advertised key and carries the nonce.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Enclave: Send + Sync {
    /// The key to seal to now.
    fn public_key(&self) -> EnclavePublicKey;
    /// The content key that was wrapped for `creator`.
    async fn unwrap(&self, wrapped: &WrappedKey, creator: WalletAddress) -> Result<ContentKey, EnclaveError>;
    /// A report about [`public_key`](Self::public_key). Without a nonce it may be an old one.
    async fn attest(&self, nonce: Option<Nonce>) -> Result<Attestation, EnclaveError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_long_enough_to_be_fresh_and_short_enough_for_a_report() {
        assert_eq!("0xAb".parse::<Nonce>(), Err(NonceError));
        assert_eq!("ab".repeat(15).parse::<Nonce>(), Err(NonceError));
        assert_eq!("ab".repeat(65).parse::<Nonce>(), Err(NonceError));
        assert_eq!("zz".repeat(16).parse::<Nonce>(), Err(NonceError));
        assert_eq!(format!("{}a", "ab".repeat(16)).parse::<Nonce>(), Err(NonceError));
        let nonce: Nonce = format!("0x{}", "AB".repeat(16)).parse().unwrap();
        assert_eq!(nonce.to_string(), "ab".repeat(16));
        assert_eq!(nonce.as_bytes(), [0xab; 16]);
    }
}
