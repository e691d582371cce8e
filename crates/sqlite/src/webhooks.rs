//! Webhooks and their messages.

mod inbox;

pub use inbox::SqliteWebhookInbox;

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
    directory::audit::Line,
};
use async_trait::async_trait;
use haithe_encryption::{EncryptionKey, SealedBox};
use haithe_inference::webhooks::{
    DeliveryUrl, NewWebhook, Webhook, WebhookChange, WebhookId, WebhookSecret, WebhookStore,
};
use haithe_kernel::{Listed, Page, ProjectId, StoreError};
use haithe_orgs::{Act, AuditAction};
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;

/// [`WebhookStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteWebhookStore {
    db: Db,
    seals: Seals,
}

impl SqliteWebhookStore {
    /// The webhooks of this database, whose secrets are sealed under `key`.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            seals: Seals::new(key),
        }
    }
}

/// What seals a webhook's secret and its delivery address.
#[derive(Clone)]
struct Seals {
    secret: Arc<SealedBox>,
    url: Arc<SealedBox>,
}

impl Seals {
    fn new(key: &EncryptionKey) -> Self {
        Self {
            secret: Arc::new(SealedBox::new(key, "haithe/webhook-secret")),
            url: Arc::new(SealedBox::new(key, "haithe/webhook-url")),
        }
    }

    fn seal_secret(&self, id: WebhookId, secret: &WebhookSecret) -> Result<Vec<u8>, StoreError> {
        self.secret
            .seal(id.0.as_bytes(), secret.expose())
            .map_err(StoreError::new)
    }

    fn open_secret(&self, id: WebhookId, sealed: &[u8]) -> Result<WebhookSecret, StoreError> {
        let bytes = self
            .secret
            .open(id.0.as_bytes(), sealed)
            .map_err(StoreError::new)?;
        WebhookSecret::new(bytes).map_err(|_| StoreError::inconsistent("webhooks.secret"))
    }

    fn seal_url(&self, id: WebhookId, url: Option<&DeliveryUrl>) -> Result<Option<Vec<u8>>, StoreError> {
        url.map(|url| self.url.seal(id.0.as_bytes(), url.as_str().as_bytes()))
            .transpose()
            .map_err(StoreError::new)
    }

    fn open_url(&self, id: WebhookId, sealed: Option<Vec<u8>>) -> Result<Option<DeliveryUrl>, StoreError> {
        let inconsistent = || StoreError::inconsistent("webhooks.delivery_url");
        let open = |sealed: Vec<u8>| {
            let bytes = self.url.open(id.0.as_bytes(), &sealed).map_err(StoreError::new)?;
            let text = String::from_utf8(bytes).map_err(|_| inconsistent())?;
            text.parse().map_err(|_| inconsistent())
        };
        sealed.map(open).transpose()
    }

    /// Reads a webhook from the columns of `with_columns!`.
    fn read(&self, columns: &Columns<'_>) -> Result<Webhook, StoreError> {
        self.read_by(columns, |id, url| self.open_url(id, url))
    }

    fn read_by(
        &self,
        columns: &Columns<'_>,
        open_url: impl FnOnce(WebhookId, Option<Vec<u8>>) -> Result<Option<DeliveryUrl>, StoreError>,
    ) -> Result<Webhook, StoreError> {
        let id = WebhookId(columns.get("webhooks.id")?);
        let project = columns.get("webhooks.project_id")?;
        let project_uid = columns.get("projects.project_uid")?;
        let org = columns.get("projects.org_id")?;
        let org_uid = columns.get("organizations.organization_uid")?;
        let name: String = columns.get("webhooks.name")?;
        let wallet = columns.get("webhooks.wallet_address")?;
        let url = columns.get("webhooks.delivery_url")?;
        Ok(Webhook {
            id,
            project,
            project_uid,
            org,
            org_uid,
            name: name
                .parse()
                .map_err(|_| StoreError::inconsistent("webhooks.name"))?,
            wallet,
            delivery_url: open_url(id, url)?,
            enabled: columns.get("webhooks.enabled")?,
            created_at: columns.get("webhooks.created_at")?,
            rotated_at: columns.get("webhooks.rotated_at")?,
        })
    }

    fn webhook(&self, row: &SqliteRow) -> Result<Webhook, StoreError> {
        self.read(&Columns::of(row))
    }

