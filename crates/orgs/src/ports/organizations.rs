//! The ports over organizations, one for each role that a use case needs.

use crate::{
    audit::Act,
    error::OrgError,
    members::Judge,
    model::{OrgMember, OrgRole, Organization, Search, Standing},
    settings::{OrgSettings, OrgSettingsChange},
};
use async_trait::async_trait;
use haithe_identity::api_key::KeyBudget;
use haithe_kernel::{Listed, ModelId, OrgId, Page, ProjectId, StoreError, Timestamp, WalletAddress};

/// Organizations as the index of the chain made them, and what is changed here: the displayed name and the
/// deletion. Deleted organizations are not found.
///
/// **Guarantees**: global.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgStore: Send + Sync {
    /// Finds an organization by its number.
    async fn find(&self, id: OrgId) -> Result<Option<Organization>, StoreError>;
    /// Finds an organization by the address of its contract.
    async fn find_by_address(&self, address: WalletAddress) -> Result<Option<Organization>, StoreError>;
    /// Lists the organizations that the wallet owns, belongs to, or has a project role in; newest first.
    async fn of_wallet(
        &self,
        address: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Organization>, StoreError>;
    /// Returns the newest organization that the wallet owns.
    async fn newest_owned(&self, owner: WalletAddress) -> Result<Option<Organization>, StoreError>;
    /// Counts the organizations that are on chain, deleted ones included.
    async fn count(&self) -> Result<u64, StoreError>;
    /// Returns the wallet that the organization was offered to on chain and that has not accepted it.
    async fn pending_owner(&self, id: OrgId) -> Result<Option<WalletAddress>, StoreError>;
    /// Changes the displayed name; returns the organization after the change.
    async fn rename(&self, id: OrgId, name: String, act: Act) -> Result<Option<Organization>, StoreError>;
    /// Marks the organization deleted; returns what it was. Calls in flight are not checked: the use case
    /// asks the ledger.
    async fn delete(&self, id: OrgId, act: Act) -> Result<Option<Organization>, StoreError>;
}

/// What a wallet is to an organization and its projects: the facts that the rule table decides by.
///
/// **Guarantees**: global: one consistent read.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait StandingStore: Send + Sync {
    /// Returns what the wallet is to the organization, and to the project when one is given. An organization
    /// that does not exist or is deleted gives no standing, and neither does a project of another one.
    async fn standing(
        &self,
        org: OrgId,
        project: Option<ProjectId>,
        address: WalletAddress,
    ) -> Result<Standing, StoreError>;
}

/// Members of organizations.
///
/// **Guarantees**: global. Of two processes that change one member at once, the second is judged by what the
/// first left.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgMemberStore: Send + Sync {
    /// Lists members, newest first, without the owner.
    async fn members(
        &self,
        org: OrgId,
        role: Option<OrgRole>,
        page: Page,
    ) -> Result<Listed<OrgMember>, StoreError>;
    /// Adds the wallet or changes its role, and opens the change for [`RoleStore`](super::RoleStore), if
    /// `judge` allows it, which is called in the same transaction.
    async fn put_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        role: OrgRole,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<OrgMember, OrgError>;
    /// Removes the wallet and its roles in the organization's projects, and opens the change for
    /// [`RoleStore`](super::RoleStore), if `judge` allows it; returns what it was.
    async fn remove_member(
        &self,
        org: OrgId,
        address: WalletAddress,
        judge: Judge<OrgRole>,
        act: Act,
    ) -> Result<Option<OrgMember>, OrgError>;
    /// Returns the role of one member.
    async fn role(&self, org: OrgId, address: WalletAddress) -> Result<Option<OrgRole>, StoreError>;
}

/// Models that organizations enabled.
///
/// **Guarantees**: global. Of two processes, one enables the default model.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgModelStore: Send + Sync {
    /// Returns the models that the organization enabled, in ascending order.
    async fn models(&self, org: OrgId) -> Result<Vec<ModelId>, StoreError>;
    /// Enables a model; enabling it again is not an error.
    async fn enable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<(), StoreError>;
    /// Disables a model; returns whether it was enabled.
    async fn disable_model(&self, org: OrgId, model: ModelId, act: Act) -> Result<bool, StoreError>;
    /// Enables this model for an organization that has none. The service does this by itself, so that the
    /// audit gets no line.
    async fn enable_default_model(&self, org: OrgId, model: ModelId, at: Timestamp)
    -> Result<(), StoreError>;
}

/// Settings of organizations.
///
/// **Guarantees**: global. Of two concurrent changes of different settings, both remain.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OrgSettingsStore: Send + Sync {
    /// Returns the settings; the defaults where nothing was set.
    async fn settings(&self, id: OrgId) -> Result<OrgSettings, StoreError>;
    /// Returns the default budgets of new keys that are set: of this organization, or of every organization
    /// that the wallet has a role in.
    async fn default_key_budgets(
        &self,
        wallet: WalletAddress,
        org: Option<OrgId>,
    ) -> Result<Vec<KeyBudget>, StoreError>;
    /// Changes settings; returns them after the change.
    async fn change_settings(
        &self,
        id: OrgId,
        change: OrgSettingsChange,
        act: Act,
    ) -> Result<OrgSettings, StoreError>;
}
