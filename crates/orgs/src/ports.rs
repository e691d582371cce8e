//! What orgs needs from outside. One method is one atomic operation.
//!
//! A method that takes an [`Act`] writes a line of the audit in the transaction of the change, and
//! none when it changes nothing.
//!
//! A store promises something *globally* when the promise holds over all processes that use the database,
//! and *per process* when it holds among the callers in one process only. While a store promises anything per
//! process, one process at a time may use the database.

mod calls;
mod chain;
mod organizations;

#[cfg(any(test, feature = "mocks"))]
pub use calls::MockOpenCalls;
pub use calls::OpenCalls;
pub use chain::{ChainSync, DeployError, OrgDeployer, OwnerTransactions, RoleMirror};
#[cfg(any(test, feature = "mocks"))]
pub use chain::{MockChainSync, MockOrgDeployer, MockOwnerTransactions, MockRoleMirror};
#[cfg(any(test, feature = "mocks"))]
pub use organizations::{
    MockOrgMemberStore, MockOrgModelStore, MockOrgSettingsStore, MockOrgStore, MockStandingStore,
};
pub use organizations::{OrgMemberStore, OrgModelStore, OrgSettingsStore, OrgStore, StandingStore};

use crate::{
    accepted::AcceptedProject,
    audit::{Act, AuditAction, AuditEntry},
    bots::{BotPlatform, BotToken},
    error::OrgError,
    members::Judge,
    model::{
        NewProject, Organization, PriceNotice, Project, ProjectChange, ProjectMember, ProjectRole, Search,
        Standing,
    },
    roles::RoleChange,
    settings::OrgSettings,
};
use async_trait::async_trait;
use haithe_kernel::{
    Listed, ModelId, OrgId, OrgUid, Page, ProductId, ProjectId, ProjectUid, StoreError, Usdt, WalletAddress,
};

/// Decisions about roles that contracts may not know yet.
///
/// **Guarantees**: global for each method. Nothing reserves an open change for the process that reads it: one
/// process at a time mirrors roles.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait RoleStore: Send + Sync {
    /// Open changes, the oldest decision first. A decision opens one, and so does a change on chain
    /// that a decision made here stands against.
    async fn open(&self, limit: u32) -> Result<Vec<RoleChange>, StoreError>;
    /// This version of the change is about to be handed to the outbox.
    async fn note_sent(&self, org: OrgId, address: WalletAddress, version: u64) -> Result<(), StoreError>;
    /// Closes the change, unless something was decided since; says whether it did.
    async fn settle(&self, org: OrgId, address: WalletAddress, version: u64) -> Result<bool, StoreError>;
}

/// The audit, for reading. Other stores write it.
///
/// **Guarantees**: global. A line is durable together with the change that it is about.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Lines about an organization, newest first; of one action when it is given.
    async fn of_org(
        &self,
        org: OrgId,
        action: Option<AuditAction>,
        page: Page,
    ) -> Result<Listed<AuditEntry>, StoreError>;
}

