//! [`WebhookInbox`] on SQLite.

use super::{Seals, with_columns};
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use bytes::Bytes;
use haithe_encryption::{EncryptionKey, SealedBox};
use haithe_inference::webhooks::{
    Delivery, Due, EventId, EventKey, Message, MessageState, NewEvent, Outcome, Received, WebhookId,
    WebhookInbox,
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp};
use sqlx::{Row, sqlite::SqliteRow};
use std::sync::Arc;
use uuid::Uuid;

/// Deliveries of one webhook at the same time: a slow receiver holds nobody else up.
const AT_ONCE: u32 = 4;

/// [`WebhookInbox`] on SQLite.
#[derive(Clone)]
pub struct SqliteWebhookInbox {
    db: Db,
    seals: Seals,
    content: Content,
}

impl SqliteWebhookInbox {
    /// The messages in this database, whose answers are sealed under `key`.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            seals: Seals::new(key),
            content: Content(Arc::new(SealedBox::new(key, "haithe/webhook-answer"))),
        }
    }

    /// What a row of [`DUE`] says; `None` for one that not even says which message it is.
    fn due_of(&self, row: &SqliteRow) -> Option<Due> {
        let error = match self.delivery(row) {
            Ok(delivery) => return Some(Due::Ready(Box::new(delivery))),
            Err(error) => error,
        };
        let webhook: Option<Vec<u8>> = row.try_get("id").ok();
        let webhook = webhook.and_then(|id| Uuid::from_slice(&id).ok()).map(WebhookId);
        let event: Option<i64> = row.try_get("event_id").ok();
        let attempts: Option<u32> = row.try_get("attempts").ok();
        tracing::error!(
            error = &error as &dyn std::error::Error,
            event,
            webhook = webhook.map(tracing::field::display),
            "webhook answer cannot be read"
        );
        Some(Due::Unreadable {
            event: EventId(event?),
            webhook: webhook?,
            attempts: attempts?,
        })
    }

    fn delivery(&self, row: &SqliteRow) -> Result<Delivery, StoreError> {
        let columns = Columns::of(row);
        let webhook = self.seals.read(&columns)?;
        let secret: Vec<u8> = columns.get("webhooks.secret")?;
        let event = EventId(columns.get_as("event_id", "webhook_events.id")?);
        let attempts = columns.get("webhook_events.attempts")?;
        let key: [u8; 32] = columns.get("webhook_events.event_key")?;
        let content: Vec<u8> = columns.get("webhook_events.content")?;
        Ok(Delivery {
            event,
            secret: self.seals.open_secret(webhook.id, &secret)?,
            body: self.content.open(webhook.id, EventKey(key), &content)?,
            webhook,
            attempts,
        })
    }
}

/// What seals answers, each for its message.
#[derive(Clone)]
struct Content(Arc<SealedBox>);

impl Content {
    fn seal(&self, webhook: WebhookId, key: EventKey, content: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.0
            .seal(&context(webhook, key), content)
            .map_err(StoreError::new)
    }

    fn open(&self, webhook: WebhookId, key: EventKey, sealed: &[u8]) -> Result<Bytes, StoreError> {
        let content = self.0.open(&context(webhook, key), sealed);
        content.map(Bytes::from).map_err(StoreError::new)
    }
}

fn context(webhook: WebhookId, key: EventKey) -> Vec<u8> {
    [webhook.0.as_bytes().as_slice(), key.0.as_slice()].concat()
}

fn message(row: &SqliteRow) -> Result<Message, StoreError> {
    let columns = Columns::of(row);
    let id = EventId(columns.get("webhook_events.id")?);
    let key = EventKey(columns.get("webhook_events.event_key")?);
    let state: String = columns.get("webhook_events.state")?;
    let state = match state.as_str() {
        "running" => MessageState::Answering,
        "kept" => MessageState::Answered,
        "waiting" => MessageState::Waiting,
        "delivered" => MessageState::Delivered,
        "undelivered" => MessageState::Undelivered,
        "lost" => MessageState::Lost,
        _ => return Err(StoreError::inconsistent("webhook_events.state")),
    };
    Ok(Message {
        id,
        key,
        state,
        attempts: columns.get("webhook_events.attempts")?,
        due_at: columns.get("webhook_events.due_at")?,
        received_at: columns.get("webhook_events.received_at")?,
    })
}

