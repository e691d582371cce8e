//! What orgs needs of the ledger.

use async_trait::async_trait;
use haithe_kernel::{OrgId, StoreError};

/// The calls that an organization pays for and that have not ended.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OpenCalls: Send + Sync {
    /// Whether money of the organization is held for a call. Global: it counts the calls of every process.
    async fn are_open(&self, org: OrgId) -> Result<bool, StoreError>;
}