/// Projects.
///
/// **Guarantees**: global. Names are unique, members are judged and prices are set over all processes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ProjectStore: Send + Sync {
    /// Creates a project, unless another project of the organization that is not deleted has its name
    /// ([`OrgError::ProjectNameTaken`]). Names are compared by [`haithe_kernel::name_key`]; of concurrent
    /// callers with one name exactly one creates.
    async fn create(&self, project: NewProject, act: Act) -> Result<Project, OrgError>;
    /// By number.
    async fn find(&self, id: ProjectId) -> Result<Option<Project>, StoreError>;
    /// By public identifier.
    async fn find_by_uid(&self, uid: ProjectUid) -> Result<Option<Project>, StoreError>;
    /// Those of an organization, newest first.
    async fn of_org(
        &self,
        org: OrgId,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, StoreError>;
    /// Those the wallet has a project role in, newest first.
    async fn of_wallet(
        &self,
        address: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, StoreError>;
    /// Changes it; gives the project after the change. A new name is compared as [`create`](Self::create)
    /// compares it; the project's own name is never taken. A price is set by [`PriceNotice::set_price`], from
    /// the project as it is and as it was accepted in the same transaction.
    async fn change(
        &self,
        id: ProjectId,
        change: ProjectChange,
        notice: PriceNotice,
        act: Act,
    ) -> Result<Option<Project>, OrgError>;
    /// Deletes it; gives what it was. Usage records and receipts stay.
    async fn delete(&self, id: ProjectId, act: Act) -> Result<Option<Project>, StoreError>;
    /// Members, newest first.
    async fn members(
        &self,
        project: ProjectId,
        role: Option<ProjectRole>,
        page: Page,
    ) -> Result<Listed<ProjectMember>, StoreError>;
    /// Adds the wallet or changes its role, if `judge` lets it: that is asked in the same transaction.
    async fn put_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
        role: ProjectRole,
        judge: Judge<ProjectRole>,
        act: Act,
    ) -> Result<ProjectMember, OrgError>;
    /// Removes the wallet, if `judge` lets it; gives what it was.
    async fn remove_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
        judge: Judge<ProjectRole>,
        act: Act,
    ) -> Result<Option<ProjectMember>, OrgError>;
}

/// What became of accepting a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepting {
    /// It is accepted.
    Accepted(AcceptedProject),
    /// The project does not exist or is not public.
    NotPublic,
    /// The project belongs to the organization itself.
    Own,
    /// The organization accepts [`MOST_ACCEPTED`](crate::accepted::MOST_ACCEPTED) others.
    Full,
}

/// Public projects that organizations other than their own accepted, each up to a price per call.
///
/// **Guarantees**: global. The bound on accepted projects holds over all processes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait AcceptedProjectStore: Send + Sync {
    /// Accepts the project up to `maximum`, or replaces the maximum.
    async fn put(
        &self,
        org: OrgId,
        project: ProjectUid,
        maximum: Usdt,
        act: Act,
    ) -> Result<Accepting, StoreError>;
    /// Those that the organization accepts, newest first.
    async fn of_org(&self, org: OrgId, page: Page) -> Result<Listed<AcceptedProject>, StoreError>;
    /// Withdraws the acceptance; returns whether there was one. It works for a project of any state.
    async fn remove(&self, org: OrgId, project: ProjectUid, act: Act) -> Result<bool, StoreError>;
}

/// Tokens of projects' bots, encrypted where they are kept. A deleted project has none.
///
/// **Guarantees**: global.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait BotStore: Send + Sync {
    /// Puts the token in the place of the one before; says whether there is such a project. The
    /// audit names the platform and nothing of the token.
    async fn put(&self, project: ProjectId, token: BotToken, act: Act) -> Result<bool, StoreError>;
    /// Takes the token away; says whether there is such a project.
    async fn remove(&self, project: ProjectId, platform: BotPlatform, act: Act) -> Result<bool, StoreError>;
    /// The token, for logging in.
    async fn token(&self, project: ProjectId, platform: BotPlatform) -> Result<Option<BotToken>, StoreError>;
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
    /// Products that the project brings along, in the order they were enabled.
    pub products: Vec<ProductId>,
    /// The payer's settings.
    pub settings: OrgSettings,
    /// The most that the payer accepted to pay per call of another organization's project, its products
    /// included; `None` when it did not accept the project, or owns it.
    pub accepted: Option<Usdt>,
}

/// The hot path's view of organizations and projects.
///
/// **Guarantees**: [`context`](Self::context) and [`uids`](Self::uids) are global: each is one consistent
/// read. [`version`](Self::version) is per process: it counts the changes that this process committed.
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
    /// projects, members, models, settings, accepted projects). An answer cached under an older version is stale. No I/O.
    fn version(&self) -> u64;
}
