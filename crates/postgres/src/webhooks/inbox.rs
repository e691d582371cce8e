//! [`WebhookInbox`] on PostgreSQL.

use super::rows::{Seals, select_webhooks};
use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use async_trait::async_trait;
use bytes::Bytes;
use haithe_encryption::{EncryptionKey, SealedBox};
use haithe_inference::webhooks::{
    Delivery, Due, EventId, EventKey, Message, MessageState, NewEvent, Outcome, Received, WebhookId,
    WebhookInbox,
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp};
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// Deliveries of one webhook at the same time: a slow receiver delays no other.
const AT_ONCE: i64 = 4;

/// [`WebhookInbox`] on PostgreSQL.
#[derive(Clone)]
pub struct PgWebhookInbox {
    db: Db,
    seals: Seals,
    content: Content,
}

impl PgWebhookInbox {
    /// The messages in this database, whose answers are sealed under `key`.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            seals: Seals::new(key),
            content: Content(Arc::new(SealedBox::new(key, "haithe/webhook-answer"))),
        }
    }

    /// What a row of [`DUE`] says; `None` for one that does not even say which message it is.
    fn due_of(&self, row: &PgRow) -> Option<Due> {
        let error = match self.delivery(row) {
            Ok(delivery) => return Some(Due::Ready(Box::new(delivery))),
            Err(error) => error,
        };
        let columns = Columns::of(row);
        let webhook = columns.get("webhooks.webhook_id").ok().map(WebhookId);
        let event: Option<i64> = columns.get("webhook_events.event_id").ok();
        tracing::error!(
            error = &error as &dyn std::error::Error,
            event,
            webhook = webhook.map(tracing::field::display),
            "webhook answer cannot be read"
        );
        Some(Due::Unreadable {
            event: EventId(event?),
            webhook: webhook?,
            attempts: columns.get("webhook_events.attempts").ok()?,
        })
    }

    fn delivery(&self, row: &PgRow) -> Result<Delivery, StoreError> {
        let columns = Columns::of(row);
        let webhook = self.seals.webhook(row)?;
        let key = EventKey(columns.get("webhook_events.event_key")?);
        let content: Vec<u8> = columns.get("webhook_events.content")?;
        Ok(Delivery {
            event: EventId(columns.get("webhook_events.event_id")?),
            secret: self.seals.secret(webhook.id, row)?,
            body: self.content.open(webhook.id, key, &content)?,
            attempts: columns.get("webhook_events.attempts")?,
            webhook,
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

const COUNT: &str = "SELECT count(*) FROM webhook_events WHERE webhook_id = $1";
const LIST: &str = "
    SELECT id, event_key, state, attempts, due_at, received_at FROM webhook_events
    WHERE webhook_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
const RECEIVE: &str = "
    INSERT INTO webhook_events (webhook_id, event_key, state, content, received_at)
    VALUES ($1, $2, 'running', $3, $4) ON CONFLICT (webhook_id, event_key) DO NOTHING RETURNING id";
const FIND: &str = "SELECT state, content FROM webhook_events WHERE webhook_id = $1 AND event_key = $2";
const LOCK_RUNNING: &str = "
    SELECT webhook_id, event_key FROM webhook_events WHERE id = $1 AND state = 'running' FOR UPDATE";
const DELETE: &str = "DELETE FROM webhook_events WHERE id = $1";
const CLOSE: &str = "UPDATE webhook_events SET state = $1, content = $2, due_at = $3 WHERE id = $4";
const ANY_DUE: &str = "SELECT id FROM webhook_events WHERE state = 'waiting' AND due_at <= $1 LIMIT 1";
const DUE: &str = select_webhooks!(
    ", webhooks.secret, due.id AS event_id, due.attempts, due.event_key, due.content",
    "JOIN (SELECT *, row_number() OVER (PARTITION BY webhook_id ORDER BY due_at, id) AS place
           FROM webhook_events WHERE state = 'waiting' AND due_at <= $1) AS due
          ON due.webhook_id = webhooks.id
     WHERE due.place <= $2 AND webhooks.enabled AND webhooks.delivery_url IS NOT NULL
     ORDER BY due.due_at, due.id LIMIT $3"
);
const TRY_LATER: &str = "UPDATE webhook_events SET due_at = $1 WHERE id = ANY($2)";
/// What [`DUE`] never finds, because its webhook or its project no longer delivers.
const GIVE_UP: &str = "
    UPDATE webhook_events SET state = 'undelivered', content = NULL, due_at = NULL
    WHERE state = 'waiting' AND due_at <= $1 AND webhook_id NOT IN (
        SELECT webhooks.id FROM webhooks
        JOIN projects ON projects.id = webhooks.project_id AND NOT projects.deleted
        JOIN organizations ON organizations.id = projects.org_id
             AND organizations.on_chain AND organizations.deleted_at IS NULL
        WHERE webhooks.enabled AND webhooks.delivery_url IS NOT NULL)";
const DELIVERED: &str = "
    UPDATE webhook_events SET state = 'delivered', content = NULL, due_at = NULL, attempts = attempts + 1
    WHERE id = $1 AND state = 'waiting'";
const UNDELIVERED: &str = "
    UPDATE webhook_events SET state = 'undelivered', content = NULL, due_at = NULL, attempts = attempts + 1
    WHERE id = $1 AND state = 'waiting'";
const DUE_AGAIN: &str = "
    UPDATE webhook_events SET due_at = $2, attempts = attempts + 1 WHERE id = $1 AND state = 'waiting'";
const INTERRUPTED: &str = "
    UPDATE webhook_events
    SET state = CASE WHEN content IS NULL THEN 'lost' ELSE 'waiting' END,
        due_at = CASE WHEN content IS NULL THEN NULL ELSE $1 END
    WHERE state = 'running'";
const SWEEP: &str = "
    DELETE FROM webhook_events WHERE received_at < $1 AND state NOT IN ('running', 'waiting')";

fn message(row: &PgRow) -> Result<Message, StoreError> {
    let columns = Columns::of(row);
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
        id: EventId(columns.get("webhook_events.id")?),
        key: EventKey(columns.get("webhook_events.event_key")?),
        state,
        attempts: columns.get("webhook_events.attempts")?,
        due_at: columns.get("webhook_events.due_at")?,
        received_at: columns.get("webhook_events.received_at")?,
    })
}

