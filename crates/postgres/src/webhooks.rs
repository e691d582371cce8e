//! Webhooks and their messages.

mod inbox;
mod rows;

pub use inbox::PgWebhookInbox;

use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    directory::audit::Line,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_encryption::EncryptionKey;
use haithe_inference::webhooks::{
    NewWebhook, Webhook, WebhookChange, WebhookId, WebhookSecret, WebhookStore,
};
use haithe_kernel::{Listed, Page, ProjectId, StoreError};
use haithe_orgs::{Act, AuditAction};
use rows::{Seals, select_webhooks};

/// [`WebhookStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgWebhookStore {
    db: Db,
    seals: Seals,
}

impl PgWebhookStore {
    /// The webhooks of this database, whose secrets are sealed under `key`.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            seals: Seals::new(key),
        }
    }
}

const FIND: &str = select_webhooks!("", "WHERE webhooks.project_id = $1 AND webhooks.id = $2");
const WITH_SECRET: &str = select_webhooks!(", webhooks.secret", "WHERE webhooks.id = $1");
const LIST: &str = select_webhooks!(
    "",
    "WHERE webhooks.project_id = $1 ORDER BY webhooks.created_at DESC, webhooks.id LIMIT $2 OFFSET $3"
);
const COUNT: &str = "SELECT count(*) FROM webhooks WHERE project_id = $1";
const CREATE: &str = "
    INSERT INTO webhooks (id, project_id, name, wallet_address, secret, delivery_url, created_at, rotated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
const CHANGE: &str = "UPDATE webhooks SET name = $1, delivery_url = $2, enabled = $3 WHERE id = $4";
const ROTATE: &str = "UPDATE webhooks SET secret = $1, wallet_address = $2, rotated_at = $3 WHERE id = $4";
const DELETE: &str = "DELETE FROM webhooks WHERE id = $1";

/// A webhook of a project.
fn find(project: ProjectId, id: WebhookId) -> Statement {
    sqlx::query(FIND).bind(project.0).bind(columns::uuid(id.0))
}

async fn found(
    write: &mut WriteTx,
    seals: &Seals,
    project: ProjectId,
    id: WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    let row = write.optional(find(project, id)).await?;
    row.as_ref().map(|row| seals.webhook(row)).transpose()
}

fn line(webhook: &Webhook, action: AuditAction) -> Line {
    Line::of(webhook.org, action)
        .project(webhook.project)
        .subject(webhook.id)
}

/// A webhook of a project, and who does something to it.
struct Target<T> {
    seals: Seals,
    project: ProjectId,
    id: WebhookId,
    what: T,
    act: Act,
}

async fn create(
    write: &mut WriteTx,
    (seals, new, most, act): &(Seals, NewWebhook, u32, Act),
) -> Result<Option<Webhook>, StoreError> {
    let count = write.one(sqlx::query(COUNT).bind(new.project.0)).await?;
    let count: u64 = Columns::of(&count).get("webhooks.count")?;
    if count >= u64::from(*most) {
        return Ok(None);
    }
    let create = sqlx::query(CREATE)
        .bind(columns::uuid(new.id.0))
        .bind(new.project.0)
        .bind(columns::text(new.name.as_str()))
        .bind(columns::address(act.by.address))
        .bind(seals.seal_secret(new.id, &new.secret)?)
        .bind(seals.seal_url(new.id, new.delivery_url.as_ref())?)
        .bind(act.at.micros());
    write.execute(create).await?;
    let made = found(write, seals, new.project, new.id).await?;
    let made = made.ok_or(StoreError::inconsistent("webhooks.project_id"))?;
    let line = line(&made, AuditAction::WebhookCreated).after(new.name.as_str());
    write.audit(act, line).await?;
    Ok(Some(made))
}

async fn change(write: &mut WriteTx, target: &Target<WebhookChange>) -> Result<Option<Webhook>, StoreError> {
    let Target { seals, id, .. } = target;
    let Some(before) = found(write, seals, target.project, *id).await? else {
        return Ok(None);
    };
    let change = target.what.clone();
    let text = change.to_string();
    let after = Webhook {
        name: change.name.unwrap_or_else(|| before.name.clone()),
        delivery_url: change.delivery_url.unwrap_or_else(|| before.delivery_url.clone()),
        enabled: change.enabled.unwrap_or(before.enabled),
        ..before.clone()
    };
    if after == before {
        return Ok(Some(after));
    }
    let update = sqlx::query(CHANGE)
        .bind(columns::text(after.name.as_str()))
        .bind(seals.seal_url(*id, after.delivery_url.as_ref())?)
        .bind(after.enabled)
        .bind(columns::uuid(id.0));
    write.execute(update).await?;
    let line = line(&after, AuditAction::WebhookChanged).after(text);
    write.audit(&target.act, line).await?;
    Ok(Some(after))
}

async fn rotate(write: &mut WriteTx, target: &Target<WebhookSecret>) -> Result<Option<Webhook>, StoreError> {
    let Target { seals, id, act, .. } = target;
    if write.optional(find(target.project, *id)).await?.is_none() {
        return Ok(None);
    }
    let update = sqlx::query(ROTATE)
        .bind(seals.seal_secret(*id, &target.what)?)
        .bind(columns::address(act.by.address))
        .bind(act.at.micros())
        .bind(columns::uuid(id.0));
    write.execute(update).await?;
    let Some(rotated) = found(write, seals, target.project, *id).await? else {
        return Ok(None);
    };
    write
        .audit(act, line(&rotated, AuditAction::WebhookRotated))
        .await?;
    Ok(Some(rotated))
}

async fn delete(write: &mut WriteTx, target: &Target<()>) -> Result<Option<Webhook>, StoreError> {
    let Some(row) = write.optional(find(target.project, target.id)).await? else {
        return Ok(None);
    };
    let webhook = target.seals.webhook_without_unreadable_url(&row)?;
    let delete = sqlx::query(DELETE).bind(columns::uuid(target.id.0));
    write.execute(delete).await?;
    let line = line(&webhook, AuditAction::WebhookDeleted).before(webhook.name.as_str());
    write.audit(&target.act, line).await?;
    Ok(Some(webhook))
}

impl PgWebhookStore {
    fn target<T>(&self, (project, id): (ProjectId, WebhookId), what: T, act: Act) -> Target<T> {
        Target {
            seals: self.seals.clone(),
            project,
            id,
            what,
            act,
        }
    }
}

#[async_trait]
impl WebhookStore for PgWebhookStore {
    async fn create(&self, new: NewWebhook, most: u32, act: Act) -> Result<Option<Webhook>, StoreError> {
        self.db
            .write((self.seals.clone(), new, most, act), |write, new| {
                Box::pin(create(write, new))
            })
            .await
    }

    async fn of_project(&self, project: ProjectId, page: Page) -> Result<Listed<Webhook>, StoreError> {
        let bound = |sql| sqlx::query(sql).bind(project.0);
        self.db
            .listed(bound(COUNT), (bound(LIST), page), |row| {
                self.seals.webhook_without_unreadable_url(row)
            })
            .await
    }

    async fn find(&self, project: ProjectId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = self.db.optional(find(project, id)).await?;
        row.as_ref().map(|row| self.seals.webhook(row)).transpose()
    }

    async fn change(
        &self,
        project: ProjectId,
        id: WebhookId,
        changes: WebhookChange,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError> {
        let target = self.target((project, id), changes, act);
        self.db
            .write(target, |write, target| Box::pin(change(write, target)))
            .await
    }

    async fn rotate(
        &self,
        project: ProjectId,
        id: WebhookId,
        secret: WebhookSecret,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError> {
        let target = self.target((project, id), secret, act);
        self.db
            .write(target, |write, target| Box::pin(rotate(write, target)))
            .await
    }

    async fn delete(
        &self,
        project: ProjectId,
        id: WebhookId,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError> {
        let target = self.target((project, id), (), act);
        self.db
            .write(target, |write, target| Box::pin(delete(write, target)))
            .await
    }

    async fn with_secret(&self, id: WebhookId) -> Result<Option<(Webhook, WebhookSecret)>, StoreError> {
        let find = sqlx::query(WITH_SECRET).bind(columns::uuid(id.0));
        let Some(row) = self.db.optional(find).await? else {
            return Ok(None);
        };
        Ok(Some((self.seals.webhook(&row)?, self.seals.secret(id, &row)?)))
    }
}
