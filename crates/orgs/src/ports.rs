//! What orgs needs from outside. One method is one atomic operation.

use crate::model::{
    NewProject, OrgMember, OrgRole, Organization, Project, ProjectChange, ProjectMember, ProjectRole,
    Standing,
};
use async_trait::async_trait;
use haithe_kernel::{
    Failure, Kind, ModelId, OrgId, OrgUid, ProjectId, ProjectUid, StoreError, Timestamp, WalletAddress,
};

/// Organizations as the chain and their members made them. Deleted ones are not found.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgStore: Send + Sync {
    /// By number.
    async fn find(&self, id: OrgId) -> Result<Option<Organization>, StoreError>;
    /// By public identifier.
    async fn find_by_uid(&self, uid: OrgUid) -> Result<Option<Organization>, StoreError>;
    /// By the name it was created with on chain.
    async fn find_by_chain_name(&self, name: String) -> Result<Option<Organization>, StoreError>;
    /// Those the wallet owns, belongs to, or has a project role in; newest first.
    async fn of_wallet(&self, address: WalletAddress) -> Result<Vec<Organization>, StoreError>;
    /// The wallet's newest own organization.
    async fn newest_owned(&self, owner: WalletAddress) -> Result<Option<Organization>, StoreError>;
    /// How many organizations the index holds.
    async fn count(&self) -> Result<u64, StoreError>;
    /// Changes the shown name; gives the organization after the change.
    async fn rename(&self, id: OrgId, name: String) -> Result<Option<Organization>, StoreError>;
    /// Marks it deleted; gives what it was. Says nothing about calls in flight: the use case asks the ledger.
    async fn delete(&self, id: OrgId, at: Timestamp) -> Result<Option<Organization>, StoreError>;
    /// What the wallet is to the organization, and to the project when one is given.
    async fn standing(
        &self,
        org: OrgId,
        project: Option<ProjectId>,
        address: WalletAddress,
    ) -> Result<Standing, StoreError>;
    /// Members, newest first, without the owner.
    async fn members(&self, org: OrgId) -> Result<Vec<OrgMember>, StoreError>;
    /// Adds the wallet or changes its role.
    async fn put_member(&self, member: OrgMember) -> Result<OrgMember, StoreError>;
    /// Removes the wallet and its roles in the organization's projects; gives what it was.
    async fn remove_member(
        &self,
        org: OrgId,
        address: WalletAddress,
    ) -> Result<Option<OrgMember>, StoreError>;
    /// The one role of a member.
    async fn role(&self, org: OrgId, address: WalletAddress) -> Result<Option<OrgRole>, StoreError>;
    /// Models the organization enabled.
    async fn models(&self, org: OrgId) -> Result<Vec<ModelId>, StoreError>;
    /// Enables a model; enabling twice is no error.
    async fn enable_model(&self, org: OrgId, model: ModelId, at: Timestamp) -> Result<(), StoreError>;
    /// Disables a model; says whether it was enabled.
    async fn disable_model(&self, org: OrgId, model: ModelId) -> Result<bool, StoreError>;
}

/// Projects.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ProjectStore: Send + Sync {
    /// Creates a project.
    async fn create(&self, project: NewProject) -> Result<Project, StoreError>;
    /// By number.
    async fn find(&self, id: ProjectId) -> Result<Option<Project>, StoreError>;
    /// By public identifier.
    async fn find_by_uid(&self, uid: ProjectUid) -> Result<Option<Project>, StoreError>;
    /// All of an organization, newest first.
    async fn of_org(&self, org: OrgId) -> Result<Vec<Project>, StoreError>;
    /// All the wallet has a project role in, newest first.
    async fn of_wallet(&self, address: WalletAddress) -> Result<Vec<Project>, StoreError>;
    /// Changes it; gives the project after the change.
    async fn change(&self, id: ProjectId, change: ProjectChange) -> Result<Option<Project>, StoreError>;
    /// Deletes it; gives what it was. Usage records and receipts stay.
    async fn delete(&self, id: ProjectId) -> Result<Option<Project>, StoreError>;
    /// Members.
    async fn members(&self, project: ProjectId) -> Result<Vec<ProjectMember>, StoreError>;
    /// Adds the wallet or changes its role.
    async fn put_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
        role: ProjectRole,
    ) -> Result<ProjectMember, StoreError>;
    /// Removes the wallet; gives what it was.
    async fn remove_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
    ) -> Result<Option<ProjectMember>, StoreError>;
}

/// Everything the hot path must know about a payer and a project, read in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The organization that pays.
    pub payer: Organization,
    /// The project that is called.
    pub project: Project,
    /// The wallet's standing in the payer (and in the project, when the payer owns it).
    pub standing: Standing,
    /// Models the payer enabled.
    pub models: Vec<ModelId>,
}

/// The hot path's view of organizations and projects.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Directory: Send + Sync {
    /// Payer, project and standing of `address` in one consistent read; `None` when either is missing.
    async fn context(
        &self,
        payer: OrgUid,
        project: ProjectUid,
        address: WalletAddress,
    ) -> Result<Option<CallContext>, StoreError>;
    /// The identifiers behind a key's scope.
    async fn uids(
        &self,
        org: Option<OrgId>,
        project: Option<ProjectId>,
    ) -> Result<Option<(OrgUid, Option<ProjectUid>)>, StoreError>;
    /// Grows with every committed change that could alter an answer of this port (organizations,
    /// projects, members, models). An answer cached under an older version is stale. No I/O.
    fn version(&self) -> u64;
}

/// Why an organization could not be deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The orchestrator already has an organization of this name.
    #[error("an organization with this name exists; choose another name")]
    NameTaken,
    /// The wallet or the service has spent today's deployment budget.
    #[error("the daily budget for deployments is spent; deploy with your own wallet or try again tomorrow")]
    BudgetSpent,
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
            Self::BudgetSpent => Kind::RateLimited,
            Self::Pending | Self::Unavailable(_) => Kind::Unavailable,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NameTaken => "organization_name_taken",
            Self::BudgetSpent => "deployment_budget_spent",
            Self::Pending => "transaction_pending",
            Self::Unavailable(_) => "chain_unavailable",
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Pending | Self::Unavailable(_) => Some(3),
            Self::NameTaken | Self::BudgetSpent => None,
        }
    }
}

/// Deploys organizations on a wallet's behalf.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgDeployer: Send + Sync {
    /// Sends `createOrganizationFor(name, owner)` through the durable outbox and waits (3 s at most)
    /// until it is mined; gives the contract. The same name and owner again finds the same transaction.
    async fn deploy(&self, name: String, owner: WalletAddress) -> Result<WalletAddress, DeployError>;
}

/// Asks the indexer to read the chain's head now.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChainSync: Send + Sync {
    /// Returns once the index has reached the head as of the call, or after one second; says which.
    async fn catch_up(&self) -> bool;
}
