//! What answering from knowledge needs from outside.

use crate::knowledge::{Chunk, Format, ReadLimits, Terms};
use async_trait::async_trait;
use haithe_kernel::{Failure, Kind, StoreError};
use std::sync::Arc;

/// Why a document cannot be read. The texts quote nothing of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExtractError {
    /// More bytes, text, pages, rows, columns or pieces than allowed.
    #[error("the document has too many {0}")]
    TooLarge(&'static str),
    /// Not what it is said to be, or damaged, or made so that reading it exhausts memory.
    #[error("the document cannot be read as {0}")]
    Malformed(Format),
    /// It opens with a password only.
    #[error("the document is protected by a password")]
    Protected,
    /// No text is in it: it may consist of pictures.
    #[error("no text was found in the document")]
    Empty,
    /// Reading took longer than allowed.
    #[error("reading the document takes too long")]
    Late,
    /// Too many documents are being read, or no reader can be started.
    #[error("no document can be read now; try again shortly")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Failure for ExtractError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge(_) => Kind::TooLarge,
            Self::Malformed(_) | Self::Protected | Self::Empty | Self::Late => Kind::Unprocessable,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "document_too_large",
            Self::Malformed(_) => "document_malformed",
            Self::Protected => "document_protected",
            Self::Empty => "document_empty",
            Self::Late => "document_timeout",
            Self::Unavailable(_) => "documents_unavailable",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Unavailable(_)).then_some(3)
    }
}

/// Reads documents that strangers wrote.
///
/// Contract: the same bytes give the same pieces; together the pieces hold all of the text, in its
/// order; no piece is longer than `chunk_chars`; a document that exceeds a limit or is built to harm
/// its reader is an error within `limits.within`, and harms nobody else; nothing is written anywhere.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Documents: Send + Sync {
    /// The pieces of a document, at least one.
    async fn extract(
        &self,
        format: Format,
        bytes: Arc<[u8]>,
        limits: ReadLimits,
    ) -> Result<Vec<Chunk>, ExtractError>;
}

/// A piece that has words of a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Its position among the pieces of the index.
    pub chunk: usize,
    /// How well it fits: more is better. Comparable within one answer only.
    pub score: f64,
}

/// The words of one document, held in memory only; gone with its last handle.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait KnowledgeIndex: Send + Sync {
    /// The pieces that have any of the words, ranked by BM25, at most `limit`. No words, no hits.
    async fn search(&self, terms: Terms, limit: u32) -> Result<Vec<Hit>, StoreError>;
    /// The memory that it occupies, in bytes, for the cache that keeps it.
    fn bytes(&self) -> usize;
}

/// Makes indexes. An index holds memory only, as much as [`KnowledgeIndex::bytes`] states: no thread,
/// no file and no connection, however many indexes are kept.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait KnowledgeIndexer: Send + Sync {
    /// An index of all pieces. Nothing of them reaches a disk.
    async fn index(&self, chunks: Arc<[Chunk]>) -> Result<Arc<dyn KnowledgeIndex>, StoreError>;
}

/// Why texts have no vectors. The texts quote nothing of them, of the embedder's answer or of its key.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// It does not take these texts, or this model. Others may fare better.
    #[error("the embedder refuses the texts")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answered with something else than a vector for each text.
    #[error("the embedder's answer {0}")]
    Malformed(&'static str),
    /// It limits us, does not know us, is late or is not there: so it would be with every text.
    #[error("the embedder cannot be used now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure for EmbedError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) => Kind::Unprocessable,
            Self::Malformed(_) => Kind::Upstream,
            Self::Unavailable(_) => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "embeddings_refused",
            Self::Malformed(_) => "embeddings_malformed",
            Self::Unavailable(_) => "embeddings_unavailable",
        }
    }
}

/// Turns text into vectors whose angles tell likeness.
///
/// Contract: no texts are no vectors, and ask nobody; any text has a vector, an empty one and one
/// that is longer than a model takes too, of which the beginning counts; a call ends within the
/// adapter's time, and is not tried again by itself.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Embedder: Send + Sync {
    /// One vector per text, in their order, all of one length above zero, all numbers finite.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError>;
}
