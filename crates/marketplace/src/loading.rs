//! Use case: get at what is inside a product, in memory and nowhere else.
//!
//! ```text
//!   uri ─► sealed bytes (kept here by their SHA-256, or fetched) ─► digest as published?
//!   encrypted_key ─► Enclave::unwrap for the creator ─► open ─► cache ─► read by category
//! ```
//!
//! Content in the clear is kept in memory up to a number of bytes and for a time, and wiped when it
//! leaves. It is neither logged nor printed, and no error repeats it.

mod cache;
mod error;
mod uri;

pub use cache::CacheLimits;
pub use error::LoadError;
pub use uri::{ContentUri, UriError};

use crate::{
    content::ProductContent,
    enclave::Enclave,
    hosting::{ContentDigest, ContentStore},
    product::Category,
    sealing::{Plaintext, SealedContent, WrappedKey},
};
use cache::{Cache, Key};
use error::shared;
use haithe_kernel::{Clock, FetchRequest, Fetcher, WalletAddress};
use std::{sync::Arc, time::Duration};

/// Longest time for fetching content.
const WITHIN: Duration = Duration::from_secs(15);

/// Where a product's content is and whom it opens for, as the chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented in docs/SEALING.md")]
pub struct ProductSource {
    pub uri: String,
    pub encrypted_key: String,
    /// The chain's word.
    pub category: String,
    pub creator: WalletAddress,
}

/// What loading needs.
#[expect(missing_docs, reason = "named after their types")]
pub struct ContentPorts {
    pub hosted: Arc<dyn ContentStore>,
    pub fetcher: Arc<dyn Fetcher>,
    pub enclave: Arc<dyn Enclave>,
    pub clock: Arc<dyn Clock>,
}

/// The contents of products.
pub struct ProductContents {
    ports: ContentPorts,
    cache: Cache,
    most_bytes: usize,
}

impl ProductContents {
    /// Composes the use case; `most_bytes` of sealed content are fetched.
    pub fn new(ports: ContentPorts, limits: CacheLimits, most_bytes: usize) -> Self {
        Self {
            cache: Cache::new(ports.clock.clone(), limits),
            ports,
            most_bytes,
        }
    }

    /// The content of a product that is published like this.
    ///
    /// # Errors
    /// [`LoadError`], which says why it cannot be loaded.
    pub async fn open(&self, source: &ProductSource) -> Result<ProductContent, LoadError> {
        let category: Category = source.category.parse().map_err(|_| LoadError::Category)?;
        let uri: ContentUri = source.uri.parse()?;
        let wrapped: WrappedKey = source.encrypted_key.parse().map_err(LoadError::Key)?;
        let key = Key::of(uri.digest(), &wrapped, source.creator);
        let plaintext = self
            .cache
            .get(key, self.plaintext(uri, wrapped, source.creator))
            .await?;
        Ok(ProductContent::read(category, plaintext)?)
    }

    /// Wipes what is no longer kept. To be called once in a while.
    pub async fn sweep(&self) {
        self.cache.sweep().await;
    }

    async fn plaintext(
        &self,
        uri: ContentUri,
        wrapped: WrappedKey,
        creator: WalletAddress,
    ) -> Result<Plaintext, LoadError> {
        // Before anything is fetched: what cannot be opened costs nobody a request.
        let key = self.ports.enclave.unwrap(&wrapped, creator).await;
        let key = key.map_err(|error| LoadError::Enclave(Arc::new(error)))?;
        let bytes = self.sealed(&uri).await?;
        if ContentDigest::of(&bytes) != uri.digest() {
            return Err(LoadError::Digest);
        }
        let sealed = SealedContent::parse(&bytes).map_err(LoadError::Sealed)?;
        sealed.open(&key).map_err(LoadError::Sealed)
    }

    /// What is kept here is never fetched, wherever it was published.
    async fn sealed(&self, uri: &ContentUri) -> Result<Vec<u8>, LoadError> {
        let hosted = self.ports.hosted.get(uri.digest()).await;
        if let Some(bytes) = hosted.map_err(shared)? {
            return Ok(bytes);
        }
        let ContentUri::Elsewhere { url, .. } = uri else {
            return Err(LoadError::Gone);
        };
        let request = FetchRequest {
            most_bytes: self.most_bytes,
            within: WITHIN,
            ..FetchRequest::get(url.as_str())
        };
        let answer = self.ports.fetcher.fetch(request).await;
        let answer = answer.map_err(|error| LoadError::Fetch(Arc::new(error)))?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(LoadError::Status(answer.status))
        }
    }
}

#[cfg(test)]
mod tests;
