//! The secret that a webhook and its senders share.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString, zeroize::Zeroize};
use sha2::Sha256;

type HmacSha256 = Hmac<Sha256>;

/// How secrets begin (Standard Webhooks, "Symmetric signatures").
const PREFIX: &str = "whsec_";
/// Fewest and most bytes of a secret, by the same section.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Makes the secret of deliveries out of the secret of messages.
const DELIVERIES: &[u8] = b"haithe: deliveries of this webhook";

/// Not a secret: too short to be one, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's secret has 24 to 64 bytes")]
pub struct SecretError;

/// A secret of 24 to 64 bytes. Does not print, and is wiped when dropped.
#[derive(Debug)]
pub struct WebhookSecret(SecretBox<Vec<u8>>);

impl Clone for WebhookSecret {
    fn clone(&self) -> Self {
        Self(SecretBox::new(Box::new(self.0.expose_secret().clone())))
    }
}

impl WebhookSecret {
    /// A secret of these bytes.
    ///
    /// # Errors
    /// [`SecretError`], for an empty one too.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretError> {
        if BYTES.contains(&bytes.len()) {
            return Ok(Self(SecretBox::new(Box::new(bytes))));
        }
        let mut bytes = bytes;
        bytes.zeroize();
        Err(SecretError)
    }

    /// The secret of the deliveries. It is another one, so that nobody who reads a delivery can hand
    /// it back as a message.
    pub fn for_deliveries(&self) -> Self {
        Self(SecretBox::new(Box::new(self.mac(DELIVERIES).to_vec())))
    }

    /// As senders are told it: `whsec_` and base64.
    pub fn text(&self) -> SecretString {
        SecretString::from(format!("{PREFIX}{}", STANDARD.encode(self.expose())))
    }

    /// The bytes, for storing them sealed.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// HMAC-SHA256 (RFC 2104).
    pub(super) fn mac(&self, content: &[u8]) -> [u8; 32] {
        self.keyed().chain_update(content).finalize().into_bytes().into()
    }

    /// Whether this is the content's HMAC-SHA256, in constant time.
    pub(super) fn verifies(&self, content: &[u8], mac: &[u8]) -> bool {
        self.keyed().chain_update(content).verify_slice(mac).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §2)")]
    fn keyed(&self) -> HmacSha256 {
        HmacSha256::new_from_slice(self.expose()).expect("a key of any length")
    }
}
