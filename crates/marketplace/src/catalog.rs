//! What browsers of the marketplace see.

use crate::{
    product::Product,
    usability::{ContentPin, ProductFault, ProductField},
};
use haithe_kernel::{Timestamp, WalletAddress};

/// A wallet that may publish, mirrored from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creator {
    /// The wallet, which is paid.
    pub address: WalletAddress,
    /// Where it says who it is.
    pub uri: String,
    /// When it was first seen.
    pub created_at: Timestamp,
}

/// Who wants to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCreator {
    /// The wallet.
    pub address: WalletAddress,
    /// Where it says who it is.
    pub uri: String,
    /// Its public key, as its clients write it.
    pub pub_key: String,
}

/// How much something is used. Everybody may know; what it earned is its creator's alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// Calls that were charged for it, of all time.
    pub calls: u64,
    /// Projects that have it enabled now.
    pub projects: u64,
}

/// What a creator sells, retired products too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CreatorStatistics {
    /// How many products.
    pub products: u64,
    /// How much they are used together. A project that uses several counts once, a call that paid for
    /// several counts once for each.
    pub uses: Uses,
}

/// A product and what its creator says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductPage {
    /// The product.
    pub product: Product,
    /// The chain's word for its category, known to us or not.
    pub category: String,
    /// In the creator's words.
    pub description: Option<String>,
    /// A picture.
    pub photo_url: Option<String>,
    /// How much it is used.
    pub uses: Uses,
    /// Why its content can never be loaded as it is published, as far as that is known.
    pub content_fault: Option<ProductFault>,
}

impl ProductPage {
    /// Why no project can use it; `None` when one can.
    pub fn unusable(&self) -> Option<ProductFault> {
        let fault = |field, reason| Some(ProductFault::new(field, reason));
        if self.product.retired {
            fault(ProductField::Retired, "its creator has retired it")
        } else if self.product.category.is_none() {
            fault(ProductField::Category, "its category is unknown here")
        } else if self.product.price_per_call.is_none() {
            fault(ProductField::Price, "its price is beyond what can be paid")
        } else {
            self.content_fault.clone()
        }
    }
}

/// A product that a project enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectProduct {
    /// The product and what its creator says about it.
    pub page: ProductPage,
    /// The content that the project accepted.
    pub pin: ContentPin,
    /// The address of the content that is published now.
    pub published_uri: String,
}

/// In which order products are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProductOrder {
    /// Newest first.
    #[default]
    Newest,
    /// Cheapest first.
    Price,
    /// Most called first.
    Calls,
}

/// Which products.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductFilter {
    /// Of this category, in the chain's word.
    pub category: Option<String>,
    /// Of this creator.
    pub creator: Option<WalletAddress>,
    /// With this in the name or the description, in any case.
    pub text: Option<String>,
    /// Order.
    pub order: ProductOrder,
}

/// What to change about a product's page; the inner `None` clears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented on ProductPage")]
pub struct PageChange {
    pub description: Option<Option<String>>,
    pub photo_url: Option<Option<String>>,
}