    /// For lists and for deleting: a delivery address that does not open is left out, so that one row
    /// neither hides the others nor stays for ever.
    fn webhook_or_less(&self, row: &SqliteRow) -> Result<Webhook, StoreError> {
        self.read_by(&Columns::of(row), |id, url| match self.open_url(id, url) {
            Ok(url) => Ok(url),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    webhook = %id,
                    "webhook delivery address cannot be read"
                );
                Ok(None)
            }
        })
    }
}

/// The columns that [`Seals::read`] reads, of webhooks whose project is there, and what comes behind.
macro_rules! with_columns {
    ($also:literal, $rest:literal) => {
        concat!(
            "SELECT webhooks.id, webhooks.project_id, projects.project_uid, projects.org_id,
                    organizations.organization_uid, webhooks.name, webhooks.wallet_address,
                    webhooks.delivery_url, webhooks.enabled, webhooks.created_at, webhooks.rotated_at ",
            $also,
            " FROM webhooks
              JOIN projects ON projects.id = webhooks.project_id AND projects.deleted = 0
              JOIN organizations ON organizations.id = projects.org_id
                   AND organizations.on_chain = 1 AND organizations.deleted_at IS NULL ",
            $rest
        )
    };
}
use with_columns;

const FIND: &str = with_columns!("", "WHERE webhooks.project_id = ?1 AND webhooks.id = ?2");

async fn found(
    write: &mut WriteTx<'_>,
    seals: &Seals,
    project: ProjectId,
    id: WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    let find = sqlx::query(FIND).bind(project.0).bind(columns::uuid(id.0));
    let row = write.optional(find).await?;
    row.as_ref().map(|row| seals.webhook(row)).transpose()
}

fn line(webhook: &Webhook, action: AuditAction) -> Line {
    Line::of(webhook.org, action)
        .project(webhook.project)
        .subject(webhook.id)
}

async fn create(
    write: &mut WriteTx<'_>,
    seals: &Seals,
    new: NewWebhook,
    most: u32,
    act: &Act,
) -> Result<Option<Webhook>, StoreError> {
    let count =
        sqlx::query("SELECT count(*) AS count FROM webhooks WHERE project_id = ?").bind(new.project.0);
    let row = write.optional(count).await?;
    let count: u64 = match &row {
        Some(row) => Columns::of(row).get_as("count", "webhooks.id")?,
        None => 0,
    };
    if count >= u64::from(most) {
        return Ok(None);
    }
    let insert = "INSERT INTO webhooks
                      (id, project_id, name, wallet_address, secret, delivery_url, created_at, rotated_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)";
    let statement = sqlx::query(insert)
        .bind(columns::uuid(new.id.0))
        .bind(new.project.0)
        .bind(new.name.as_str().to_owned())
        .bind(columns::address(act.by.address))
        .bind(seals.seal_secret(new.id, &new.secret)?)
        .bind(seals.seal_url(new.id, new.delivery_url.as_ref())?)
        .bind(act.at.micros());
    write.execute(statement).await?;
    let made = found(write, seals, new.project, new.id).await?;
    let made = made.ok_or(StoreError::inconsistent("webhooks.project_id"))?;
    let line = line(&made, AuditAction::WebhookCreated).after(new.name.as_str());
    write.audit(act, line).await?;
    Ok(Some(made))
}

async fn change(
    write: &mut WriteTx<'_>,
    seals: &Seals,
    project: ProjectId,
    id: WebhookId,
    change: WebhookChange,
    act: &Act,
) -> Result<Option<Webhook>, StoreError> {
    let Some(before) = found(write, seals, project, id).await? else {
        return Ok(None);
    };
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
    let update = "UPDATE webhooks SET name = ?, delivery_url = ?, enabled = ? WHERE id = ?";
    let statement = sqlx::query(update)
        .bind(after.name.as_str().to_owned())
        .bind(seals.seal_url(id, after.delivery_url.as_ref())?)
        .bind(after.enabled)
        .bind(columns::uuid(id.0));
    write.execute(statement).await?;
    write
        .audit(act, line(&after, AuditAction::WebhookChanged).after(text))
        .await?;
    Ok(Some(after))
}

