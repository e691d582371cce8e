//! What orgs needs of the chain.

use crate::{
    ownership::OwnerCall,
    roles::{Mirrored, RoleChange},
    transaction::UnsignedTransaction,
};
use async_trait::async_trait;
use haithe_kernel::{ClientNetwork, Failure, Kind, StoreError, WalletAddress};
use std::time::Duration;

/// Why an organization could not be deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The orchestrator already has an organization of this name.
    #[error("an organization with this name exists; choose another name")]
    NameTaken,
    /// The server pays for no other wallet.
    #[error(
        "this server does not pay for other wallets; sign and send the transaction in `data` with your own"
    )]
    NotSponsored,
    /// The day's deployment budget of the wallet, its network or the server is spent for so long.
    #[error(
        "the daily budget for deployments is spent; sign and send the transaction in `data` with your own wallet, \
         or try again in {} s", .0.as_secs().max(1)
    )]
    BudgetSpent(Duration),
    /// What coin the server has is reserved for settlement.
    #[error(
        "the server's gas account is reserved for settlement; sign and send the transaction in `data` with your own \
         wallet, or try again later"
    )]
    Reserved,
    /// Sent, but not mined yet: the organization will appear.
    #[error("the transaction was sent and is not mined yet; the organization will appear shortly")]
    Pending,
    /// The chain cannot be reached.
    #[error("the chain cannot be reached; try again shortly")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure for DeployError {
    fn kind(&self) -> Kind {
        match self {
            Self::NameTaken => Kind::Conflict,
            Self::NotSponsored => Kind::Forbidden,
            Self::BudgetSpent(_) => Kind::RateLimited,
            Self::Reserved | Self::Pending | Self::Unavailable(_) => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NameTaken => "organization_name_taken",
            Self::NotSponsored => "not_sponsored",
            Self::BudgetSpent(_) => "deployment_budget_spent",
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
            Self::NameTaken | Self::NotSponsored => None,
        }
    }
}

impl DeployError {
    /// Whether the wallet can go on by sending the transaction itself.
    pub const fn is_unsponsored(&self) -> bool {
        matches!(self, Self::NotSponsored | Self::BudgetSpent(_) | Self::Reserved)
    }
}

/// Deploys organizations on a wallet's behalf.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgDeployer: Send + Sync {
    /// Sends `createOrganizationFor(name, owner)` through the durable outbox and waits (3 s at most)
    /// until it is mined; gives the contract. The same name and owner again finds the same transaction.
    /// `network` is the client network that asked, which has a daily budget of its own.
    async fn deploy(
        &self,
        name: String,
        owner: WalletAddress,
        network: Option<ClientNetwork>,
    ) -> Result<WalletAddress, DeployError>;
    /// The transaction by which `owner` creates the organization itself. No network, no state.
    fn transaction(&self, name: String, owner: WalletAddress) -> UnsignedTransaction;
}

/// Asks the indexer to read the chain's head now.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChainSync: Send + Sync {
    /// Returns once the index has reached the head as of the call, or after one second; says which.
    async fn catch_up(&self) -> bool;
}

/// Encodes what only a wallet itself can sign. Pure: no network, no state.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait OwnerTransactions: Send + Sync {
    /// The transaction by which `from` calls the organization's contract.
    fn encode(&self, from: WalletAddress, contract: WalletAddress, call: OwnerCall) -> UnsignedTransaction;
}

/// Tells contracts of roles below administrator, through the durable outbox.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait RoleMirror: Send + Sync {
    /// Whether the transaction of this version of the change is written and neither final nor failed.
    async fn is_under_way(&self, change: &RoleChange, version: u64) -> Result<bool, StoreError>;
    /// Writes `setRoleFor` for the change's own version, once: the same version again finds the same
    /// transaction. One that failed is tried again after a while, a few times. Budgets bound how
    /// many are written in a day.
    async fn mirror(&self, change: &RoleChange) -> Result<Mirrored, StoreError>;
}
