//! Sealed content: a header of 20 bytes, the ciphertext, a tag of 16 bytes.

use super::{ContentKey, Plaintext, SealingError};
use aes_gcm::{AeadInPlace, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// Most bytes that are sealed together.
pub const MOST_PLAINTEXT: usize = 32 << 20;

const MAGIC: [u8; 3] = *b"HSC";
const VERSION: u8 = 1;
/// AES-256-GCM with a nonce of 12 bytes and a tag of 16 (NIST SP 800-38D).
const AES_256_GCM: u8 = 1;
const HEADER: usize = 20;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Sealed content whose form has been checked. Whether it opens only its key can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedContent<'a> {
    header: &'a [u8; HEADER],
    nonce: &'a [u8; NONCE],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG],
}

impl<'a> SealedContent<'a> {
    /// Bytes that sealing adds.
    pub const OVERHEAD: usize = HEADER + TAG;

    /// Reads the form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SealingError> {
        let Some((magic, _)) = bytes.split_first_chunk::<3>() else {
            return Err(SealingError::NotSealed);
        };
        if *magic != MAGIC {
            return Err(SealingError::NotSealed);
        }
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(SealingError::Short)?;
        let (about, nonce) = header.split_last_chunk::<NONCE>().ok_or(SealingError::Short)?;
        let [_, _, _, version, suite, reserved @ ..] = about else {
            return Err(SealingError::Short);
        };
        if *version != VERSION {
            return Err(SealingError::Version(*version));
        }
        if *suite != AES_256_GCM {
            return Err(SealingError::Suite(*suite));
        }
        if *reserved != [0; 3] {
            return Err(SealingError::Reserved);
        }
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(SealingError::Short)?;
        if ciphertext.is_empty() {
            return Err(SealingError::Short);
        }
        if ciphertext.len() > MOST_PLAINTEXT {
            return Err(SealingError::TooLarge(MOST_PLAINTEXT));
        }
        Ok(Self {
            header,
            nonce,
            ciphertext,
            tag,
        })
    }

    /// The content in the clear.
    ///
    /// # Errors
    /// [`SealingError::ContentRefused`] when a single bit differs from what was sealed with this key.
    pub fn open(&self, key: &ContentKey) -> Result<Plaintext, SealingError> {
        let mut content = Zeroizing::new(self.ciphertext.to_vec());
        cipher(key)
            .decrypt_in_place_detached(self.nonce.into(), self.header, &mut content, self.tag.into())
            .map_err(|_| SealingError::ContentRefused)?;
        Ok(Plaintext::new(std::mem::take(&mut *content)))
    }
}

/// Seals content under a key, with a nonce that this key has never seen.
///
/// # Errors
/// [`SealingError::Empty`], [`SealingError::TooLarge`].
pub fn seal(content: &[u8], key: &ContentKey, nonce: [u8; NONCE]) -> Result<Vec<u8>, SealingError> {
    if content.is_empty() {
        return Err(SealingError::Empty);
    }
    if content.len() > MOST_PLAINTEXT {
        return Err(SealingError::TooLarge(MOST_PLAINTEXT));
    }
    let mut header = Vec::with_capacity(HEADER);
    header.extend(MAGIC);
    header.extend([VERSION, AES_256_GCM, 0, 0, 0]);
    header.extend(nonce);
    let mut body = content.to_vec();
    let tag = cipher(key)
        .encrypt_in_place_detached((&nonce).into(), &header, &mut body)
        .map_err(|_| SealingError::TooLarge(MOST_PLAINTEXT))?;
    let mut sealed = header;
    sealed.reserve(body.len() + TAG);
    sealed.extend(body);
    sealed.extend(tag);
    Ok(sealed)
}

fn cipher(key: &ContentKey) -> Aes256Gcm {
    Aes256Gcm::new(key.expose().into())
}
