//! What a caller can ask of a model.

use super::{ChatRequest, EmbeddingRequest, Media};
use crate::{catalogue::Model, error::CompletionError, ports::Endpoint};
use bytes::Bytes;

/// A checked request of either kind.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// An answer.
    Chat(ChatRequest),
    /// Vectors.
    Embeddings(EmbeddingRequest),
}

/// What a request needs of a model beside reading text. A model that lacks it is not asked: what it would
/// make of the request, often a failure, says nothing about how it fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    pub endpoint: Endpoint,
    /// The answer is an event stream.
    pub streaming: bool,
    /// Messages hold images, or other parts that are not text.
    pub vision: bool,
}

impl Needs {
    /// Why `model` cannot take the request: the field at fault, and what would be right.
    pub fn unmet_by(self, model: &Model) -> Option<CompletionError> {
        let name = &model.name;
        let can = model.capabilities;
        let (param, why) = match self.endpoint {
            Endpoint::Chat if can.embeddings => (
                "model",
                format!("the model {name} makes embeddings and does not chat"),
            ),
            Endpoint::Embeddings if !can.embeddings => {
                ("model", format!("the model {name} makes no embeddings"))
            }
            _ if self.streaming && !can.streaming => (
                "stream",
                format!("the model {name} does not stream; leave stream out, or use a model that streams"),
            ),
            _ if self.vision && !can.vision => (
                "messages",
                format!(
                    "the model {name} reads text only; leave out parts of messages that are not text, or use \
                     a model with the capability vision"
                ),
            ),
            _ => return None,
        };
        Some(CompletionError::invalid(param, why))
    }
}

impl ChatRequest {
    pub(crate) fn needs(&self) -> Needs {
        Needs {
            endpoint: Endpoint::Chat,
            streaming: self.stream(),
            vision: self.media() != Media::default(),
        }
    }
}

impl Asked {
    pub fn needs(&self) -> Needs {
        match self {
            Self::Chat(request) => request.needs(),
            Self::Embeddings(_) => Needs {
                endpoint: Endpoint::Embeddings,
                streaming: false,
                vision: false,
            },
        }
    }

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
