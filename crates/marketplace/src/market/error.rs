//! Rules about products that can be broken.

use super::{DESCRIPTION_CHARS, PHOTO_URL_BYTES};
use crate::{ports::RegisterError, usability::ProductFault};
use haithe_kernel::{Failure, Kind, NameProblem, StoreError};

/// A rule about products that was broken.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// There is none.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Somebody else's product.
    #[error("only its creator may do this to a product")]
    NotTheCreator,
    /// A description that cannot be shown.
    #[error(
        "a description has at most {DESCRIPTION_CHARS} characters and no control characters but line breaks"
    )]
    Description,
    /// A picture that cannot be shown.
    #[error("photo_url must be an https address of at most {PHOTO_URL_BYTES} bytes")]
    Photo,
    /// A change without content.
    #[error("nothing to change: give description or photo_url")]
    NothingToChange,
    /// It can never be used as it is published.
    #[error("this product can never be used as it is published: {0}")]
    Unusable(ProductFault),
    /// The project does not use the product.
    #[error("this project does not use this product; enable it first")]
    NotEnabled,
    /// The creator published other content meanwhile.
    #[error("the creator has published other content since; read the project's products and accept it again")]
    ContentChanged,
    /// The organization's contract must accept it first.
    #[error(
        "the organization's contract has not enabled this product; its owner or an admin calls enableProduct first"
    )]
    NotOnChain,
    /// The price rose above what the organization accepted.
    #[error("this product's price is above what the organization accepted on chain; enable it there again")]
    TooExpensive,
    /// The project has as many products as it may have.
    #[error("a project can have at most {most} products; disable another one first")]
    TooManyProducts {
        /// The bound.
        most: u32,
    },
    /// What a creator says of itself is too long or has control characters.
    #[error("{0} must have 1 to {1} bytes and no control characters")]
    Text(&'static str, usize),
    /// A text that looks like another one.
    #[error("{0} {1}")]
    Deceptive(&'static str, NameProblem),
    /// No registration.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for MarketError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::NotTheCreator => Kind::Forbidden,
            Self::Description
            | Self::Photo
            | Self::NothingToChange
            | Self::Text(..)
            | Self::Deceptive(..) => Kind::Invalid,
            Self::Register(error) => error.kind(),
            Self::Unusable(_) => Kind::Unprocessable,
            Self::NotOnChain
            | Self::TooExpensive
            | Self::TooManyProducts { .. }
            | Self::NotEnabled
            | Self::ContentChanged => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::NotTheCreator => "forbidden",
            Self::Description => "invalid_description",
            Self::Photo => "invalid_photo_url",
            Self::NothingToChange => "nothing_to_change",
            Self::Text(..) | Self::Deceptive(..) => "invalid_text",
            Self::Register(error) => error.code(),
            Self::Unusable(_) => "product_unusable",
            Self::NotEnabled => "product_not_enabled",
            Self::ContentChanged => "content_changed",
            Self::NotOnChain => "product_not_enabled_on_chain",
            Self::TooExpensive => "product_price_above_maximum",
            Self::TooManyProducts { .. } => "too_many_products",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::Register(error) => error.retry_after(),
            _ => None,
        }
    }
    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Unusable(fault) => fault.details(),
            _ => Vec::new(),
        }
    }
}
