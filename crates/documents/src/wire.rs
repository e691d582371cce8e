//! What server and child tell each other: a line of JSON and the document; a line of JSON.

use haithe_marketplace::{
    knowledge::{Chunk, Format, ReadLimits},
    ports::ExtractError,
};
use serde::{Deserialize, Serialize};

/// What the child is to do with the bytes that follow.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) format: Format,
    pub(crate) limits: ReadLimits,
}

/// What it found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Pieces(Vec<Chunk>),
    Refused(Refusal),
}

/// Why a document is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    TooLarge(Excess),
    Malformed,
    Protected,
    Empty,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Excess {
    Bytes,
    Text,
    Pages,
    Rows,
    Columns,
    Pieces,
}

impl Excess {
    fn noun(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Text => "bytes of text",
            Self::Pages => "pages",
            Self::Rows => "rows",
            Self::Columns => "columns",
            Self::Pieces => "pieces",
        }
    }
}

impl Refusal {
    pub(crate) fn into_error(self, format: Format) -> ExtractError {
        match self {
            Self::TooLarge(excess) => ExtractError::TooLarge(excess.noun()),
            Self::Malformed => ExtractError::Malformed(format),
            Self::Protected => ExtractError::Protected,
            Self::Empty => ExtractError::Empty,
        }
    }
}
