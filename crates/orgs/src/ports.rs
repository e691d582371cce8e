//! What orgs needs from outside. One method is one atomic operation.
//!
//! A method that takes an [`Act`] writes a line of the audit in the transaction of the change, and
//! none when it changes nothing.

mod calls;
mod chain;

#[cfg(any(test, feature = "mocks"))]
pub use calls::MockOpenCalls;
pub use calls::OpenCalls;
pub use chain::{ChainSync, DeployError, OrgDeployer, OwnerTransactions, RoleMirror};
#[cfg(any(test, feature = "mocks"))]
pub use chain::{MockChainSync, MockOrgDeployer, MockOwnerTransactions, MockRoleMirror};

use crate::{
    accepted::AcceptedProject,
    audit::{Act, AuditAction, AuditEntry},
    bots::{BotPlatform, BotToken},
    error::OrgError,
    members::Judge,
    model::{
        NewProject, OrgMember, OrgRole, Organization, PriceNotice, Project, ProjectChange, ProjectMember,
        ProjectRole, Search, Standing,
    },
    roles::RoleChange,
    settings::{OrgSettings, OrgSettingsChange},
};
use async_trait::async_trait;
use haithe_identity::api_key::KeyBudget;
use haithe_kernel::{
    Listed, ModelId, OrgId, OrgUid, Page, ProductId, ProjectId, ProjectUid, StoreError, Timestamp, Usdt,
    WalletAddress,
};

/// Organizations as the chain and their members made them. Deleted ones are not found.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgStore: Send + Sync {
    /// By number.
    async fn find(&self, id: OrgId) -> Result<Option<Organization>, StoreError>;
    /// By public identifier.
    async fn find_by_uid(&self, uid: OrgUid) -> Result<Option<Organization>, StoreError>;
    /// By its contract.
    async fn find_by_address(&self, address: WalletAddress) -> Result<Option<Organization>, StoreError>;
    /// By the name it was created with on chain.
    async fn find_by_chain_name(&self, name: String) -> Result<Option<Organization>, StoreError>;
    /// Those the wallet owns, belongs to, or has a project role in; newest first.
    async fn of_wallet(
        &self,
        address: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Organization>, StoreError>;
    /// The wallet's newest own organization.
    async fn newest_owned(&self, owner: WalletAddress) -> Result<Option<Organization>, StoreError>;
    /// How many organizations the index holds.
    async fn count(&self) -> Result<u64, StoreError>;
    /// Changes the shown name; gives the organization after the change.
    async fn rename(&self, id: OrgId, name: String, act: Act) -> Result<Option<Organization>, StoreError>;
    /// Marks it deleted; gives what it was. The use case asks [`OpenCalls`] before.
    async fn delete(&self, id: OrgId, act: Act) -> Result<Option<Organization>, StoreError>;
    /// Who the organization was offered to on chain and has not accepted.
    async fn pending_owner(&self, id: OrgId) -> Result<Option<WalletAddress>, StoreError>;
    /// The settings; the defaults where nothing was ever set.
    async fn settings(&self, id: OrgId) -> Result<OrgSettings, StoreError>;
    /// The default budgets of new keys that are set: of this organization, or of every organization that
    /// the wallet has a role in.
    async fn default_key_budgets(
        &self,
        wallet: WalletAddress,
        org: Option<OrgId>,
    ) -> Result<Vec<KeyBudget>, StoreError>;
    /// Changes settings; gives them after the change.
    async fn change_settings(
        &self,
        id: OrgId,
        change: OrgSettingsChange,
        act: Act,
    ) -> Result<OrgSettings, StoreError>;
    /// What the wallet is to the organization, and to the project when one is given.
    async fn standing(
        &self,
        org: OrgId,
        project: Option<ProjectId>,
        address: WalletAddress,
    ) -> Result<Standing, StoreError>;
    /// Members, newest first, without the owner.
    async fn members(
        &self,
        org: OrgId,
        role: Option<OrgRole>,
        page: Page,
    ) -> Result<Listed<OrgMember>, StoreError>;
    /// Adds the wallet or changes its role, and opens the change for [`RoleStore`], if `judge` lets
    /// it: that is asked in the same transaction.
    async fn put_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        role: OrgRole,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<OrgMember, OrgError>;
    /// Removes the wallet and its roles in the organization's projects, and opens the change for
    /// [`RoleStore`], if `judge` lets it; gives what it was.
    async fn remove_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<Option<OrgMember>, OrgError>;
    /// The one role of a member.
    async fn role(&self, org: OrgId, address: WalletAddress) -> Result<Option<OrgRole>, StoreError>;
    /// Models the organization enabled.
    async fn models(&self, org: OrgId) -> Result<Vec<ModelId>, StoreError>;
    /// Enables a model; enabling twice is no error.
    async fn enable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<(), StoreError>;
    /// Disables a model; says whether it was enabled.
    async fn disable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<bool, StoreError>;
    /// Gives an organization without any model this one. The service's own doing: no act of a wallet.
    async fn furnish(&self, org: OrgId, model: ModelId, at: Timestamp) -> Result<(), StoreError>;
}

/// Decisions about roles that contracts may not know yet.
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
