//! The sealed form of a product's content, byte for byte as `docs/SEALING.md` says.
//!
//! Content is encrypted with AES-256-GCM under a random [`ContentKey`] ([`SealedContent`]). The key is
//! wrapped to an enclave's secp256k1 key for one creator ([`WrappedKey`]): ephemeral Diffie-Hellman,
//! HKDF-SHA256 (RFC 5869), AES-256-GCM. Both forms carry a version, and both are read strictly.
//! Everything here is a pure function: chance is the caller's.

mod content;
mod key;
mod secret;

pub use content::{MOST_PLAINTEXT, SealedContent, seal};
pub use key::{EnclavePublicKey, EnclaveSecretKey, KeyId, WrappedKey};
pub use secret::{ContentKey, Plaintext};

use haithe_kernel::{Failure, Kind};

/// Why bytes are not sealed, or do not open. No text repeats what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// Something else altogether.
    #[error("this is no sealed content: it must begin with `HSC` and a version")]
    NotSealed,
    /// Something else altogether, where a key should be.
    #[error("this is no wrapped key: it is 93 bytes in hexadecimal digits and begins with `HWK`")]
    NotWrapped,
    /// Written by a newer program.
    #[error("version {0} of the sealed form is not known here")]
    Version(u8),
    /// Encrypted in a way that is not known.
    #[error("cipher suite {0} of the sealed form is not known here")]
    Suite(u8),
    /// Bytes that must be zero are not.
    #[error("reserved bytes of the sealed form must be zero")]
    Reserved,
    /// Cut off.
    #[error("the sealed content ends too early")]
    Short,
    /// More than is read.
    #[error("sealed content may hold at most {0} bytes")]
    TooLarge(usize),
    /// Nothing inside.
    #[error("there is nothing to seal")]
    Empty,
    /// Not a point or not a scalar of secp256k1.
    #[error("not a key on secp256k1")]
    Key,
    /// Wrapped to a key that is not the one asked.
    #[error("the content key is wrapped to enclave key {0}, which this enclave does not hold")]
    OtherEnclave(KeyId),
    /// The key does not open for this creator: changed, or wrapped for another.
    #[error("the content key does not open: it was changed, or wrapped for another creator")]
    KeyRefused,
    /// The content does not open with this key: changed, or sealed with another.
    #[error("the content does not open with its key: it was changed, or sealed with another key")]
    ContentRefused,
}

impl Failure for SealingError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge(_) => Kind::TooLarge,
            Self::OtherEnclave(_) | Self::KeyRefused | Self::ContentRefused => Kind::Unprocessable,
            _ => Kind::Invalid,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotSealed
            | Self::Version(_)
            | Self::Suite(_)
            | Self::Reserved
            | Self::Short
            | Self::Empty => "not_sealed",
            Self::NotWrapped | Self::Key => "key_not_wrapped",
            Self::TooLarge(_) => "content_too_large",
            Self::OtherEnclave(_) => "other_enclave_key",
            Self::KeyRefused => "content_key_refused",
            Self::ContentRefused => "content_refused",
        }
    }
}

#[cfg(test)]
mod tests;
