//! Whether a product can be used as it is published, and which of its contents a project uses.

use crate::{
    hosting::ContentDigest,
    loading::{ContentUri, ProductSource},
    product::Category,
    sealing::WrappedKey,
};
use std::fmt;

/// The part of a published product that is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductField {
    /// It was retired.
    Retired,
    /// Its category.
    Category,
    /// Its price.
    Price,
    /// The address of its content.
    Uri,
    /// The wrapped content key.
    EncryptedKey,
    /// The content itself, once opened.
    Content,
}

impl ProductField {
    /// Every field.
    pub const ALL: &[Self] = &[
        Self::Retired,
        Self::Category,
        Self::Price,
        Self::Uri,
        Self::EncryptedKey,
        Self::Content,
    ];

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retired => "retired",
            Self::Category => "category",
            Self::Price => "price_per_call",
            Self::Uri => "uri",
            Self::EncryptedKey => "encrypted_key",
            Self::Content => "content",
        }
    }

    /// The field of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.as_str() == word)
    }
}

/// Why a product can never be used as it is published. Nothing but another publication helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductFault {
    /// The part at fault.
    pub field: ProductField,
    /// The place in the content (RFC 6901), where the content is JSON and the place is known.
    pub pointer: Option<String>,
    /// What is wrong, without anything of the content.
    pub reason: String,
}

impl ProductFault {
    /// A fault without a place in the content.
    pub fn new(field: ProductField, reason: impl Into<String>) -> Self {
        Self {
            field,
            pointer: None,
            reason: reason.into(),
        }
    }

    /// What the published words alone show: an unknown category, an address or key that cannot be read.
    pub fn of_published(source: &ProductSource) -> Option<Self> {
        if source.category.parse::<Category>().is_err() {
            return Some(Self::new(ProductField::Category, "its category is unknown here"));
        }
        if let Err(error) = source.uri.parse::<ContentUri>() {
            return Some(Self::new(ProductField::Uri, error.to_string()));
        }
        let key = source.encrypted_key.parse::<WrappedKey>();
        key.err().map(|error| {
            Self::new(
                ProductField::EncryptedKey,
                format!("its key cannot be read; {error}"),
            )
        })
    }

    /// The names and values that an error shows to programs.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = vec![("field", self.field.as_str().to_owned())];
        details.extend(self.pointer.clone().map(|pointer| ("pointer", pointer)));
        details
    }
}

impl fmt::Display for ProductFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The content that a project accepted when it enabled a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentPin {
    /// The address that was published then, with its SHA-256.
    pub uri: String,
    /// Whether the project uses whatever the creator publishes.
    pub follow_updates: bool,
}

impl ContentPin {
    /// The address of the content that the project uses while `published` is the product's. The same content
    /// at another address is still the accepted content.
    pub fn uri_in_use<'a>(&'a self, published: &'a str) -> &'a str {
        if self.follow_updates || self.uri == published {
            return published;
        }
        match (digest_of(&self.uri), digest_of(published)) {
            (Some(accepted), Some(now)) if accepted == now => published,
            _ => &self.uri,
        }
    }

    /// Whether the creator published other content than the project accepted.
    pub fn is_outdated(&self, published: &str) -> bool {
        self.uri_in_use(published) != published
    }
}

/// The SHA-256 in a content's address.
pub fn digest_of(uri: &str) -> Option<ContentDigest> {
    uri.parse::<ContentUri>().ok().map(|uri| uri.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::WalletAddress;

    fn hosted(content: &[u8]) -> String {
        format!("haithe:sha256:{}", ContentDigest::of(content))
    }

    fn elsewhere(host: &str, content: &[u8]) -> String {
        format!("https://{host}/x#sha256={}", ContentDigest::of(content))
    }

    #[test]
    fn a_project_keeps_the_content_that_it_accepted_unless_it_follows_updates() {
        let pin = |follow_updates| ContentPin {
            uri: hosted(b"old"),
            follow_updates,
        };
        let (old, new) = (hosted(b"old"), hosted(b"new"));
        assert_eq!(pin(false).uri_in_use(&old), old);
        assert_eq!(pin(false).uri_in_use(&new), old);
        assert_eq!(pin(true).uri_in_use(&new), new);
        assert!(pin(false).is_outdated(&new) && !pin(true).is_outdated(&new));
    }

    #[test]
    fn accepted_content_that_moved_is_used_from_its_new_address() {
        let pin = ContentPin {
            uri: elsewhere("old.example", b"same"),
            follow_updates: false,
        };
        let moved = elsewhere("new.example", b"same");
        assert_eq!(pin.uri_in_use(&moved), moved);
        assert_eq!(pin.uri_in_use(&hosted(b"same")), hosted(b"same"));
        assert!(pin.is_outdated("https://new.example/x"), "without a digest");
    }

    #[test]
    fn the_published_words_alone_show_what_can_never_be_loaded() {
        let good = ProductSource {
            uri: hosted(b"x"),
            encrypted_key: "00".into(),
            category: "promptset".into(),
            creator: WalletAddress::new([7; 20]),
        };
        let field = |source: &ProductSource| ProductFault::of_published(source).map(|fault| fault.field);
        assert_eq!(field(&good), Some(ProductField::EncryptedKey));
        let sdk = ProductSource {
            uri: "{\"data\":[1,2,3]}".into(),
            ..good.clone()
        };
        assert_eq!(field(&sdk), Some(ProductField::Uri));
        let odd = ProductSource {
            category: "tool:odd".into(),
            ..good
        };
        assert_eq!(field(&odd), Some(ProductField::Category));
    }

    #[test]
    fn every_field_reads_back_from_its_word() {
        for field in ProductField::ALL {
            assert_eq!(ProductField::of(field.as_str()), Some(*field));
        }
    }
}
