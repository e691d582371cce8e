//! Enclave keys, and content keys wrapped to them: 93 bytes.

use super::{ContentKey, SealingError};
use aes_gcm::{AeadInPlace, Aes256Gcm, KeyInit};
use haithe_kernel::WalletAddress;
use hkdf::Hkdf;
use k256::{
    PublicKey, SecretKey,
    elliptic_curve::{point::AffineCoordinates, sec1::ToEncodedPoint},
};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

const MAGIC: [u8; 3] = *b"HWK";
const VERSION: u8 = 1;
/// What the derived key is for (RFC 5869 §3.2).
const INFO: &[u8] = b"haithe wrapped content key v1";

/// Names an enclave's key: the first 8 bytes of the SHA-256 of its uncompressed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The bytes.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// An enclave's public key. Prints as `04` and 128 hexadecimal digits (SEC 1, uncompressed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnclavePublicKey(PublicKey);

impl EnclavePublicKey {
    /// The uncompressed point.
    pub fn uncompressed(&self) -> Vec<u8> {
        self.0.to_encoded_point(false).as_bytes().to_vec()
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        let digest: [u8; 32] = Sha256::digest(self.uncompressed()).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// Wraps a content key so that only this enclave opens it, and only for `creator`'s products.
    ///
    /// `ephemeral` are 32 random bytes that are used once.
    ///
    /// # Errors
    /// [`SealingError::Key`] for the vanishing few `ephemeral` that are no scalar.
    pub fn wrap(
        &self,
        key: &ContentKey,
        creator: WalletAddress,
        ephemeral: &[u8; 32],
    ) -> Result<WrappedKey, SealingError> {
        let ephemeral = SecretKey::from_slice(ephemeral).map_err(|_| SealingError::Key)?;
        let public = ephemeral.public_key();
        let once = Once::derive(&ephemeral, &self.0, &public, &self.0)?;
        let id = self.id();
        let point = compressed(&public)?;
        let mut sealed = Zeroizing::new(*key.expose());
        let tag = once
            .cipher()
            .encrypt_in_place_detached(
                (&once.nonce).into(),
                &bound_to(id, &point, creator),
                sealed.as_mut_slice(),
            )
            .map_err(|_| SealingError::KeyRefused)?;
        Ok(WrappedKey {
            id,
            ephemeral: public,
            sealed: *sealed,
            tag: tag.into(),
        })
    }
}

impl fmt::Display for EnclavePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.uncompressed()))
    }
}

impl FromStr for EnclavePublicKey {
    type Err = SealingError;
    fn from_str(text: &str) -> Result<Self, SealingError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() != 130 {
            return Err(SealingError::Key);
        }
        let bytes = hex::decode(digits).map_err(|_| SealingError::Key)?;
        let point = PublicKey::from_sec1_bytes(&bytes).map_err(|_| SealingError::Key)?;
        Ok(Self(point))
    }
}

/// An enclave's secret key. Does not print, and is wiped when it is dropped.
#[derive(Clone)]
pub struct EnclaveSecretKey(SecretKey);

impl EnclaveSecretKey {
    /// Takes a scalar of 32 bytes.
    ///
    /// # Errors
    /// [`SealingError::Key`] when it is not one of secp256k1.
    pub fn new(bytes: &[u8; 32]) -> Result<Self, SealingError> {
        SecretKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| SealingError::Key)
    }

    /// The public half.
    pub fn public_key(&self) -> EnclavePublicKey {
        EnclavePublicKey(self.0.public_key())
    }

    /// Opens a content key that was wrapped to this key for `creator`.
    ///
    /// # Errors
    /// [`SealingError::OtherEnclave`] when it was wrapped to another key, [`SealingError::KeyRefused`]
    /// when it was changed or wrapped for another creator.
    pub fn unwrap(&self, wrapped: &WrappedKey, creator: WalletAddress) -> Result<ContentKey, SealingError> {
        let own = self.public_key();
        if wrapped.id != own.id() {
            return Err(SealingError::OtherEnclave(wrapped.id));
        }
        let once = Once::derive(&self.0, &wrapped.ephemeral, &wrapped.ephemeral, &own.0)?;
        let point = compressed(&wrapped.ephemeral)?;
        let mut key = Zeroizing::new(wrapped.sealed);
        once.cipher()
            .decrypt_in_place_detached(
                (&once.nonce).into(),
                &bound_to(wrapped.id, &point, creator),
                key.as_mut_slice(),
                (&wrapped.tag).into(),
            )
            .map_err(|_| SealingError::KeyRefused)?;
        Ok(ContentKey::new(*key))
    }
}

