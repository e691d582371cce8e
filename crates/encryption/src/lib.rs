//! Encryption at rest: what a database stores and must read again, such as a bot's token.
//!
//! [`SealedBox`] encrypts with AES-256-GCM (NIST SP 800-38D) under a key for one purpose, derived from the
//! database's [`EncryptionKey`] with HKDF-SHA256 (RFC 5869, info = the purpose). Sealed bytes are
//!
//! ```text
//! version (1) │ key id (4) │ nonce (12) │ ciphertext │ tag (16)
//! ```
//!
//! Version, key id and the caller's context are authenticated: bytes that were moved to another row do not
//! open there. Each seal draws a random nonce, so that one key and purpose is good for 2³² seals
//! (SP 800-38D §8.3). The form does not depend on the database: a row that is copied to another database with
//! its identifiers opens there under the same key.
//!
//! The crate knows no database and no domain.

use aes_gcm::{
    AeadInPlace, Aes256Gcm, KeyInit,
    aead::rand_core::{OsRng, RngCore},
};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretBox, SecretString, zeroize::Zeroize};
use sha2::Sha256;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES;

/// How many bytes longer than their content sealed bytes are.
pub const SEAL_OVERHEAD: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/// Separates the derivation of a key's id from the keys derived for purposes.
const KEY_ID_SALT: &[u8] = b"haithe: id of a database's encryption key";

/// The key from which all keys for sealing in one database are derived. `Debug` does not print it, and it is
/// wiped when it is dropped.
#[derive(Debug)]
pub struct EncryptionKey(SecretBox<[u8; 32]>);

/// The public identifier of an [`EncryptionKey`]: 4 bytes, from which the key cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// The identifier of the key that sealed these bytes, of which the first 5 are enough; `None` for bytes of an
    /// unknown version. Nothing is authenticated: this recognizes a key, it proves nothing.
    pub fn of_sealed(sealed: &[u8]) -> Option<Self> {
        match *sealed.first_chunk::<HEADER_BYTES>()? {
            [VERSION, a, b, c, d] => Some(Self([a, b, c, d])),
            _ => None,
        }
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 hexadecimal digits; `haithe keygen` prints fresh ones")]
pub struct EncryptionKeyError;

impl EncryptionKey {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`EncryptionKeyError`], which does not contain them.
    pub fn parse(digits: &SecretString) -> Result<Self, EncryptionKeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits.expose_secret(), &mut bytes).map_err(|_| EncryptionKeyError)?;
        let key = Self(SecretBox::new(Box::new(bytes)));
        bytes.zeroize();
        Ok(key)
    }

    /// The public identifier of this key, which all bytes sealed under it carry.
    pub fn id(&self) -> KeyId {
        KeyId(self.derive(Some(KEY_ID_SALT), b""))
    }

    fn derive<const N: usize>(&self, salt: Option<&[u8]>, info: &[u8]) -> [u8; N] {
        let mut derived = [0; N];
        // Fails above 255 hashes of output; N is a key or an id.
        let expanded =
            Hkdf::<Sha256>::new(salt, self.0.expose_secret().as_slice()).expand(info, &mut derived);
        debug_assert!(expanded.is_ok());
        derived
    }
}

/// Why bytes could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes are too short or have an unknown version.
    #[error("not sealed bytes of a known version")]
    Form,
    /// Another key sealed the bytes.
    #[error(
        "sealed under another key: is `database.encryption_key` the one that this database was used with?"
    )]
    OtherKey,
    /// The bytes were changed, moved to another context, or sealed for another purpose.
    #[error("the sealed bytes were changed or belong to another place")]
    Refused,
    /// The operating system returned no random bytes, or the content is too long.
    #[error("the bytes could not be sealed")]
    Unsealable,
}

/// Seals and opens bytes for one purpose. `Debug` does not print the key.
#[derive(Clone)]
pub struct SealedBox {
    cipher: Aes256Gcm,
    header: [u8; HEADER_BYTES],
}

impl std::fmt::Debug for SealedBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedBox").finish_non_exhaustive()
    }
}

impl SealedBox {
    /// Derives the key of `purpose`; bytes that were sealed for another purpose do not open.
    pub fn new(key: &EncryptionKey, purpose: &'static str) -> Self {
        let mut own: [u8; 32] = key.derive(None, purpose.as_bytes());
        let cipher = Aes256Gcm::new(&own.into());
        own.zeroize();
        let KeyId([a, b, c, d]) = key.id();
        Self {
            cipher,
            header: [VERSION, a, b, c, d],
        }
    }

