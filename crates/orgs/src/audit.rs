//! Who did what, and when. Every write names its [`Act`]; the store keeps it in the same transaction.

use crate::ports::AuditStore;
use crate::{Action, OrgError, Organizations};
use haithe_kernel::{ClientIp, Listed, OrgId, Page, ProjectId, Timestamp, WalletAddress};
use std::sync::Arc;

/// A wallet that asks for something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The wallet.
    pub address: WalletAddress,
    /// Where the request came from, as far as that is known.
    pub ip: Option<ClientIp>,
    /// The request's id.
    pub request: Option<String>,
}

impl Caller {
    /// What the caller does now.
    pub fn acts(self, at: Timestamp) -> Act {
        Act { by: self, at }
    }
}

impl From<WalletAddress> for Caller {
    fn from(address: WalletAddress) -> Self {
        Self {
            address,
            ip: None,
            request: None,
        }
    }
}

/// Somebody does something at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub by: Caller,
    /// When.
    pub at: Timestamp,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction { $($(#[$doc])* $variant),+ }

        impl AuditAction {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for AuditAction {
            type Err = UnknownAction;
            fn from_str(text: &str) -> Result<Self, UnknownAction> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(UnknownAction) }
            }
        }
    };
}

/// An action that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown action: one is organization.renamed, member.added or project.changed")]
pub struct UnknownAction;

actions!(
    /// The organization's shown name.
    OrganizationRenamed = "organization.renamed",
    /// The organization was deleted.
    OrganizationDeleted = "organization.deleted",
    /// The organization's settings.
    SettingsChanged = "settings.changed",
    /// A wallet became a member.
    MemberAdded = "member.added",
    /// A member's role.
    MemberChanged = "member.changed",
    /// A wallet is no member any more.
    MemberRemoved = "member.removed",
    /// A model may be called.
    ModelEnabled = "model.enabled",
    /// A model may not be called any more.
    ModelDisabled = "model.disabled",
    /// A new project.
    ProjectCreated = "project.created",
    /// A project's configuration, price or public flag.
    ProjectChanged = "project.changed",
    /// Another organization's public project was accepted, or its maximum price changed.
    ProjectAccepted = "accepted_project.added",
    /// Another organization's public project is not accepted any more.
    ProjectAcceptanceWithdrawn = "accepted_project.removed",
    /// A project was deleted.
    ProjectDeleted = "project.deleted",
    /// A wallet got a role in a project.
    ProjectMemberAdded = "project_member.added",
    /// A role in a project.
    ProjectMemberChanged = "project_member.changed",
    /// A wallet lost its role in a project.
    ProjectMemberRemoved = "project_member.removed",
    /// A project's bot got a token.
    BotConfigured = "bot.configured",
    /// A project's bot lost its token.
    BotRemoved = "bot.removed",
    /// A project got a webhook.
    WebhookCreated = "webhook.created",
    /// A webhook's name, delivery address or whether it answers.
    WebhookChanged = "webhook.changed",
    /// A webhook got other secrets, and acts for another wallet.
    WebhookRotated = "webhook.rotated",
    /// A webhook was deleted.
    WebhookDeleted = "webhook.deleted",
    /// A project uses a product, or follows its updates or not.
    ProductEnabled = "product.enabled",
    /// A project does not use a product any more.
    ProductDisabled = "product.disabled",
    /// A project uses other content of a product.
    ProductContentAccepted = "product.content_accepted",
);

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Grows with every line.
    pub id: i64,
    /// Who, when, and from where.
    pub act: Act,
    /// What.
    pub action: AuditAction,
    /// In which project, for actions on one.
    pub project: Option<ProjectId>,
    /// The wallet, model, product, platform or webhook it was done to.
    pub subject: Option<String>,
    /// What was so before.
    pub before: Option<String>,
    /// What is so since.
    pub after: Option<String>,
}

/// Use case: reading the audit.
pub struct Audit {
    organizations: Arc<Organizations>,
    store: Arc<dyn AuditStore>,
}

impl Audit {
    /// Composes the use case.
    pub fn new(organizations: Arc<Organizations>, store: Arc<dyn AuditStore>) -> Self {
        Self { organizations, store }
    }

    /// What was done in an organization, newest first; for its owner and its admins.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn of_org(
        &self,
        caller: WalletAddress,
        org: OrgId,
        action: Option<AuditAction>,
        page: Page,
    ) -> Result<Listed<AuditEntry>, OrgError> {
        self.organizations
            .authorize(caller, org, Action::ReadAdministration)
            .await?;
        Ok(self.store.of_org(org, action, page).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_from_its_word() {
        for action in AuditAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert_eq!("member.eaten".parse::<AuditAction>(), Err(UnknownAction));
    }
}
