//! Use case: managing a project's webhooks.

use super::{
    DeliveryUrl, Message, NewWebhook, Webhook, WebhookChange, WebhookError, WebhookId, WebhookInbox,
    WebhookName, WebhookSecret, WebhookStore,
};
use haithe_kernel::{Clock, Listed, Page, ProjectId, Random, StoreError, WalletAddress};
use haithe_orgs::{Action, Caller, Projects};
use std::sync::Arc;
use uuid::Builder;

/// What a new webhook is told.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on Webhook")]
pub struct WebhookInput {
    pub name: String,
    pub delivery_url: Option<String>,
}

/// A webhook with its secret, which is shown once.
#[derive(Debug, Clone)]
pub struct Revealed {
    /// The webhook.
    pub webhook: Webhook,
    /// What its senders sign with.
    pub secret: WebhookSecret,
}

/// Webhooks of a project; for whoever may configure it.
pub struct ProjectWebhooks {
    projects: Arc<Projects>,
    store: Arc<dyn WebhookStore>,
    inbox: Arc<dyn WebhookInbox>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    most: u32,
}

impl ProjectWebhooks {
    /// Composes the use case; a project has at most `most`.
    pub fn new(
        projects: Arc<Projects>,
        store: Arc<dyn WebhookStore>,
        inbox: Arc<dyn WebhookInbox>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        most: u32,
    ) -> Self {
        Self {
            projects,
            store,
            inbox,
            clock,
            random,
            most,
        }
    }

    async fn authorize(&self, caller: WalletAddress, project: ProjectId) -> Result<(), WebhookError> {
        self.projects
            .authorize(caller, project, Action::ConfigureProject)
            .await?;
        Ok(())
    }

    /// Makes one, which acts for the caller.
    ///
    /// # Errors
    /// [`WebhookError::TooMany`], what is wrong with the input, and the rule table's.
    pub async fn create(
        &self,
        caller: impl Into<Caller>,
        project: ProjectId,
        input: WebhookInput,
    ) -> Result<Revealed, WebhookError> {
        let caller = caller.into();
        self.authorize(caller.address, project).await?;
        let secret = self.fresh_secret()?;
        let new = NewWebhook {
            id: WebhookId(Builder::from_random_bytes(self.random.bytes16()).into_uuid()),
            project,
            name: input.name.parse()?,
            delivery_url: input.delivery_url.map(|url| url.parse()).transpose()?,
            secret: secret.clone(),
        };
        let act = caller.acts(self.clock.now());
        let made = self.store.create(new, self.most, act).await?;
        let webhook = made.ok_or(WebhookError::TooMany { most: self.most })?;
        Ok(Revealed { webhook, secret })
    }

    fn fresh_secret(&self) -> Result<WebhookSecret, WebhookError> {
        WebhookSecret::new(self.random.bytes32().to_vec()).map_err(|error| StoreError::new(error).into())
    }

    /// Those of a project, newest first.
    ///
    /// # Errors
    /// The rule table's.
    pub async fn list(
        &self,
        caller: WalletAddress,
        project: ProjectId,
        page: Page,
    ) -> Result<Listed<Webhook>, WebhookError> {
        self.authorize(caller, project).await?;
        Ok(self.store.of_project(project, page).await?)
    }

    /// One of a project.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`] and the rule table's.
    pub async fn show(
        &self,
        caller: WalletAddress,
        project: ProjectId,
        id: WebhookId,
    ) -> Result<Webhook, WebhookError> {
        self.authorize(caller, project).await?;
        let found = self.store.find(project, id).await?;
        found.ok_or(WebhookError::NotFound)
    }

    /// Its messages of the last days, newest first, without what was said.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`] and the rule table's.
    pub async fn messages(
        &self,
        caller: WalletAddress,
        project: ProjectId,
        id: WebhookId,
        page: Page,
    ) -> Result<Listed<Message>, WebhookError> {
        let webhook = self.show(caller, project, id).await?;
        Ok(self.inbox.list(webhook.id, page).await?)
    }

    /// Changes name, delivery address or whether it answers.
    ///
    /// # Errors
    /// [`WebhookError::NothingToChange`], [`WebhookError::NotFound`], what is wrong with the input, and
    /// the rule table's.
    pub async fn change(
        &self,
        caller: impl Into<Caller>,
        project: ProjectId,
        id: WebhookId,
        name: Option<String>,
        delivery_url: Option<Option<String>>,
        enabled: Option<bool>,
    ) -> Result<Webhook, WebhookError> {
        let caller = caller.into();
        self.authorize(caller.address, project).await?;
        let name: Option<WebhookName> = name.map(|name| name.parse()).transpose()?;
        let delivery_url: Option<Option<DeliveryUrl>> = delivery_url
            .map(|url| url.map(|url| url.parse()).transpose())
            .transpose()?;
        let change = WebhookChange {
            name,
            delivery_url,
            enabled,
        };
        if change == WebhookChange::default() {
            return Err(WebhookError::NothingToChange);
        }
        let act = caller.acts(self.clock.now());
        let changed = self.store.change(project, id, change, act).await?;
        changed.ok_or(WebhookError::NotFound)
    }

    /// Gives it a new secret, at once; from now on it acts for the caller.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`] and the rule table's.
    pub async fn rotate(
        &self,
        caller: impl Into<Caller>,
        project: ProjectId,
        id: WebhookId,
    ) -> Result<Revealed, WebhookError> {
        let caller = caller.into();
        self.authorize(caller.address, project).await?;
        let secret = self.fresh_secret()?;
        let act = caller.acts(self.clock.now());
        let rotated = self.store.rotate(project, id, secret.clone(), act).await?;
        let webhook = rotated.ok_or(WebhookError::NotFound)?;
        Ok(Revealed { webhook, secret })
    }

    /// Deletes it; answers that wait for delivery go with it.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`] and the rule table's.
    pub async fn delete(
        &self,
        caller: impl Into<Caller>,
        project: ProjectId,
        id: WebhookId,
    ) -> Result<Webhook, WebhookError> {
        let caller = caller.into();
        self.authorize(caller.address, project).await?;
        let act = caller.acts(self.clock.now());
        let deleted = self.store.delete(project, id, act).await?;
        deleted.ok_or(WebhookError::NotFound)
    }
}
