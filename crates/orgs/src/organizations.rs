//! Use cases over organizations and their members.

use crate::{
    audit::{Act, Caller},
    error::OrgError,
    members::{self, Edit},
    model::{OrgMember, OrgRole, Organization, Search, Standing},
    ownership::OwnerCall,
    policy::{Action, allows},
    ports::{
        ChainSync, DeployError, OpenCalls, OrgDeployer, OrgMemberStore, OrgModelStore, OrgStore,
        OwnerTransactions, StandingStore,
    },
    roles::{ChainRole, Course, course},
    transaction::UnsignedTransaction,
};
use haithe_kernel::{ClientNetwork, Clock, Listed, ModelId, OrgId, Page, WalletAddress, name_problem};
use std::sync::Arc;

/// Longest name, in characters.
pub const NAME_CHARS: usize = 64;

/// A name fit to be shown: trimmed, 1 to 64 characters, no control characters, nothing that deceives.
///
/// # Errors
/// [`OrgError::Name`] or [`OrgError::DeceptiveName`] otherwise.
pub fn valid_name(text: &str) -> Result<String, OrgError> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
        return Err(OrgError::Name);
    }
    if let Some(problem) = name_problem(name) {
        return Err(OrgError::DeceptiveName(problem));
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

/// A member after a change, or as it was before it was removed.
#[derive(Debug, Clone)]
pub struct MemberChange {
    /// The member.
    pub member: OrgMember,
    /// What the owner has to sign so that the contract says the same: the server makes and unmakes
    /// no administrators there. `None` when the server sees to it, or nothing is to do.
    pub transaction: Option<UnsignedTransaction>,
}

/// What [`Organizations`] needs from outside.
pub struct OrganizationPorts {
    /// Organizations.
    pub orgs: Arc<dyn OrgStore>,
    /// What wallets are to organizations.
    pub standings: Arc<dyn StandingStore>,
    /// Their members.
    pub members: Arc<dyn OrgMemberStore>,
    /// The models that they enabled.
    pub models: Arc<dyn OrgModelStore>,
    /// Deploys contracts of organizations.
    pub deployer: Arc<dyn OrgDeployer>,
    /// Encodes what owners sign.
    pub transactions: Arc<dyn OwnerTransactions>,
    /// Brings the index up to date.
    pub chain: Arc<dyn ChainSync>,
    /// Whether money is held for calls.
    pub calls: Arc<dyn OpenCalls>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Organizations and their members.
pub struct Organizations {
    ports: OrganizationPorts,
    /// Enabled for an organization that arrives without any model.
    default_model: ModelId,
}

impl Organizations {
    /// Composes the use case.
    pub const fn new(ports: OrganizationPorts, default_model: ModelId) -> Self {
        Self { ports, default_model }
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
        // The role is read before what it opens: whoever just became the owner is never shown
        // the organization as it was before.
        let missing = OrgError::NotFound("organization");
        let standing = self.ports.standings.standing(id, None, caller).await?;
        if !allows(standing, Action::ReadOrg) {
            return Err(missing);
        }
        if !allows(standing, action) {
            return Err(OrgError::Forbidden);
        }
        let org = self.ports.orgs.find(id).await?.ok_or(missing)?;
        Ok(OrgAccess { org, standing })
    }

    /// Organizations the wallet has to do with, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_wallet(
        &self,
        caller: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Organization>, OrgError> {
        Ok(self.ports.orgs.of_wallet(caller, name, page).await?)
    }

    /// The caller's newest organization after the index caught up, and how many the index holds.
    ///
    /// # Errors
    /// [`OrgError::NothingIndexed`] when the caller owns none.
    pub async fn newest(&self, caller: WalletAddress) -> Result<(Organization, u64), OrgError> {
        self.ports.chain.catch_up().await;
        let org = self
            .ports
            .orgs
            .newest_owned(caller)
            .await?
            .ok_or(OrgError::NothingIndexed)?;
        self.enable_default_model(&org).await?;
        Ok((org, self.ports.orgs.count().await?))
    }

    /// Deploys an organization on the wallet's behalf.
    ///
    /// # Errors
    /// [`DeployError`] as the chain answers; [`DeployError::Pending`] when it is sent but not yet
    /// mined or indexed.
    pub async fn deploy(
        &self,
        caller: WalletAddress,
        name: &str,
        network: Option<ClientNetwork>,
    ) -> Result<(Organization, u64), OrgError> {
        let name = valid_name(name)?;
        let contract = self.ports.deployer.deploy(name, caller, network).await?;
        self.ports.chain.catch_up().await;
        let indexed = self.ports.orgs.find_by_address(contract).await?;
        let org = indexed
            .filter(|org| org.owner == caller)
            .ok_or(DeployError::Pending)?;
        self.enable_default_model(&org).await?;
        Ok((org, self.ports.orgs.count().await?))
    }

    /// The transaction by which the caller creates an organization itself.
    ///
    /// # Errors
    /// [`OrgError::Name`].
    pub fn creation(&self, caller: WalletAddress, name: &str) -> Result<UnsignedTransaction, OrgError> {
        Ok(self.ports.deployer.transaction(valid_name(name)?, caller))
    }

    /// A new organization starts with the default model enabled.
    async fn enable_default_model(&self, org: &Organization) -> Result<(), OrgError> {
        let at = self.ports.clock.now();
        Ok(self
            .ports
            .models
            .enable_default_model(org.id, self.default_model, at)
            .await?)
    }

    fn act(&self, caller: Caller) -> Act {
        caller.acts(self.ports.clock.now())
    }

    /// Changes the shown name.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table; [`OrgError::Name`].
    pub async fn rename(
        &self,
        caller: impl Into<Caller>,
        id: OrgId,
        name: &str,
    ) -> Result<Organization, OrgError> {
        let (caller, name) = (caller.into(), valid_name(name)?);
        self.authorize(caller.address, id, Action::ManageOrg).await?;
        self.ports
            .orgs
            .rename(id, name, self.act(caller))
            .await?
            .ok_or(OrgError::NotFound("organization"))
    }

    /// Deletes the organization: it accepts no new call and keeps settling.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table; [`OrgError::CallsInFlight`] while money is held for calls.
    pub async fn delete(&self, caller: impl Into<Caller>, id: OrgId) -> Result<Organization, OrgError> {
        let caller = caller.into();
        self.authorize(caller.address, id, Action::ManageOrgAdmins)
            .await?;
        if self.ports.calls.are_open(id).await? {
            return Err(OrgError::CallsInFlight);
        }
        self.ports
            .orgs
            .delete(id, self.act(caller))
            .await?
            .ok_or(OrgError::NotFound("organization"))
    }

    /// Members, newest first, without the owner; those of one role when it is given.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn members(
        &self,
        caller: WalletAddress,
        id: OrgId,
        role: Option<OrgRole>,
        page: Page,
    ) -> Result<Listed<OrgMember>, OrgError> {
        self.authorize(caller, id, Action::ReadOrg).await?;
        Ok(self.ports.members.members(id, role, page).await?)
    }

    /// Adds a member. Only the owner appoints admins.
    ///
    /// # Errors
    /// [`OrgError::AlreadyAMember`], [`OrgError::Owner`], and the rule table's.
    pub async fn add_member(
        &self,
        caller: impl Into<Caller>,
        id: OrgId,
        address: WalletAddress,
        role: OrgRole,
    ) -> Result<MemberChange, OrgError> {
        self.put_member(caller.into(), id, address, Edit::Add(role), role)
            .await
    }

    /// Changes a member's role. Only the owner appoints or demotes admins.
    ///
    /// # Errors
    /// [`OrgError::NotAMember`], [`OrgError::Owner`], and the rule table's.
    pub async fn change_member(
        &self,
        caller: impl Into<Caller>,
        id: OrgId,
        address: WalletAddress,
        role: OrgRole,
    ) -> Result<MemberChange, OrgError> {
        self.put_member(caller.into(), id, address, Edit::Change(role), role)
            .await
    }

    async fn put_member(
        &self,
        caller: Caller,
        id: OrgId,
        address: WalletAddress,
        edit: Edit<OrgRole>,
        role: OrgRole,
    ) -> Result<MemberChange, OrgError> {
        let access = self.authorize(caller.address, id, Action::ReadOrg).await?;
        let judge = members::of_organization(caller.address, address, edit);
        let act = self.act(caller);
        let member = self
            .ports
            .members
            .put_member(id, address, role, judge, act)
            .await?;
        Ok(self.changed(&access, member, Some(role)))
    }

    /// Removes a member and its project roles. Everybody but the owner may leave.
    ///
    /// # Errors
    /// [`OrgError::NotAMember`], [`OrgError::Owner`], and the rule table's.
    pub async fn remove_member(
        &self,
        caller: impl Into<Caller>,
        id: OrgId,
        address: WalletAddress,
    ) -> Result<MemberChange, OrgError> {
        let caller = caller.into();
        let access = self.authorize(caller.address, id, Action::ReadOrg).await?;
        let judge = members::of_organization(caller.address, address, Edit::Remove);
        let act = self.act(caller);
        let removed = self.ports.members.remove_member(id, address, judge, act).await?;
        let member = removed.ok_or(OrgError::NotAMember)?;
        Ok(self.changed(&access, member, None))
    }

    /// With the transaction that the owner has to sign, for the owner's eyes only.
    fn changed(&self, access: &OrgAccess, member: OrgMember, wanted: Option<OrgRole>) -> MemberChange {
        let wanted = ChainRole::from(wanted);
        let is_owners = access.standing.owner && course(wanted, member.on_chain) == Course::Owner;
        let call = OwnerCall::SetRole {
            account: member.address,
            role: wanted,
        };
        let org = &access.org;
        let transaction = is_owners.then(|| self.ports.transactions.encode(org.owner, org.address, call));
        MemberChange { member, transaction }
    }

    /// Models the organization enabled.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn models(&self, caller: WalletAddress, id: OrgId) -> Result<Vec<ModelId>, OrgError> {
        self.authorize(caller, id, Action::ReadOrg).await?;
        Ok(self.ports.models.models(id).await?)
    }

    /// Enables a model. That it exists is the catalogue's word, asked before.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn enable_model(
        &self,
        caller: impl Into<Caller>,
        id: OrgId,
        model: ModelId,
    ) -> Result<(), OrgError> {
        let caller = caller.into();
        self.authorize(caller.address, id, Action::ManageModelsAndProjects)
            .await?;
        Ok(self
            .ports
            .models
            .enable_model(id, model, self.act(caller))
            .await?)
    }

    /// Disables a model; a model that was not enabled is no error.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn disable_model(
        &self,
        caller: impl Into<Caller>,
        id: OrgId,
        model: ModelId,
    ) -> Result<(), OrgError> {
        let caller = caller.into();
        self.authorize(caller.address, id, Action::ManageModelsAndProjects)
            .await?;
        self.ports
            .models
            .disable_model(id, model, self.act(caller))
            .await?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "organizations_tests.rs"]
mod tests;