async fn receive(write: &mut WriteTx<'_>, seal: &Content, event: NewEvent) -> Result<Received, StoreError> {
    let NewEvent {
        webhook,
        key,
        at,
        otherwise,
    } = event;
    let find = "SELECT state, content FROM webhook_events WHERE webhook_id = ? AND event_key = ?";
    let find = sqlx::query(find)
        .bind(columns::uuid(webhook.0))
        .bind(key.0.to_vec());
    if let Some(row) = write.optional(find).await? {
        let columns = Columns::of(&row);
        let state: String = columns.get("webhook_events.state")?;
        let content: Option<Vec<u8>> = columns.get("webhook_events.content")?;
        return match state.as_str() {
            "running" => Ok(Received::InFlight),
            "kept" => {
                let answer = content.map(|content| seal.open(webhook, key, &content));
                Ok(Received::Answered(answer.transpose()?))
            }
            "waiting" | "delivered" | "undelivered" => Ok(Received::Delivering),
            "lost" => Ok(Received::Lost),
            _ => Err(StoreError::inconsistent("webhook_events.state")),
        };
    }
    let content = otherwise.map(|body| seal.seal(webhook, key, &body)).transpose()?;
    let insert = "INSERT INTO webhook_events (webhook_id, event_key, state, content, received_at)
                  VALUES (?, ?, 'running', ?, ?) RETURNING id";
    let insert = sqlx::query(insert)
        .bind(columns::uuid(webhook.0))
        .bind(key.0.to_vec())
        .bind(content)
        .bind(at.micros());
    let row = write.optional(insert).await?;
    let row = row.ok_or(StoreError::inconsistent("webhook_events.id"))?;
    Ok(Received::New(EventId(
        Columns::of(&row).get("webhook_events.id")?,
    )))
}

async fn close(
    write: &mut WriteTx<'_>,
    seal: &Content,
    event: EventId,
    outcome: Outcome,
    at: Timestamp,
) -> Result<(), StoreError> {
    let find =
        sqlx::query("SELECT webhook_id, event_key FROM webhook_events WHERE id = ? AND state = 'running'");
    let Some(row) = write.optional(find.bind(event.0)).await? else {
        return Ok(());
    };
    let columns = Columns::of(&row);
    let webhook = WebhookId(columns.get::<Uuid>("webhook_events.webhook_id")?);
    let key = EventKey(columns.get("webhook_events.event_key")?);
    let (state, content, due) = match outcome {
        Outcome::Forget => {
            let delete = sqlx::query("DELETE FROM webhook_events WHERE id = ?").bind(event.0);
            return write.execute(delete).await.map(drop);
        }
        Outcome::Lost => ("lost", None, None),
        Outcome::Keep(answer) => ("kept", answer, None),
        Outcome::Deliver(body) => ("waiting", Some(body), Some(at.micros())),
    };
    let content = content.map(|body| seal.seal(webhook, key, &body)).transpose()?;
    let update = sqlx::query("UPDATE webhook_events SET state = ?, content = ?, due_at = ? WHERE id = ?")
        .bind(state)
        .bind(content)
        .bind(due)
        .bind(event.0);
    write.execute(update).await.map(drop)
}

const DUE: &str = with_columns!(
    ", webhooks.secret, due.id AS event_id, due.attempts, due.event_key, due.content",
    "JOIN (SELECT *, row_number() OVER (PARTITION BY webhook_id ORDER BY due_at, id) AS place
           FROM webhook_events WHERE state = 'waiting' AND due_at <= ?1) AS due
          ON due.webhook_id = webhooks.id
     WHERE due.place <= ?2 AND webhooks.enabled = 1 AND webhooks.delivery_url IS NOT NULL
     ORDER BY due.due_at, due.id LIMIT ?3"
);

/// What no query of [`DUE`] finds, because its webhook or its project delivers nothing any more.
const GIVE_UP: &str = "
    UPDATE webhook_events SET state = 'undelivered', content = NULL, due_at = NULL
    WHERE state = 'waiting' AND due_at <= ? AND NOT EXISTS (
        SELECT 1 FROM webhooks
        JOIN projects ON projects.id = webhooks.project_id AND projects.deleted = 0
        JOIN organizations ON organizations.id = projects.org_id
             AND organizations.on_chain = 1 AND organizations.deleted_at IS NULL
        WHERE webhooks.id = webhook_events.webhook_id
          AND webhooks.enabled = 1 AND webhooks.delivery_url IS NOT NULL)";

