//! Why the service cannot be put together.

use super::{CatalogueLoadError, DatabaseError, EmbeddingsError};
use haithe_enclave::{KeyringError, SetupError};
use haithe_encryption::EncryptionKeyError;
use haithe_evm::{ConnectError, KeyError};
use haithe_identity::{signature::SignatureError, token::TokenError};
use haithe_kernel::StoreError;
use haithe_llm_providers::ProviderError;
use std::{io, net::SocketAddr};

/// A part of the service cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database failed after it was opened.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// The address of the metrics endpoint cannot be listened on.
    #[error("setting `metrics.address`: cannot listen on {address}: {source}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The chain is not the one of the configuration.
    #[error("setting `chain`: {0}")]
    Chain(#[from] ConnectError),
    /// The chain's key is invalid.
    #[error("setting `chain.server_key`: {0}")]
    ServerKey(#[from] KeyError),
    /// The key that signs API keys is invalid.
    #[error("setting `auth.api_key_signing_key`: {0}")]
    SigningKey(#[from] SignatureError),
    /// The key for encryption at rest is invalid.
    #[error("setting `database.encryption_key`: {0}")]
    EncryptionKey(#[from] EncryptionKeyError),
    /// The secret of sessions is invalid.
    #[error("setting `auth.jwt_secret`: {0}")]
    Tokens(#[from] TokenError),
    /// The keys that content is sealed to are invalid.
    #[error("setting `enclave.key` or `enclave.former_keys`: {0}")]
    EnclaveKeys(#[from] KeyringError),
    /// The agent that attests them cannot be used.
    #[error("setting `enclave.attestation_agent`: {0}")]
    Attestation(#[from] SetupError),
    /// The client for addresses that users name cannot be set up.
    #[error(transparent)]
    Egress(#[from] haithe_egress::SetupError),
    /// The catalogue of models cannot be used.
    #[error(transparent)]
    Catalogue(#[from] CatalogueLoadError),
    /// The search engine is not configured completely.
    #[error("setting `search`: {0}")]
    Search(&'static str),
    /// The embedder of knowledge cannot be used.
    #[error("setting `embeddings.provider`: {0}")]
    Embeddings(#[from] EmbeddingsError),
    /// The reader of documents cannot be set up.
    #[error(transparent)]
    Documents(#[from] haithe_documents::SetupError),
    /// A provider of models cannot be set up.
    #[error("setting `inference.catalogue`: {0}")]
    Provider(#[from] ProviderError),
}