async fn rotate(
    write: &mut WriteTx<'_>,
    seals: &Seals,
    project: ProjectId,
    id: WebhookId,
    secret: &WebhookSecret,
    act: &Act,
) -> Result<Option<Webhook>, StoreError> {
    if found(write, seals, project, id).await?.is_none() {
        return Ok(None);
    }
    let update = "UPDATE webhooks SET secret = ?, wallet_address = ?, rotated_at = ? WHERE id = ?";
    let statement = sqlx::query(update)
        .bind(seals.seal_secret(id, secret)?)
        .bind(columns::address(act.by.address))
        .bind(act.at.micros())
        .bind(columns::uuid(id.0));
    write.execute(statement).await?;
    let Some(rotated) = found(write, seals, project, id).await? else {
        return Ok(None);
    };
    write
        .audit(act, line(&rotated, AuditAction::WebhookRotated))
        .await?;
    Ok(Some(rotated))
}

async fn delete(
    write: &mut WriteTx<'_>,
    seals: &Seals,
    project: ProjectId,
    id: WebhookId,
    act: &Act,
) -> Result<Option<Webhook>, StoreError> {
    let find = sqlx::query(FIND).bind(project.0).bind(columns::uuid(id.0));
    let Some(row) = write.optional(find).await? else {
        return Ok(None);
    };
    let webhook = seals.webhook_or_less(&row)?;
    let delete = sqlx::query("DELETE FROM webhooks WHERE id = ?").bind(columns::uuid(id.0));
    write.execute(delete).await?;
    let line = line(&webhook, AuditAction::WebhookDeleted).before(webhook.name.as_str());
    write.audit(act, line).await?;
    Ok(Some(webhook))
}

#[async_trait]
impl WebhookStore for SqliteWebhookStore {
    async fn create(&self, new: NewWebhook, most: u32, act: Act) -> Result<Option<Webhook>, StoreError> {
        let seals = self.seals.clone();
        self.db
            .write(move |write| Box::pin(async move { create(write, &seals, new, most, &act).await }))
            .await
    }

    async fn of_project(&self, project: ProjectId, page: Page) -> Result<Listed<Webhook>, StoreError> {
        let count =
            sqlx::query("SELECT count(*) AS count FROM webhooks WHERE project_id = ?").bind(project.0);
        let find = with_columns!(
            "",
            "WHERE webhooks.project_id = ? ORDER BY webhooks.created_at DESC, webhooks.id LIMIT ? OFFSET ?"
        );
        let find = sqlx::query(find)
            .bind(project.0)
            .bind(page.limit())
            .bind(page.offset());
        self.db
            .listed(count, find, |row| self.seals.webhook_or_less(row))
            .await
    }

    async fn find(&self, project: ProjectId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let find = sqlx::query(FIND).bind(project.0).bind(columns::uuid(id.0));
        let row = self.db.optional(find).await?;
        row.as_ref().map(|row| self.seals.webhook(row)).transpose()
    }

    async fn change(
        &self,
        project: ProjectId,
        id: WebhookId,
        changes: WebhookChange,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError> {
        let seals = self.seals.clone();
        self.db
            .write(move |write| {
                Box::pin(async move { change(write, &seals, project, id, changes, &act).await })
            })
            .await
    }

    async fn rotate(
        &self,
        project: ProjectId,
        id: WebhookId,
        secret: WebhookSecret,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError> {
        let seals = self.seals.clone();
        self.db
            .write(move |write| {
                Box::pin(async move { rotate(write, &seals, project, id, &secret, &act).await })
            })
            .await
    }

    async fn delete(
        &self,
        project: ProjectId,
        id: WebhookId,
        act: Act,
    ) -> Result<Option<Webhook>, StoreError> {
        let seals = self.seals.clone();
        self.db
            .write(move |write| Box::pin(async move { delete(write, &seals, project, id, &act).await }))
            .await
    }

    async fn with_secret(&self, id: WebhookId) -> Result<Option<(Webhook, WebhookSecret)>, StoreError> {
        let find = with_columns!(", webhooks.secret", "WHERE webhooks.id = ?");
        let Some(row) = self
            .db
            .optional(sqlx::query(find).bind(columns::uuid(id.0)))
            .await?
        else {
            return Ok(None);
        };
        let columns = Columns::of(&row);
        let webhook = self.seals.read(&columns)?;
        let sealed: Vec<u8> = columns.get("webhooks.secret")?;
        Ok(Some((webhook, self.seals.open_secret(id, &sealed)?)))
    }
}
