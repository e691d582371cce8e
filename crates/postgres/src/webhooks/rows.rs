//! Between rows of `webhooks` and webhooks, whose secret and delivery address are sealed.

use crate::columns::Columns;
use haithe_encryption::{EncryptionKey, SealedBox};
use haithe_inference::webhooks::{DeliveryUrl, Webhook, WebhookId, WebhookSecret};
use haithe_kernel::StoreError;
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// What seals a webhook's secret and its delivery address.
#[derive(Clone)]
pub(super) struct Seals {
    secret: Arc<SealedBox>,
    url: Arc<SealedBox>,
}

/// The columns of a webhook whose project exists, more columns, and what follows the tables.
macro_rules! select_webhooks {
    ($also:literal, $rest:literal) => {
        concat!(
            "SELECT webhooks.id AS webhook_id, webhooks.project_id, projects.project_uid, projects.org_id,
                    organizations.organization_uid, webhooks.name, webhooks.wallet_address,
                    webhooks.delivery_url, webhooks.enabled, webhooks.created_at, webhooks.rotated_at ",
            $also,
            " FROM webhooks
              JOIN projects ON projects.id = webhooks.project_id AND NOT projects.deleted
              JOIN organizations ON organizations.id = projects.org_id
                   AND organizations.on_chain AND organizations.deleted_at IS NULL ",
            $rest
        )
    };
}
pub(super) use select_webhooks;

impl Seals {
    pub(super) fn new(key: &EncryptionKey) -> Self {
        Self {
            secret: Arc::new(SealedBox::new(key, "haithe/webhook-secret")),
            url: Arc::new(SealedBox::new(key, "haithe/webhook-url")),
        }
    }

    pub(super) fn seal_secret(&self, id: WebhookId, secret: &WebhookSecret) -> Result<Vec<u8>, StoreError> {
        self.secret
            .seal(id.0.as_bytes(), secret.expose())
            .map_err(StoreError::new)
    }

    /// The secret of a webhook, from a row with the column `secret`.
    pub(super) fn secret(&self, id: WebhookId, row: &PgRow) -> Result<WebhookSecret, StoreError> {
        let sealed: Vec<u8> = Columns::of(row).get("webhooks.secret")?;
        let bytes = self
            .secret
            .open(id.0.as_bytes(), &sealed)
            .map_err(StoreError::new)?;
        WebhookSecret::new(bytes).map_err(|_| StoreError::inconsistent("webhooks.secret"))
    }

    pub(super) fn seal_url(
        &self,
        id: WebhookId,
        url: Option<&DeliveryUrl>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
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

    pub(super) fn webhook(&self, row: &PgRow) -> Result<Webhook, StoreError> {
        read(row, |id, url| self.open_url(id, url))
    }

    /// For lists and for deleting: a delivery address that does not open is left out, so that one row neither hides
    /// the others nor stays for ever.
    pub(super) fn webhook_without_unreadable_url(&self, row: &PgRow) -> Result<Webhook, StoreError> {
        read(row, |id, url| match self.open_url(id, url) {
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

fn read(
    row: &PgRow,
    open_url: impl FnOnce(WebhookId, Option<Vec<u8>>) -> Result<Option<DeliveryUrl>, StoreError>,
) -> Result<Webhook, StoreError> {
    let columns = Columns::of(row);
    let id = WebhookId(columns.get("webhooks.webhook_id")?);
    let name: String = columns.get("webhooks.name")?;
    Ok(Webhook {
        id,
        project: columns.get("webhooks.project_id")?,
        project_uid: columns.get("projects.project_uid")?,
        org: columns.get("projects.org_id")?,
        org_uid: columns.get("organizations.organization_uid")?,
        name: name
            .parse()
            .map_err(|_| StoreError::inconsistent("webhooks.name"))?,
        wallet: columns.get("webhooks.wallet_address")?,
        delivery_url: open_url(id, columns.get("webhooks.delivery_url")?)?,
        enabled: columns.get("webhooks.enabled")?,
        created_at: columns.get("webhooks.created_at")?,
        rotated_at: columns.get("webhooks.rotated_at")?,
    })
}
