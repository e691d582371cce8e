//! What figures need: usage as captures recorded it, and what creators earned of it.

use crate::{
    chain::ChainError,
    earnings::{CreatorCall, Earned, PayoutRecord, ProductEarnings},
    usage::{Day, UsageQuery, UsageRow},
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, StoreError, WalletAddress};
use haithe_orgs::UnsignedTransaction;

/// Usage records, rolled up.
///
/// **Guarantees**: global: one consistent read.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Figures about what `org` paid for, one for every combination of the dimensions that occurs, in
    /// the dimensions' order. They sum to what was charged.
    /// Without a page: all of them, or the first [`MOST_ROWS`](crate::usage::MOST_ROWS).
    async fn figures(
        &self,
        org: OrgId,
        query: UsageQuery,
        page: Option<Page>,
    ) -> Result<Listed<UsageRow>, StoreError>;
}

/// What creators earned: lines of charges, credits of batches, and what left the contracts.
///
/// **Guarantees**: global: each method is one consistent read.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait EarningsStore: Send + Sync {
    /// All of it, from one consistent read; zeros for a wallet that earned nothing.
    async fn earned(&self, creator: WalletAddress) -> Result<Earned, StoreError>;
    /// The creator's payout addresses and the time of the newest indexed block, from one consistent read;
    /// without an identity for a wallet that is not a creator.
    async fn payout(&self, creator: WalletAddress) -> Result<PayoutRecord, StoreError>;
    /// By product, those that were charged for within the days, the one that earned most first.
    async fn by_product(
        &self,
        creator: WalletAddress,
        from: Option<Day>,
        until: Option<Day>,
        page: Page,
    ) -> Result<Listed<ProductEarnings>, StoreError>;
}

/// Composes what only a creator's wallet can sign.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait CreatorTransactions: Send + Sync {
    /// The transaction by which `creator` makes this call about its identity. Which contract to call is
    /// asked of the chain once.
    async fn compose(
        &self,
        creator: WalletAddress,
        identity: u64,
        call: CreatorCall,
    ) -> Result<UnsignedTransaction, ChainError>;
}