async fn receive(write: &mut WriteTx, (seal, event): &(Content, NewEvent)) -> Result<Received, StoreError> {
    let (webhook, key) = (event.webhook, event.key);
    let content = event
        .otherwise
        .as_ref()
        .map(|body| seal.seal(webhook, key, body))
        .transpose()?;
    let insert = sqlx::query(RECEIVE)
        .bind(columns::uuid(webhook.0))
        .bind(key.0.to_vec())
        .bind(content)
        .bind(event.at.micros());
    if let Some(row) = write.optional(insert).await? {
        let id = Columns::of(&row).get("webhook_events.id")?;
        return Ok(Received::New(EventId(id)));
    }
    let find = sqlx::query(FIND)
        .bind(columns::uuid(webhook.0))
        .bind(key.0.to_vec());
    let row = write.one(find).await?;
    let columns = Columns::of(&row);
    let state: String = columns.get("webhook_events.state")?;
    let content: Option<Vec<u8>> = columns.get("webhook_events.content")?;
    match state.as_str() {
        "running" => Ok(Received::InFlight),
        "kept" => {
            let answer = content.map(|content| seal.open(webhook, key, &content));
            Ok(Received::Answered(answer.transpose()?))
        }
        "waiting" | "delivered" | "undelivered" => Ok(Received::Delivering),
        "lost" => Ok(Received::Lost),
        _ => Err(StoreError::inconsistent("webhook_events.state")),
    }
}

/// How answering an event ended, and when.
type Ending = (Content, EventId, Outcome, Timestamp);