    /// Seals `plain` for the place that `context` names, such as the identifier of a row.
    ///
    /// # Errors
    /// [`SealError::Unsealable`].
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        OsRng
            .try_fill_bytes(&mut nonce)
            .map_err(|_| SealError::Unsealable)?;
        let mut body = plain.to_vec();
        let tag = self
            .cipher
            .encrypt_in_place_detached(&nonce.into(), &self.bound_to(context), &mut body)
            .map_err(|_| SealError::Unsealable)?;
        let mut sealed = Vec::with_capacity(SEAL_OVERHEAD.saturating_add(body.len()));
        sealed.extend_from_slice(&self.header);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] returned for the same context.
    ///
    /// # Errors
    /// [`SealError`]; no part of the content is returned unless all of it is authentic.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (header, rest) = sealed
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(SealError::Form)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Form)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(SealError::Form)?;
        if header.first() != Some(&VERSION) {
            return Err(SealError::Form);
        }
        if *header != self.header {
            return Err(SealError::OtherKey);
        }
        let mut plain = body.to_vec();
        self.cipher
            .decrypt_in_place_detached(
                &(*nonce).into(),
                &self.bound_to(context),
                &mut plain,
                &(*tag).into(),
            )
            .map_err(|_| SealError::Refused)?;
        Ok(plain)
    }

    /// The associated data. The header's length is fixed, so no two pairs share one.
    fn bound_to(&self, context: &[u8]) -> Vec<u8> {
        [self.header.as_slice(), context].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> EncryptionKey {
        EncryptionKey::parse(&SecretString::from(hex::encode([byte; 32]))).unwrap()
    }

    fn sealed_box() -> SealedBox {
        SealedBox::new(&key(7), "a test")
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_in_its_place_alone(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            context in proptest::collection::vec(any::<u8>(), 0..20),
            other in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let sealed = sealed_box().seal(&context, &plain).unwrap();
            prop_assert_eq!(sealed.len(), plain.len() + SEAL_OVERHEAD);
            prop_assert_eq!(sealed_box().open(&context, &sealed), Ok(plain));
            if other != context {
                prop_assert_eq!(sealed_box().open(&other, &sealed), Err(SealError::Refused));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(sealed_box().open(b"", &bytes).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let sealed = sealed_box().seal(b"row 1", b"secret").unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(
                    sealed_box().open(b"row 1", &changed).is_err(),
                    "bit {bit} of {at}"
                );
            }
            assert!(sealed_box().open(b"row 1", &sealed[..at]).is_err(), "cut at {at}");
        }
        let longer = [sealed.as_slice(), b"x"].concat();
        assert_eq!(sealed_box().open(b"row 1", &longer), Err(SealError::Refused));
    }

    #[test]
    fn another_key_is_told_apart_from_changed_bytes_and_from_another_version() {
        let sealed = sealed_box().seal(b"", b"secret").unwrap();
        let other = SealedBox::new(&key(8), "a test");
        assert_eq!(other.open(b"", &sealed), Err(SealError::OtherKey));
        let mut newer = sealed.clone();
        newer[0] = VERSION + 1;
        assert_eq!(sealed_box().open(b"", &newer), Err(SealError::Form));
        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(sealed_box().open(b"", &changed), Err(SealError::Refused));
    }

    #[test]
    fn sealed_bytes_carry_the_id_of_their_key() {
        let sealed = sealed_box().seal(b"", b"secret").unwrap();
        assert_eq!(KeyId::of_sealed(&sealed), Some(key(7).id()));
        assert_eq!(KeyId::of_sealed(&sealed[..HEADER_BYTES]), Some(key(7).id()));
        assert_ne!(key(8).id(), key(7).id());
        assert_eq!(KeyId::of_sealed(&sealed[..HEADER_BYTES - 1]), None);
        assert_eq!(KeyId::of_sealed(&[&[VERSION + 1], &sealed[1..]].concat()), None);
    }

    #[test]
    fn another_purpose_does_not_open_it() {
        let sealed = sealed_box().seal(b"", b"secret").unwrap();
        let other = SealedBox::new(&key(7), "another test");
        assert_eq!(other.open(b"", &sealed), Err(SealError::Refused));
    }

    #[test]
    fn the_same_is_never_sealed_alike_twice() {
        let once = sealed_box().seal(b"", b"secret").unwrap();
        assert_ne!(once, sealed_box().seal(b"", b"secret").unwrap());
        assert!(!once.windows(6).any(|part| part == b"secret"));
    }

    /// RFC 5869 pins the derivation: a database must open after an update of the library. The
    /// expected bytes come from Python's `cryptography` (HKDF and AESGCM).
    #[test]
    fn bytes_sealed_elsewhere_by_the_documented_form_open() {
        let sealed = hex::decode(KNOWN).unwrap();
        assert_eq!(sealed_box().open(b"row 1", &sealed), Ok(b"secret".to_vec()));
    }

    const KNOWN: &str = "012cf349bf000102030405060708090a0bb85bfd4c4b02559bf91b9f1c36e6464efe7f5e490c3d";

    #[test]
    fn a_key_is_64_digits_and_neither_it_nor_its_error_prints() {
        assert!(EncryptionKey::parse(&SecretString::from("AB".repeat(32))).is_ok());
        for wrong in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            let refused = EncryptionKey::parse(&SecretString::from(wrong.to_owned())).unwrap_err();
            assert!(wrong.is_empty() || !refused.to_string().contains(wrong));
        }
        let printed = format!("{:?} {:?}", key(7), sealed_box());
        assert!(
            !printed.contains("7, 7") && !printed.contains("0707"),
            "{printed}"
        );
    }
}
