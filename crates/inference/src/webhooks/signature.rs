//! Standard Webhooks' signatures: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.payload`.

use super::{WebhookError, WebhookSecret};
use base64::{Engine, engine::general_purpose::STANDARD};
use haithe_kernel::Timestamp;

/// Furthest that a message's time may be from ours, in seconds.
pub const TOLERANCE_SECONDS: u64 = 300;
/// Longest `webhook-id`, in bytes.
pub const MOST_ID_BYTES: usize = 256;
/// Most signatures in one header: a sender that rotates its secret sends two.
const MOST_SIGNATURES: usize = 16;
/// Longest `webhook-signature`, in bytes.
const MOST_SIGNATURE_BYTES: usize = 2_048;
const VERSION: &str = "v1";

/// The three headers of a message, read and not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The sender's name for the message, the same for each of its tries.
    pub id: String,
    /// When this try was made, in seconds since 1970 as written.
    timestamp: String,
    seconds: i64,
    signatures: Vec<Vec<u8>>,
}

impl Signed {
    /// Reads `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    ///
    /// # Errors
    /// [`WebhookError::Unsigned`] for a header that is absent or malformed.
    pub fn read(
        id: Option<&str>,
        timestamp: Option<&str>,
        signature: Option<&str>,
    ) -> Result<Self, WebhookError> {
        let unsigned = WebhookError::Unsigned;
        let id = id.ok_or(unsigned("the header webhook-id is missing"))?;
        let timestamp = timestamp.ok_or(unsigned("the header webhook-timestamp is missing"))?;
        let signature = signature.ok_or(unsigned("the header webhook-signature is missing"))?;
        // A full stop would let the border between id and timestamp move under the same signature.
        let is_id = (1..=MOST_ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.');
        if !is_id {
            return Err(unsigned(
                "webhook-id must be 1 to 256 visible ASCII characters without a full stop",
            ));
        }
        let digits =
            (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = timestamp
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or(unsigned("webhook-timestamp must be whole seconds since 1970"))?;
        Ok(Self {
            id: id.to_owned(),
            timestamp: timestamp.to_owned(),
            seconds,
            signatures: signatures(signature)?,
        })
    }

    /// Whether the message is of now.
    ///
    /// # Errors
    /// [`WebhookError::Stale`].
    pub fn is_fresh(&self, now: Timestamp) -> Result<(), WebhookError> {
        if now.seconds().abs_diff(self.seconds) > TOLERANCE_SECONDS {
            return Err(WebhookError::Stale);
        }
        Ok(())
    }

    /// Whether one of the signatures is the secret's over this payload. Each is compared in constant
    /// time, and all of them are.
    pub fn verifies(&self, secret: &WebhookSecret, payload: &[u8]) -> bool {
        let content = content(&self.id, &self.timestamp, payload);
        self.signatures.iter().fold(false, |found, signature| {
            secret.verifies(&content, signature) | found
        })
    }
}

/// Signatures of our version; those of others are passed over.
fn signatures(header: &str) -> Result<Vec<Vec<u8>>, WebhookError> {
    let malformed = WebhookError::Unsigned("webhook-signature must be `v1,` and base64 of an HMAC-SHA256");
    if header.len() > MOST_SIGNATURE_BYTES {
        return Err(malformed);
    }
    let mut found = Vec::new();
    for part in header.split(' ').filter(|part| !part.is_empty()) {
        if let Some((VERSION, encoded)) = part.split_once(',')
            && let Ok(signature) = STANDARD.decode(encoded)
        {
            found.push(signature);
        }
    }
    if found.is_empty() || found.len() > MOST_SIGNATURES {
        return Err(malformed);
    }
    Ok(found)
}

fn content(id: &str, timestamp: &str, payload: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", payload].concat()
}

/// The headers of a message that we send.
pub fn sign(secret: &WebhookSecret, id: &str, at: Timestamp, payload: &[u8]) -> [(String, String); 3] {
    let timestamp = at.seconds().to_string();
    let mac = secret.mac(&content(id, &timestamp, payload));
    [
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), timestamp),
        (
            "webhook-signature".to_owned(),
            format!("{VERSION},{}", STANDARD.encode(mac)),
        ),
    ]
}