#[async_trait]
impl WebhookInbox for SqliteWebhookInbox {
    async fn list(&self, webhook: WebhookId, page: Page) -> Result<Listed<Message>, StoreError> {
        let count = sqlx::query("SELECT count(*) AS count FROM webhook_events WHERE webhook_id = ?")
            .bind(columns::uuid(webhook.0));
        let find = "SELECT id, event_key, state, attempts, due_at, received_at FROM webhook_events
                    WHERE webhook_id = ? ORDER BY id DESC LIMIT ? OFFSET ?";
        let find = sqlx::query(find)
            .bind(columns::uuid(webhook.0))
            .bind(page.limit())
            .bind(page.offset());
        self.db.listed(count, find, message).await
    }

    async fn receive(&self, event: NewEvent) -> Result<Received, StoreError> {
        let content = self.content.clone();
        self.db
            .write(move |write| Box::pin(async move { receive(write, &content, event).await }))
            .await
    }

    async fn close(&self, event: EventId, outcome: Outcome, at: Timestamp) -> Result<(), StoreError> {
        let content = self.content.clone();
        self.db
            .write(move |write| Box::pin(async move { close(write, &content, event, outcome, at).await }))
            .await
    }

    async fn due(&self, now: Timestamp, again: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        // Most of the time nothing is: the writer is not asked for that.
        let any = sqlx::query("SELECT 1 FROM webhook_events WHERE state = 'waiting' AND due_at <= ? LIMIT 1");
        if self.db.optional(any.bind(now.micros())).await?.is_none() {
            return Ok(Vec::new());
        }
        let rows = self
            .db
            .write(move |write| {
                Box::pin(async move {
                    write.execute(sqlx::query(GIVE_UP).bind(now.micros())).await?;
                    let due = sqlx::query(DUE).bind(now.micros()).bind(AT_ONCE).bind(limit);
                    let rows = write.all(due).await?;
                    for row in &rows {
                        let event: i64 = row.try_get("event_id").map_err(StoreError::new)?;
                        let later = sqlx::query("UPDATE webhook_events SET due_at = ? WHERE id = ?");
                        write.execute(later.bind(again.micros()).bind(event)).await?;
                    }
                    Ok::<_, StoreError>(rows)
                })
            })
            .await?;
        Ok(rows.iter().filter_map(|row| self.due_of(row)).collect())
    }

    async fn delivered(&self, event: EventId) -> Result<(), StoreError> {
        let update = "UPDATE webhook_events
                      SET state = 'delivered', content = NULL, due_at = NULL, attempts = attempts + 1
                      WHERE id = ? AND state = 'waiting'";
        self.db.execute(sqlx::query(update).bind(event.0)).await.map(drop)
    }

    async fn undelivered(&self, event: EventId, due: Option<Timestamp>) -> Result<(), StoreError> {
        let statement = match due {
            Some(due) => {
                let update = "UPDATE webhook_events SET due_at = ?, attempts = attempts + 1
                              WHERE id = ? AND state = 'waiting'";
                sqlx::query(update).bind(due.micros()).bind(event.0)
            }
            None => {
                let update = "UPDATE webhook_events
                              SET state = 'undelivered', content = NULL, due_at = NULL, attempts = attempts + 1
                              WHERE id = ? AND state = 'waiting'";
                sqlx::query(update).bind(event.0)
            }
        };
        self.db.execute(statement).await.map(drop)
    }

    async fn interrupted(&self, at: Timestamp) -> Result<u64, StoreError> {
        let update = "UPDATE webhook_events
                      SET state = iif(content IS NULL, 'lost', 'waiting'), due_at = iif(content IS NULL, NULL, ?)
                      WHERE state = 'running'";
        self.db.execute(sqlx::query(update).bind(at.micros())).await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        let delete =
            "DELETE FROM webhook_events WHERE received_at < ? AND state NOT IN ('running', 'waiting')";
        self.db.execute(sqlx::query(delete).bind(before.micros())).await
    }
}
