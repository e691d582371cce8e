//! What a caller can ask of a model.

use super::{ChatRequest, EmbeddingRequest, Media};
use crate::{catalogue::Model, ports::Endpoint};
use bytes::Bytes;

/// A checked request of either kind.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// An answer.
    Chat(ChatRequest),
    /// Vectors.
    Embeddings(EmbeddingRequest),
}

impl Asked {
    /// Where a provider takes it.
    pub const fn endpoint(&self) -> Endpoint {
        match self {
            Self::Chat(_) => Endpoint::Chat,
            Self::Embeddings(_) => Endpoint::Embeddings,
        }
    }

    pub fn body(&self) -> &Bytes {
        match self {
            Self::Chat(request) => request.body(),
            Self::Embeddings(request) => request.body(),
        }
    }

    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Chat(request) => request.model(),
            Self::Embeddings(request) => request.model(),
        }
    }

    pub const fn stream(&self) -> bool {
        matches!(self, Self::Chat(request) if request.stream())
    }

    pub const fn include_usage(&self) -> bool {
        matches!(self, Self::Chat(request) if request.include_usage())
    }

    pub const fn choices(&self) -> u32 {
        match self {
            Self::Chat(request) => request.choices(),
            Self::Embeddings(_) => 1,
        }
    }

    pub fn media(&self) -> Media {
        match self {
            Self::Chat(request) => request.media(),
            Self::Embeddings(_) => Media::default(),
        }
    }

    /// The smallest bound on output; vectors are none.
    pub fn max_output(&self) -> Option<u64> {
        match self {
            Self::Chat(request) => request.max_output(),
            Self::Embeddings(_) => Some(0),
        }
    }

    /// Tokens that the caller gave as such, which no text stands for.
    pub const fn tokens(&self) -> u64 {
        match self {
            Self::Chat(_) => 0,
            Self::Embeddings(request) => request.tokens(),
        }
    }

    /// Everything that the provider may turn into tokens, images aside.
    pub fn prompt(&self) -> String {
        match self {
            Self::Chat(request) => request.prompt(),
            Self::Embeddings(request) => request.text(),
        }
    }

    /// Messages, around each of which a chat format puts tokens of its own.
    pub fn messages(&self) -> u64 {
        match self {
            Self::Chat(request) => u64::from(request.messages()),
            Self::Embeddings(_) => 0,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Chat(request) => request.text(),
            Self::Embeddings(request) => request.text(),
        }
    }

    pub fn for_upstream(&self, model: &Model, max_output: u64) -> Bytes {
        match self {
            Self::Chat(request) => request.for_upstream(model, max_output),
            Self::Embeddings(request) => request.for_upstream(model),
        }
    }
}
