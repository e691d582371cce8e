//! What a product is.

use haithe_kernel::{ProductId, Timestamp, Usdt, WalletAddress};
use std::{fmt, str::FromStr};

macro_rules! categories {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// What a product's content is. The words are the ones on chain.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Category { $($(#[$doc])* $variant),+ }

        impl Category {
            /// Every category, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word on chain and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for Category {
            type Err = CategoryError;
            fn from_str(text: &str) -> Result<Self, CategoryError> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(CategoryError) }
            }
        }
    };
}

categories!(
    /// Plain text to answer from.
    KnowledgeText = "knowledge:text",
    /// A web page to answer from.
    KnowledgeHtml = "knowledge:html",
    /// A PDF to answer from.
    KnowledgePdf = "knowledge:pdf",
    /// A table to answer from.
    KnowledgeCsv = "knowledge:csv",
    /// An address whose content is answered from.
    KnowledgeUrl = "knowledge:url",
    /// Instructions for the system role.
    PromptSet = "promptset",
    /// An HTTP call that the model may make.
    ToolRpc = "tool:rpc",
    /// A Model Context Protocol server.
    Mcp = "mcp",
);

/// A word that is no category. Such a product stays visible and cannot be enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown product category")]
pub struct CategoryError;

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A published product, mirrored from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Number in the database.
    pub id: ProductId,
    /// Its contract.
    pub address: WalletAddress,
    /// Who is paid.
    pub creator: WalletAddress,
    /// Name on chain, bounded and free of control characters.
    pub name: String,
    /// Category; `None` when the chain says a word we do not know.
    pub category: Option<Category>,
    /// Price per call; `None` when the chain's value is out of range, which makes it unusable.
    pub price_per_call: Option<Usdt>,
    /// The announced higher price that is not in force yet.
    pub next_price: Option<NextPrice>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// Retired by its creator.
    pub retired: bool,
    /// Whether the block that created it has `chain.confirmations`. Before that a reorganization may
    /// remove it; its address stays reserved for the same creator.
    pub confirmed: bool,
}

/// An announced price of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextPrice {
    /// Price per call; `None` when the chain's value is out of range, which will make the product
    /// unusable.
    pub price_per_call: Option<Usdt>,
    /// When it comes into force, in the chain's time.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_reads_back_from_its_word() {
        for category in Category::ALL {
            assert_eq!(category.as_str().parse(), Ok(*category));
        }
        assert_eq!("tool:rs".parse::<Category>(), Err(CategoryError));
    }
}