impl fmt::Debug for EnclaveSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnclaveSecretKey({})", self.public_key().id())
    }
}

/// A content key for one enclave and one creator, as it stands on chain in `encryptedKeyForTEE`.
///
/// Prints as 186 hexadecimal digits; reads them in any case, with or without `0x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey {
    id: KeyId,
    ephemeral: PublicKey,
    sealed: [u8; 32],
    tag: [u8; 16],
}

impl WrappedKey {
    /// Length in bytes.
    pub const LENGTH: usize = 93;

    /// The enclave key that opens it.
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Reads the form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealingError> {
        let wrong = SealingError::NotWrapped;
        let (magic, rest) = bytes.split_first_chunk::<3>().ok_or(wrong)?;
        let (version, rest) = rest.split_first().ok_or(wrong)?;
        if *magic != MAGIC {
            return Err(wrong);
        }
        if *version != VERSION {
            return Err(SealingError::Version(*version));
        }
        let (id, rest) = rest.split_first_chunk::<8>().ok_or(wrong)?;
        let (point, rest) = rest.split_first_chunk::<33>().ok_or(wrong)?;
        let (sealed, rest) = rest.split_first_chunk::<32>().ok_or(wrong)?;
        let tag: &[u8; 16] = rest.try_into().map_err(|_| wrong)?;
        Ok(Self {
            id: KeyId(*id),
            ephemeral: PublicKey::from_sec1_bytes(point).map_err(|_| SealingError::Key)?,
            sealed: *sealed,
            tag: *tag,
        })
    }

    /// The 93 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend(MAGIC);
        bytes.push(VERSION);
        bytes.extend(self.id.0);
        bytes.extend(self.ephemeral.to_encoded_point(true).as_bytes());
        bytes.extend(self.sealed);
        bytes.extend(self.tag);
        bytes
    }
}

impl fmt::Display for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl FromStr for WrappedKey {
    type Err = SealingError;
    fn from_str(text: &str) -> Result<Self, SealingError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() != 2 * Self::LENGTH {
            return Err(SealingError::NotWrapped);
        }
        Self::parse(&hex::decode(digits).map_err(|_| SealingError::NotWrapped)?)
    }
}

/// Key and nonce of one wrapping: the ephemeral key is used once, and so are these.
struct Once {
    key: Zeroizing<[u8; 32]>,
    nonce: [u8; 12],
}

impl Once {
    /// The x-coordinate of `secret` × `peer` (SEC 1 §3.3.1), salted with both public keys.
    fn derive(
        secret: &SecretKey,
        peer: &PublicKey,
        ephemeral: &PublicKey,
        enclave: &PublicKey,
    ) -> Result<Self, SealingError> {
        let shared = (peer.to_projective() * *secret.to_nonzero_scalar()).to_affine();
        let x = Zeroizing::new(<[u8; 32]>::from(shared.x()));
        let mut salt = compressed(ephemeral)?.to_vec();
        salt.extend(enclave.to_encoded_point(false).as_bytes());
        let mut output = Zeroizing::new([0; 44]);
        Hkdf::<Sha256>::new(Some(&salt), x.as_slice())
            .expand(INFO, output.as_mut_slice())
            .map_err(|_| SealingError::KeyRefused)?;
        let mut once = Self {
            key: Zeroizing::new([0; 32]),
            nonce: [0; 12],
        };
        let slots = once.key.iter_mut().chain(&mut once.nonce);
        slots.zip(output.iter()).for_each(|(slot, byte)| *slot = *byte);
        Ok(once)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.key).into())
    }
}

fn compressed(point: &PublicKey) -> Result<[u8; 33], SealingError> {
    let point = point.to_encoded_point(true);
    point.as_bytes().try_into().map_err(|_| SealingError::Key)
}

/// What is authenticated beside the key: everything before it, and whom it is for.
fn bound_to(id: KeyId, ephemeral: &[u8; 33], creator: WalletAddress) -> Vec<u8> {
    let mut bound = Vec::with_capacity(65);
    bound.extend(MAGIC);
    bound.push(VERSION);
    bound.extend(id.0);
    bound.extend(ephemeral);
    bound.extend(creator.as_bytes());
    bound
}
