//! Use cases over organizations and their members.

use crate::{
    model::{OrgMember, OrgRole, Organization, Standing},
    policy::{Action, allows},
    ports::{ChainSync, DeployError, OrgDeployer, OrgStore},
};
use haithe_kernel::{Clock, Failure, Kind, ModelId, OrgId, StoreError, WalletAddress};
use std::sync::Arc;

/// Longest name, in characters.
pub const NAME_CHARS: usize = 64;

/// A rule about organizations, projects or members that was broken.
#[derive(Debug, thiserror::Error)]
pub enum OrgError {
    /// Missing, or none of the caller's business: both answer alike.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The caller may see it and may not do this.
    #[error("your role does not allow this")]
    Forbidden,
    /// A name that cannot be shown.
    #[error("a name has 1 to {NAME_CHARS} characters and no control characters")]
    Name,
    /// A setting outside its range.
    #[error("{0}")]
    Setting(&'static str),
    /// A change without content.
    #[error("nothing to change: give at least one of the fields")]
    NothingToChange,
    /// The owner's place is decided on chain.
    #[error("the owner cannot be added, changed or removed as a member; ownership changes on chain")]
    Owner,
    /// The wallet is no member.
    #[error("this wallet is not a member")]
    NotAMember,
    /// The wallet already is a member.
    #[error("this wallet is already a member; change its role instead")]
    AlreadyAMember,
    /// The caller owns no indexed organization.
    #[error(
        "no organization of this wallet is indexed yet; send createOrganization(name) first, or give a name here"
    )]
    NothingIndexed,
    /// Calls are running.
    #[error("calls of this organization are in flight; try again when they have ended")]
    CallsInFlight,
    /// Deployment failed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for OrgError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) | Self::NotAMember | Self::NothingIndexed => Kind::NotFound,
            Self::Forbidden => Kind::Forbidden,
            Self::Name | Self::Setting(_) | Self::NothingToChange => Kind::Invalid,
            Self::Owner | Self::AlreadyAMember | Self::CallsInFlight => Kind::Conflict,
            Self::Deploy(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Forbidden => "forbidden",
            Self::Name => "invalid_name",
            Self::Setting(_) => "invalid_setting",
            Self::NothingToChange => "nothing_to_change",
            Self::Owner => "owner_is_on_chain",
            Self::NotAMember => "not_a_member",
            Self::AlreadyAMember => "already_a_member",
            Self::NothingIndexed => "organization_not_indexed",
            Self::CallsInFlight => "calls_in_flight",
            Self::Deploy(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Deploy(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// A name fit to be shown: trimmed, 1 to 64 characters, no control characters.
///
/// # Errors
/// [`OrgError::Name`] otherwise.
pub fn valid_name(text: &str) -> Result<String, OrgError> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
        return Err(OrgError::Name);
    }
    Ok(name.to_owned())
}

/// A caller who passed the rule table for one organization.
#[derive(Debug, Clone)]
pub struct OrgAccess {
    /// The organization.
    pub org: Organization,
    /// What the caller is to it.
    pub standing: Standing,
}

/// Organizations and their members.
pub struct Organizations {
    store: Arc<dyn OrgStore>,
    deployer: Arc<dyn OrgDeployer>,
    chain: Arc<dyn ChainSync>,
    clock: Arc<dyn Clock>,
    /// Enabled for an organization that arrives without any model.
    default_model: ModelId,
}

impl Organizations {
    /// Composes the use case.
    pub fn new(
        store: Arc<dyn OrgStore>,
        deployer: Arc<dyn OrgDeployer>,
        chain: Arc<dyn ChainSync>,
        clock: Arc<dyn Clock>,
        default_model: ModelId,
    ) -> Self {
        Self {
            store,
            deployer,
            chain,
            clock,
            default_model,
        }
    }

    /// The organization, if the caller may do this to it.
    ///
    /// # Errors
    /// [`OrgError::NotFound`] for strangers and for missing ones alike, [`OrgError::Forbidden`] for
    /// a role that is not enough.
    pub async fn authorize(
        &self,
        caller: WalletAddress,
        id: OrgId,
        action: Action,
    ) -> Result<OrgAccess, OrgError> {
        let missing = OrgError::NotFound("organization");
        let Some(org) = self.store.find(id).await? else {
            return Err(missing);
        };
        let standing = self.store.standing(id, None, caller).await?;
        if !allows(standing, Action::ReadOrg) {
            return Err(missing);
        }
        if !allows(standing, action) {
            return Err(OrgError::Forbidden);
        }
        Ok(OrgAccess { org, standing })
    }

    /// Organizations the wallet has to do with, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_wallet(&self, caller: WalletAddress) -> Result<Vec<Organization>, OrgError> {
        Ok(self.store.of_wallet(caller).await?)
    }

    /// The caller's newest organization after the index caught up, and how many the index holds.
    ///
    /// # Errors
    /// [`OrgError::NothingIndexed`] when the caller owns none.
    pub async fn newest(&self, caller: WalletAddress) -> Result<(Organization, u64), OrgError> {
        self.chain.catch_up().await;
        let org = self
            .store
            .newest_owned(caller)
            .await?
            .ok_or(OrgError::NothingIndexed)?;
        self.furnish(&org).await?;
        Ok((org, self.store.count().await?))
    }

    /// Deploys an organization on the wallet's behalf.
    ///
    /// # Errors
    /// [`DeployError`] as the chain answers; [`DeployError::Pending`] when it is sent but not yet
    /// mined or indexed.
    pub async fn deploy(&self, caller: WalletAddress, name: &str) -> Result<(Organization, u64), OrgError> {
        let name = valid_name(name)?;
        let contract = self.deployer.deploy(name, caller).await?;
        self.chain.catch_up().await;
        let owned = self.store.of_wallet(caller).await?;
        let org = owned
            .into_iter()
            .find(|org| org.address == contract)
            .ok_or(DeployError::Pending)?;
        self.furnish(&org).await?;
        Ok((org, self.store.count().await?))
    }

    /// A new organization starts with the default model enabled.
    async fn furnish(&self, org: &Organization) -> Result<(), OrgError> {
        if self.store.models(org.id).await?.is_empty() {
            self.store
                .enable_model(org.id, self.default_model, self.clock.now())
                .await?;
        }
        Ok(())
    }

    /// Changes the shown name.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table; [`OrgError::Name`].
    pub async fn rename(
        &self,
        caller: WalletAddress,
        id: OrgId,
        name: &str,
    ) -> Result<Organization, OrgError> {
        let name = valid_name(name)?;
        self.authorize(caller, id, Action::ManageOrg).await?;
        self.store
            .rename(id, name)
            .await?
            .ok_or(OrgError::NotFound("organization"))
    }

    /// Deletes it: it accepts no new call and keeps settling. `calls_in_flight` is the ledger's word.
    ///
    /// # Errors
    /// [`OrgError::CallsInFlight`] while calls are held.
    pub async fn delete(&self, access: &OrgAccess, calls_in_flight: bool) -> Result<Organization, OrgError> {
        if !allows(access.standing, Action::ManageOrgAdmins) {
            return Err(OrgError::Forbidden);
        }
        if calls_in_flight {
            return Err(OrgError::CallsInFlight);
        }
        self.store
            .delete(access.org.id, self.clock.now())
            .await?
            .ok_or(OrgError::NotFound("organization"))
    }

    /// Members, newest first, without the owner.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn members(&self, caller: WalletAddress, id: OrgId) -> Result<Vec<OrgMember>, OrgError> {
        self.authorize(caller, id, Action::ReadOrg).await?;
        Ok(self.store.members(id).await?)
    }

    /// Adds a member. Only the owner appoints admins.
    ///
    /// # Errors
    /// [`OrgError::AlreadyAMember`], [`OrgError::Owner`], and the rule table's.
    pub async fn add_member(
        &self,
        caller: WalletAddress,
        id: OrgId,
        address: WalletAddress,
        role: OrgRole,
    ) -> Result<OrgMember, OrgError> {
        let present = self.manage(caller, id, address, Some(role)).await?;
        if present.is_some() {
            return Err(OrgError::AlreadyAMember);
        }
        let member = OrgMember {
            org: id,
            address,
            role,
            created_at: self.clock.now(),
        };
        Ok(self.store.put_member(member).await?)
    }

    /// Changes a member's role. Only the owner appoints or demotes admins.
    ///
    /// # Errors
    /// [`OrgError::NotAMember`], [`OrgError::Owner`], and the rule table's.
    pub async fn change_member(
        &self,
        caller: WalletAddress,
        id: OrgId,
        address: WalletAddress,
        role: OrgRole,
    ) -> Result<OrgMember, OrgError> {
        let present = self.manage(caller, id, address, Some(role)).await?;
        present.ok_or(OrgError::NotAMember)?;
        let member = OrgMember {
            org: id,
            address,
            role,
            created_at: self.clock.now(),
        };
        Ok(self.store.put_member(member).await?)
    }

    /// Removes a member and its project roles. Everybody but the owner may leave.
    ///
    /// # Errors
    /// [`OrgError::NotAMember`], [`OrgError::Owner`], and the rule table's.
    pub async fn remove_member(
        &self,
        caller: WalletAddress,
        id: OrgId,
        address: WalletAddress,
    ) -> Result<OrgMember, OrgError> {
        if caller == address {
            let access = self.authorize(caller, id, Action::ReadOrg).await?;
            if access.standing.owner {
                return Err(OrgError::Owner);
            }
        } else {
            self.manage(caller, id, address, None).await?;
        }
        self.store
            .remove_member(id, address)
            .await?
            .ok_or(OrgError::NotAMember)
    }

    /// Checks that the caller may give `address` this role (or take its own away), and says which it has.
    async fn manage(
        &self,
        caller: WalletAddress,
        id: OrgId,
        address: WalletAddress,
        role: Option<OrgRole>,
    ) -> Result<Option<OrgRole>, OrgError> {
        let access = self.authorize(caller, id, Action::ManageOrgMembers).await?;
        if access.org.owner == address {
            return Err(OrgError::Owner);
        }
        let present = self.store.role(id, address).await?;
        let touches_admin = role == Some(OrgRole::Admin) || present == Some(OrgRole::Admin);
        if touches_admin && !allows(access.standing, Action::ManageOrgAdmins) {
            return Err(OrgError::Forbidden);
        }
        Ok(present)
    }

    /// Models the organization enabled.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn models(&self, caller: WalletAddress, id: OrgId) -> Result<Vec<ModelId>, OrgError> {
        self.authorize(caller, id, Action::ReadOrg).await?;
        Ok(self.store.models(id).await?)
    }

    /// Enables a model. That it exists is the catalogue's word, asked before.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn enable_model(
        &self,
        caller: WalletAddress,
        id: OrgId,
        model: ModelId,
    ) -> Result<(), OrgError> {
        self.authorize(caller, id, Action::ManageModelsAndProjects)
            .await?;
        Ok(self.store.enable_model(id, model, self.clock.now()).await?)
    }

    /// Disables a model; a model that was not enabled is no error.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn disable_model(
        &self,
        caller: WalletAddress,
        id: OrgId,
        model: ModelId,
    ) -> Result<(), OrgError> {
        self.authorize(caller, id, Action::ManageModelsAndProjects)
            .await?;
        self.store.disable_model(id, model).await?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "organizations_tests.rs"]
mod tests;