async fn close(write: &mut WriteTx, (seal, event, outcome, at): &Ending) -> Result<(), StoreError> {
    let Some(row) = write.optional(sqlx::query(LOCK_RUNNING).bind(event.0)).await? else {
        return Ok(());
    };
    let columns = Columns::of(&row);
    let webhook = WebhookId(columns.get("webhook_events.webhook_id")?);
    let key = EventKey(columns.get("webhook_events.event_key")?);
    let (state, content, due) = match outcome {
        Outcome::Forget => return write.execute(sqlx::query(DELETE).bind(event.0)).await.map(drop),
        Outcome::Lost => ("lost", None, None),
        Outcome::Keep(answer) => ("kept", answer.as_ref(), None),
        Outcome::Deliver(body) => ("waiting", Some(body), Some(at.micros())),
    };
    let content = content.map(|body| seal.seal(webhook, key, body)).transpose()?;
    let update = sqlx::query(CLOSE)
        .bind(state)
        .bind(content)
        .bind(due)
        .bind(event.0);
    write.execute(update).await.map(drop)
}

async fn take_due(
    write: &mut WriteTx,
    (now, again, limit): &(Timestamp, Timestamp, u32),
) -> Result<Vec<PgRow>, StoreError> {
    write.execute(sqlx::query(GIVE_UP).bind(now.micros())).await?;
    let due = sqlx::query(DUE)
        .bind(now.micros())
        .bind(AT_ONCE)
        .bind(i64::from(*limit));
    let rows = write.all(due).await?;
    let events: Vec<i64> = rows
        .iter()
        .map(|row| Columns::of(row).get("webhook_events.event_id"))
        .collect::<Result<_, _>>()?;
    write
        .execute(sqlx::query(TRY_LATER).bind(again.micros()).bind(events))
        .await?;
    Ok(rows)
}

#[async_trait]
impl WebhookInbox for PgWebhookInbox {
    async fn list(&self, webhook: WebhookId, page: Page) -> Result<Listed<Message>, StoreError> {
        let bound = |sql| sqlx::query(sql).bind(columns::uuid(webhook.0));
        self.db.listed(bound(COUNT), (bound(LIST), page), message).await
    }

    async fn receive(&self, event: NewEvent) -> Result<Received, StoreError> {
        self.db
            .write((self.content.clone(), event), |write, event| {
                Box::pin(receive(write, event))
            })
            .await
    }

    async fn close(&self, event: EventId, outcome: Outcome, at: Timestamp) -> Result<(), StoreError> {
        self.db
            .write_locking((self.content.clone(), event, outcome, at), |write, ending| {
                Box::pin(close(write, ending))
            })
            .await
    }

    async fn due(&self, now: Timestamp, again: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        // Most of the time nothing is due, which needs no write.
        let any = sqlx::query(ANY_DUE).bind(now.micros());
        if self.db.optional(any).await?.is_none() {
            return Ok(Vec::new());
        }
        let rows = self
            .db
            .write((now, again, limit), |write, of| Box::pin(take_due(write, of)))
            .await?;
        Ok(rows.iter().filter_map(|row| self.due_of(row)).collect())
    }

    async fn delivered(&self, event: EventId) -> Result<(), StoreError> {
        let delivered = self.db.execute(|| sqlx::query(DELIVERED).bind(event.0));
        delivered.await.map(drop)
    }

    async fn undelivered(&self, event: EventId, due: Option<Timestamp>) -> Result<(), StoreError> {
        let undelivered = self.db.execute(|| match due {
            Some(due) => sqlx::query(DUE_AGAIN).bind(event.0).bind(due.micros()),
            None => sqlx::query(UNDELIVERED).bind(event.0),
        });
        undelivered.await.map(drop)
    }

    async fn interrupted(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.db
            .execute(|| sqlx::query(INTERRUPTED).bind(at.micros()))
            .await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.db.execute(|| sqlx::query(SWEEP).bind(before.micros())).await
    }
}
