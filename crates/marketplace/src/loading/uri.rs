//! Where sealed content is, with the digest that pins it.

use crate::hosting::ContentDigest;
use std::{fmt, str::FromStr};
use url::Url;

/// What stands before the digest of content that is kept here.
const HOSTED: &str = "haithe:sha256:";
/// What stands before the digest at the end of any other address.
const PIN: &str = "sha256=";

/// A product's `uri`: `haithe:sha256:<digest>`, or an http or https address with `#sha256=<digest>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentUri {
    /// Kept here.
    Hosted(ContentDigest),
    /// Anywhere else.
    Elsewhere {
        /// The address, without its fragment.
        url: Url,
        /// What its bytes must hash to.
        digest: ContentDigest,
    },
}

/// Not where sealed content can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its uri is neither `haithe:sha256:` and a SHA-256 nor an http address with `#sha256=` and one")]
pub struct UriError;

impl ContentUri {
    /// What the bytes must hash to.
    pub const fn digest(&self) -> ContentDigest {
        match self {
            Self::Hosted(digest) | Self::Elsewhere { digest, .. } => *digest,
        }
    }
}

impl FromStr for ContentUri {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Self, UriError> {
        if let Some(digest) = text.strip_prefix(HOSTED) {
            return digest.parse().map(Self::Hosted).map_err(|_| UriError);
        }
        let mut url = Url::parse(text).map_err(|_| UriError)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(UriError);
        }
        let digest = url.fragment().and_then(|pin| pin.strip_prefix(PIN));
        let digest = digest.and_then(|digest| digest.parse().ok()).ok_or(UriError)?;
        url.set_fragment(None);
        Ok(Self::Elsewhere { url, digest })
    }
}

impl fmt::Display for ContentUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosted(digest) => write!(f, "{HOSTED}{digest}"),
            Self::Elsewhere { url, digest } => write!(f, "{url}#{PIN}{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_here_or_at_an_address_and_always_pinned() {
        let digest = ContentDigest::of(b"x");
        let hosted = format!("haithe:sha256:{digest}");
        assert_eq!(hosted.parse(), Ok(ContentUri::Hosted(digest)));
        let elsewhere = format!("https://a.example/b?c=d#sha256={digest}");
        let uri: ContentUri = elsewhere.parse().unwrap();
        assert_eq!(uri.digest(), digest);
        assert!(
            matches!(&uri, ContentUri::Elsewhere { url, .. } if url.as_str() == "https://a.example/b?c=d")
        );
        assert_eq!(
            (uri.to_string(), hosted.parse::<ContentUri>().unwrap().to_string()),
            (elsewhere, hosted)
        );
        for bad in [
            String::new(),
            "haithe:sha256:".into(),
            format!("haithe:{digest}"),
            "https://a.example/b".into(),
            "https://a.example/b#sha256=ab".into(),
            format!("https://a.example/b?sha256={digest}"),
            format!("ftp://a.example/b#sha256={digest}"),
            format!("file:///etc/passwd#sha256={digest}"),
        ] {
            assert_eq!(bad.parse::<ContentUri>(), Err(UriError), "{bad}");
        }
    }
}
