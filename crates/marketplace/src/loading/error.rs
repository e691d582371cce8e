//! Why a product's content cannot be used.

use super::UriError;
use crate::{
    content::ContentError,
    enclave::EnclaveError,
    sealing::SealingError,
    usability::{ProductFault, ProductField},
};
use haithe_kernel::{Failure, FetchError, Kind, StoreError};
use std::sync::Arc;

/// Why a product cannot be loaded, for whoever uses it and for its creator. No text repeats content.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// Its category is unknown here.
    #[error("the product cannot be loaded: its category is unknown here")]
    Category,
    /// Its address cannot be read.
    #[error("the product cannot be loaded: {0}")]
    Uri(#[from] UriError),
    /// What stands on chain as its key is none.
    #[error("the product cannot be loaded: its key cannot be read; {0}")]
    Key(#[source] SealingError),
    /// It should be kept here, and is not.
    #[error("the product cannot be loaded: its content is not hosted here any more")]
    Gone,
    /// Its address does not give it.
    #[error("the product cannot be loaded: {0}")]
    Fetch(#[source] Arc<FetchError>),
    /// Its address says something else than 200.
    #[error("the product cannot be loaded: its address answers with status {0}")]
    Status(u16),
    /// What is there is not what was published.
    #[error("the product cannot be loaded: what its address gives is not what was published (SHA-256)")]
    Digest,
    /// It is not sealed, or does not open.
    #[error("the product cannot be loaded: {0}")]
    Sealed(#[source] SealingError),
    /// The enclave does not give its key.
    #[error("the product cannot be loaded: {0}")]
    Enclave(#[source] Arc<EnclaveError>),
    /// It opened, and is not what its category says.
    #[error("the product cannot be loaded: {0}")]
    Content(#[from] ContentError),
    /// The store failed.
    #[error("the product cannot be loaded now: {0}")]
    Store(#[source] Arc<StoreError>),
}

/// The store's failure, for everybody who waits for the same content.
pub(super) fn shared(error: StoreError) -> LoadError {
    LoadError::Store(Arc::new(error))
}

impl LoadError {
    /// Why no later attempt can succeed either, with the same words published; `None` when one can: the
    /// content is not hosted yet, its address does not answer or serves other bytes, the enclave or the
    /// store is away. Bytes that have the published digest never change, so what is wrong with them stays.
    pub fn fault(&self) -> Option<ProductFault> {
        let fault = |field, reason: String| Some(ProductFault::new(field, reason));
        match self {
            Self::Category => fault(ProductField::Category, "its category is unknown here".into()),
            Self::Uri(error) => fault(ProductField::Uri, error.to_string()),
            Self::Key(error) => fault(
                ProductField::EncryptedKey,
                format!("its key cannot be read; {error}"),
            ),
            Self::Enclave(error) => match error.as_ref() {
                EnclaveError::Sealing(error) => fault(ProductField::EncryptedKey, error.to_string()),
                EnclaveError::Attestation(_) | EnclaveError::Unbound => None,
            },
            Self::Sealed(error) => fault(ProductField::Content, error.to_string()),
            Self::Content(error) => Some(ProductFault {
                field: ProductField::Content,
                pointer: error.pointer(),
                reason: error.to_string(),
            }),
            Self::Gone | Self::Fetch(_) | Self::Status(_) | Self::Digest | Self::Store(_) => None,
        }
    }

    /// Whether asking again at once would cost somebody time and find the same.
    pub(super) fn lasts(&self) -> bool {
        match self {
            Self::Fetch(error) => !matches!(**error, FetchError::Busy),
            Self::Status(_) | Self::Digest | Self::Sealed(_) => true,
            _ => false,
        }
    }
}

impl Failure for LoadError {
    fn kind(&self) -> Kind {
        match self.fault() {
            Some(_) => Kind::Unprocessable,
            None => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            _ if self.fault().is_some() => "product_unusable",
            Self::Store(error) => error.code(),
            _ => "product_unavailable",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::Fetch(_) | Self::Status(_) => Some(30),
            _ => None,
        }
    }
}
