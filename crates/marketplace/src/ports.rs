//! What the marketplace needs from outside. One method is one atomic operation.
//!
//! A store promises something *globally* when the promise holds over all processes that use the database,
//! and *per process* when it holds among the callers in one process only. While a store promises anything per
//! process, one process at a time may use the database.

mod knowledge;
mod tool_servers;

pub use knowledge::{Documents, EmbedError, Embedder, ExtractError, Hit, KnowledgeIndex, KnowledgeIndexer};
#[cfg(any(test, feature = "mocks"))]
pub use knowledge::{MockDocuments, MockEmbedder, MockKnowledgeIndex, MockKnowledgeIndexer};
#[cfg(any(test, feature = "mocks"))]
pub use tool_servers::{MockToolServers, MockToolSession};
pub use tool_servers::{OpenServer, ServedTool, ToolAnswer, ToolServerError, ToolServers, ToolSession};

use crate::{
    catalog::{
        Creator, CreatorStatistics, NewCreator, PageChange, ProductFilter, ProductPage, ProjectProduct,
    },
    loading::ProductSource,
    product::Product,
    usability::ProductFault,
};
use async_trait::async_trait;
use haithe_kernel::{
    ClientNetwork, Failure, Kind, Listed, OrgId, Page, ProductId, ProjectId, StoreError, Timestamp, Usdt,
    WalletAddress,
};
use haithe_orgs::{UnsignedTransaction, audit::Act};
use std::time::Duration;

/// Creators, mirrored from the chain.
///
/// **Guarantees**: global.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait CreatorStore: Send + Sync {
    /// All of them, newest first.
    async fn list(&self, page: Page) -> Result<Listed<Creator>, StoreError>;
    /// By wallet.
    async fn find(&self, address: WalletAddress) -> Result<Option<Creator>, StoreError>;
    /// What it sells and how much that is used, all of one moment; `None` for a wallet that is no creator.
    async fn statistics(&self, address: WalletAddress) -> Result<Option<CreatorStatistics>, StoreError>;
}

/// Why a product is not a project's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabling {
    /// It is now, or was before.
    Enabled,
    /// The organization's contract accepts no calls of it.
    NotOnChain,
    /// The organization's contract accepts it up to a price that is below today's.
    TooExpensive,
    /// The project has as many products as it may have.
    TooMany,
}

/// What the contract of a project's organization says of calls of a product at its price in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductAcceptance {
    /// It accepts them.
    Accepted,
    /// It does not accept calls of this product.
    NotOnChain,
    /// It accepts them up to a price below the one in force; `None` where the maximum is beyond our range.
    AboveMaximum(Option<Usdt>),
}

/// A project's product, as a call finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallProduct {
    /// The product.
    pub product: Product,
    /// Whether the contract of the project's organization accepts calls of it at the price in force.
    pub acceptance: ProductAcceptance,
    /// Where the content that the project uses is, and whom it opens for.
    pub source: ProductSource,
    /// Whether the creator published other content than the project accepted.
    pub outdated: bool,
    /// Whether it is stored already that the published content can never be loaded.
    pub fault_noted: bool,
}

/// How a project uses a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnabledContent {
    /// The address of the content that the project accepts, as it was checked.
    pub uri: String,
    /// Whether the project uses whatever the creator publishes; `None` leaves what is set.
    pub follow_updates: Option<bool>,
}

/// What became of accepting a product's published content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentAcceptance {
    /// The project uses it from now on.
    Accepted,
    /// The project does not use the product.
    NotEnabled,
    /// The creator has published other content since.
    Changed,
}

