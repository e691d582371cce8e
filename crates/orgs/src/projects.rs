//! Use cases over projects and their members.

use crate::{
    audit::Caller,
    error::OrgError,
    members::{self, Edit},
    model::{
        NewProject, Organization, PriceNotice, Project, ProjectChange, ProjectMember, ProjectRole, Search,
        Standing,
    },
    organizations::{Organizations, valid_name},
    policy::{Action, allows},
    ports::{OrgSettingsStore, OrgStore, ProjectStore, StandingStore},
};
use haithe_kernel::{Clock, Listed, ModelId, OrgId, Page, ProjectId, ProjectUid, Random, WalletAddress};
use std::sync::Arc;

/// Most messages of memory put before the model.
const MOST_MEMORY: u8 = 100;
/// Longest retention of memory, in days.
const LONGEST_RETENTION: u16 = 3650;

/// A caller who passed the rule table for one project.
#[derive(Debug, Clone)]
pub struct ProjectAccess {
    /// The project.
    pub project: Project,
    /// The organization that owns it.
    pub org: Organization,
    /// What the caller is to both.
    pub standing: Standing,
}

/// What [`Projects`] needs from outside.
pub struct ProjectPorts {
    /// Projects and their members.
    pub projects: Arc<dyn ProjectStore>,
    /// Organizations.
    pub orgs: Arc<dyn OrgStore>,
    /// What wallets are to organizations and projects.
    pub standings: Arc<dyn StandingStore>,
    /// The settings that a new project starts with.
    pub settings: Arc<dyn OrgSettingsStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes identifiers.
    pub random: Arc<dyn Random>,
}

/// Projects and their members.
pub struct Projects {
    ports: ProjectPorts,
    organizations: Arc<Organizations>,
    default_model: ModelId,
    notice: PriceNotice,
}

impl Projects {
    /// Composes the use case.
    pub const fn new(
        ports: ProjectPorts,
        organizations: Arc<Organizations>,
        default_model: ModelId,
        notice: PriceNotice,
    ) -> Self {
        Self {
            ports,
            organizations,
            default_model,
            notice,
        }
    }

    /// The project, if the caller may do this to it. A plain member of the organization sees that
    /// the project exists (it is in the organization's list), so it gets a refusal, not a 404.
    ///
    /// # Errors
    /// [`OrgError::NotFound`] for strangers and for missing ones alike, [`OrgError::Forbidden`] for
    /// a role that is not enough.
    pub async fn authorize(
        &self,
        caller: WalletAddress,
        id: ProjectId,
        action: Action,
    ) -> Result<ProjectAccess, OrgError> {
        let missing = || OrgError::NotFound("project");
        let project = self.ports.projects.find(id).await?.ok_or_else(missing)?;
        let standing = self
            .ports
            .standings
            .standing(project.org, Some(id), caller)
            .await?;
        if !allows(standing, Action::ReadOrg) {
            return Err(missing());
        }
        if !allows(standing, action) {
            return Err(OrgError::Forbidden);
        }
        let org = self.ports.orgs.find(project.org).await?.ok_or_else(missing)?;
        Ok(ProjectAccess {
            project,
            org,
            standing,
        })
    }

    /// Creates a project with the organization's default model.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table; [`OrgError::Name`], [`OrgError::ProjectNameTaken`].
    pub async fn create(
        &self,
        caller: impl Into<Caller>,
        org: OrgId,
        name: &str,
    ) -> Result<Project, OrgError> {
        let (caller, name) = (caller.into(), valid_name(name)?);
        self.organizations
            .authorize(caller.address, org, Action::ManageModelsAndProjects)
            .await?;
        let settings = self.ports.settings.settings(org).await?;
        let now = self.ports.clock.now();
        let uid = ProjectUid::new(uuid::Builder::from_random_bytes(self.ports.random.bytes16()).into_uuid());
        let new = NewProject {
            uid,
            org,
            name,
            default_model: settings.default_model.unwrap_or(self.default_model),
            created_at: now,
        };
        self.ports.projects.create(new, caller.acts(now)).await
    }

    /// Projects of an organization, newest first.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn of_org(
        &self,
        caller: WalletAddress,
        org: OrgId,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, OrgError> {
        self.organizations.authorize(caller, org, Action::ReadOrg).await?;
        Ok(self.ports.projects.of_org(org, name, page).await?)
    }

    /// Projects the wallet has a role in, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_wallet(
        &self,
        caller: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, OrgError> {
        Ok(self.ports.projects.of_wallet(caller, name, page).await?)
    }

