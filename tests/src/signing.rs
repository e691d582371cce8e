//! Standard Webhooks' signatures, computed by what the standard says and not by the service's code.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// `v1,` and base64 of HMAC-SHA256 over `id.timestamp.payload`, under a secret as it is shown.
pub fn signature(secret: &str, id: &str, time: i64, payload: &[u8]) -> String {
    let key = secret.strip_prefix("whsec_").expect("a webhook's secret");
    let key = STANDARD.decode(key).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(payload);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The three headers of a message.
pub fn headers(secret: &str, id: &str, time: i64, payload: &[u8]) -> [(&'static str, String); 3] {
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", time.to_string()),
        ("webhook-signature", signature(secret, id, time, payload)),
    ]
}

/// Seconds since 1970.
pub fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}