/// Products, mirrored from the chain, and what is said and done about them here.
///
/// **Guarantees**: global. The bound on a project's products holds over all processes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ProductStore: Send + Sync {
    /// Those that fit the filter, retired ones too.
    async fn list(&self, filter: ProductFilter, page: Page) -> Result<Listed<ProductPage>, StoreError>;
    /// By number.
    async fn find(&self, id: ProductId) -> Result<Option<ProductPage>, StoreError>;
    /// Where its content is and whom it opens for.
    async fn source(&self, id: ProductId) -> Result<Option<ProductSource>, StoreError>;
    /// The creator's newest, and how many products there are of all creators.
    async fn newest(&self, creator: WalletAddress) -> Result<(Option<ProductPage>, u64), StoreError>;
    /// Changes what is said about a product; gives it after the change.
    async fn describe(&self, id: ProductId, change: PageChange) -> Result<Option<ProductPage>, StoreError>;
    /// Makes the product one of the project's, if the contract of the project's organization accepts
    /// calls of it at today's price and the project has fewer than `most` others. Enabling twice is not an
    /// error and leaves the accepted content as it is, except that a project that stops following updates
    /// accepts `content`.
    ///
    /// The audit of the organization gets a line when the project's use of the product changed, with its
    /// price in force.
    async fn enable(
        &self,
        used: (OrgId, ProjectId),
        product: ProductId,
        content: EnabledContent,
        most: u32,
        act: Act,
    ) -> Result<Enabling, StoreError>;
    /// Makes the project use the content at `uri`, if that is what the creator publishes now. The audit gets
    /// a line when it used other content.
    async fn accept_content(
        &self,
        used: (OrgId, ProjectId),
        product: ProductId,
        uri: String,
        act: Act,
    ) -> Result<ContentAcceptance, StoreError>;
    /// Stores why the content at `uri` can never be loaded, or that it can. It counts for as long as the
    /// product is published with this `uri`.
    async fn note_fault(
        &self,
        product: ProductId,
        uri: String,
        fault: Option<ProductFault>,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Takes it away, with a line in the audit; says whether it was there.
    async fn disable(
        &self,
        used: (OrgId, ProjectId),
        product: ProductId,
        act: Act,
    ) -> Result<bool, StoreError>;
    /// The project's products with what its organization's contract says of them, in the order they
    /// were enabled. One that is not on chain any more is not accepted.
    async fn for_call(&self, project: ProjectId) -> Result<Vec<CallProduct>, StoreError>;
    /// The project's products, in the order they were enabled.
    async fn of_project(&self, project: ProjectId) -> Result<Vec<ProjectProduct>, StoreError>;
}

/// Why a creator was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The wallet is a creator.
    #[error("this wallet is registered as a creator already")]
    Registered,
    /// The server pays for no other wallet.
    #[error(
        "this server does not pay for other wallets; sign and send the transaction in `data` with your own"
    )]
    NotSponsored,
    /// The day's registration budget of the wallet, its network or the server is spent for so long.
    #[error(
        "the daily budget for registrations is spent; sign and send the transaction in `data` with your own wallet, \
         or try again in {} s", .0.as_secs().max(1)
    )]
    BudgetSpent(Duration),
    /// What coin the server has is reserved for settlement.
    #[error(
        "the server's gas account is reserved for settlement; sign and send the transaction in `data` with your own \
         wallet, or try again later"
    )]
    Reserved,
    /// Sent, but not mined yet: the creator will appear.
    #[error("the transaction was sent and is not mined yet; the creator will appear shortly")]
    Pending,
    /// The chain cannot be reached.
    #[error("the chain cannot be reached; try again shortly")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure for RegisterError {
    fn kind(&self) -> Kind {
        match self {
            Self::Registered => Kind::Conflict,
            Self::NotSponsored => Kind::Forbidden,
            Self::BudgetSpent(_) => Kind::RateLimited,
            Self::Reserved | Self::Pending | Self::Unavailable(_) => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Registered => "already_a_creator",
            Self::NotSponsored => "not_sponsored",
            Self::BudgetSpent(_) => "registration_budget_spent",
            Self::Reserved => "sponsoring_paused",
            Self::Pending => "transaction_pending",
            Self::Unavailable(_) => "chain_unavailable",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Pending | Self::Unavailable(_) => Some(3),
            Self::BudgetSpent(left) => Some(left.as_secs().max(1)),
            Self::Reserved => Some(300),
            Self::Registered | Self::NotSponsored => None,
        }
    }
}

impl RegisterError {
    /// Whether the wallet can go on by sending the transaction itself.
    pub const fn is_unsponsored(&self) -> bool {
        matches!(self, Self::NotSponsored | Self::BudgetSpent(_) | Self::Reserved)
    }
}

/// Registers creators on chain at the server's expense.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait CreatorRegistrar: Send + Sync {
    /// Sends `registerAsCreator` through the durable outbox and waits (3 s at most) until it is
    /// mined; gives the seed of the identity, which the contract determines. The same wallet again
    /// finds the same transaction.
    /// `network` is the client network that asked, which has a daily budget of its own.
    async fn register(
        &self,
        new: NewCreator,
        network: Option<ClientNetwork>,
    ) -> Result<[u8; 32], RegisterError>;
    /// The transaction by which the wallet registers itself. No network, no state.
    fn transaction(&self, new: NewCreator) -> UnsignedTransaction;
}
