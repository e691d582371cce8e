//! What the owner's side of money needs of the index.

use crate::treasury::{ActiveClock, CapChange, Withdrawal};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, StoreError};

/// Withdrawals and daily caps, as the index has them.
///
/// **Guarantees**: global: each method is one consistent read.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait TreasuryStore: Send + Sync {
    /// The contracts' time at the index's head.
    async fn clock(&self) -> Result<ActiveClock, StoreError>;
    /// Withdrawals of an organization, newest first.
    async fn withdrawals(&self, org: OrgId, page: Page) -> Result<Listed<Withdrawal>, StoreError>;
    /// Everything its contract ever said about its daily cap, oldest first.
    async fn cap_changes(&self, org: OrgId) -> Result<Vec<CapChange>, StoreError>;
}
