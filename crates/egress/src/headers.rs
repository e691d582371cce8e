//! Which headers a caller may set, and which of them follow a redirect.

use haithe_kernel::FetchError;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers that frame the message, choose the host or speak to proxies.
const OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Headers that say nothing about who is asking.
const HARMLESS: &[&str] = &["accept", "accept-language", "content-type", "user-agent"];

/// Most headers of a request, and most bytes of all of them.
const MOST: usize = 64;
const MOST_BYTES: usize = 16 << 10;

pub(crate) fn checked(given: &[(String, String)]) -> Result<HeaderMap, FetchError> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > MOST || bytes > MOST_BYTES {
        return Err(FetchError::Header);
    }
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| FetchError::Header)?;
        let ours = OURS.contains(&name.as_str());
        if ours || name.as_str().starts_with("proxy-") || name.as_str().starts_with("x-forwarded-") {
            return Err(FetchError::Header);
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| FetchError::Header)?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// What another origin may see.
pub(crate) fn for_strangers(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| HARMLESS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