    /// Changes configuration; the price and the public flag need more than the rest. A lower price acts at
    /// once, a higher one after the [`PriceNotice`].
    ///
    /// # Errors
    /// [`OrgError::NothingToChange`], [`OrgError::Setting`], [`OrgError::ProjectNameTaken`], and the rule
    /// table's.
    pub async fn change(
        &self,
        caller: impl Into<Caller>,
        id: ProjectId,
        mut change: ProjectChange,
    ) -> Result<Project, OrgError> {
        let caller = caller.into();
        let offers = change.price_per_call.is_some() || change.public.is_some();
        let action = if offers {
            Action::ManageProject
        } else {
            Action::ConfigureProject
        };
        self.authorize(caller.address, id, action).await?;
        if change == ProjectChange::default() {
            return Err(OrgError::NothingToChange);
        }
        if let Some(name) = &change.name {
            change.name = Some(valid_name(name)?);
        }
        if change.memory_window.is_some_and(|window| window > MOST_MEMORY) {
            return Err(OrgError::Setting("memory_window must be 0 to 100 messages"));
        }
        if change
            .memory_retention_days
            .flatten()
            .is_some_and(|days| days == 0 || days > LONGEST_RETENTION)
        {
            return Err(OrgError::Setting(
                "memory_retention_days must be 1 to 3650 days, or null to keep memory",
            ));
        }
        if change
            .price_per_call
            .is_some_and(haithe_kernel::Usdt::is_negative)
        {
            return Err(OrgError::Setting("price_per_call must not be negative"));
        }
        self.ports
            .projects
            .change(id, change, self.notice, caller.acts(self.ports.clock.now()))
            .await?
            .ok_or(OrgError::NotFound("project"))
    }

    /// Deletes it; its usage records and receipts stay.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn delete(&self, caller: impl Into<Caller>, id: ProjectId) -> Result<Project, OrgError> {
        let caller = caller.into();
        self.authorize(caller.address, id, Action::ManageProject).await?;
        let deleted = self
            .ports
            .projects
            .delete(id, caller.acts(self.ports.clock.now()))
            .await?;
        deleted.ok_or(OrgError::NotFound("project"))
    }

    /// Members, newest first; those of one role when it is given.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn members(
        &self,
        caller: WalletAddress,
        id: ProjectId,
        role: Option<ProjectRole>,
        page: Page,
    ) -> Result<Listed<ProjectMember>, OrgError> {
        self.authorize(caller, id, Action::ReadProject).await?;
        Ok(self.ports.projects.members(id, role, page).await?)
    }

    /// Adds a member.
    ///
    /// # Errors
    /// [`OrgError::AlreadyAMember`] and the rule table's.
    pub async fn add_member(
        &self,
        caller: impl Into<Caller>,
        id: ProjectId,
        address: WalletAddress,
        role: ProjectRole,
    ) -> Result<ProjectMember, OrgError> {
        self.put_member(caller.into(), id, address, Edit::Add(role), role)
            .await
    }

    /// Changes a member's role.
    ///
    /// # Errors
    /// [`OrgError::NotAMember`] and the rule table's.
    pub async fn change_member(
        &self,
        caller: impl Into<Caller>,
        id: ProjectId,
        address: WalletAddress,
        role: ProjectRole,
    ) -> Result<ProjectMember, OrgError> {
        self.put_member(caller.into(), id, address, Edit::Change(role), role)
            .await
    }

    async fn put_member(
        &self,
        caller: Caller,
        id: ProjectId,
        address: WalletAddress,
        edit: Edit<ProjectRole>,
        role: ProjectRole,
    ) -> Result<ProjectMember, OrgError> {
        let judge = members::of_project(caller.address, address, edit);
        let act = caller.acts(self.ports.clock.now());
        self.ports
            .projects
            .put_member(id, address, role, judge, act)
            .await
    }

    /// Removes a member. Everybody may leave.
    ///
    /// # Errors
    /// [`OrgError::NotAMember`] and the rule table's.
    pub async fn remove_member(
        &self,
        caller: impl Into<Caller>,
        id: ProjectId,
        address: WalletAddress,
    ) -> Result<ProjectMember, OrgError> {
        let caller = caller.into();
        let judge = members::of_project(caller.address, address, Edit::Remove);
        let act = caller.acts(self.ports.clock.now());
        let removed = self.ports.projects.remove_member(id, address, judge, act).await?;
        removed.ok_or(OrgError::NotAMember)
    }
}
