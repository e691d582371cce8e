//! [`ConversationStore`] on PostgreSQL: rows, and indexes of their words.

mod rows;
mod words;
mod writing;

use crate::{
    columns::Columns,
    db::{Db, Statement},
};
use async_trait::async_trait;
use haithe_inference::conversations::{
    Conversation, ConversationId, ConversationStore, Cut, Message, MessageId, NewConversation, NewMessage,
    NotStored, Owner, Quota, SearchQuery, Title,
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp};
use rows::{bound, conversation, message, owned, owner_number, owner_of};
use sqlx::{Postgres, Transaction};
use writing::Addition;

/// [`ConversationStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgConversationStore {
    db: Db,
}

impl PgConversationStore {
    /// The conversations of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The number after all messages, and the one before all.
const LAST: i64 = i64::MAX;
const FIRST: i64 = 0;

/// The conversations of owner $1.
macro_rules! of_owner {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM conversations WHERE owner_id = $1 AND NOT deleted ",
            $rest
        )
    };
}

/// The same, as far as they match $2 by their title or by a message.
macro_rules! matching {
    ($columns:literal, $rest:literal) => {
        concat!(
            of_owner!($columns, ""),
            "AND id IN (
                SELECT id FROM conversations WHERE owner_id = $1 AND words @@ $2::TSQUERY
                UNION
                SELECT conversation_id FROM messages WHERE owner_id = $1 AND words @@ $2::TSQUERY) ",
            $rest
        )
    };
}

const COUNT: &str = of_owner!("count(*)", "");
const LIST: &str = of_owner!(
    "id, title, created_at, updated_at",
    "ORDER BY updated_at DESC, id DESC LIMIT $2 OFFSET $3"
);
const COUNT_MATCHING: &str = matching!("count(*)", "");
const LIST_MATCHING: &str = matching!(
    "id, title, created_at, updated_at",
    "ORDER BY updated_at DESC, id DESC LIMIT $3 OFFSET $4"
);

/// Messages of conversation $1 between $2 and $3, both excluded.
macro_rules! between {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM messages WHERE conversation_id = $1 AND id > $2 AND id < $3 ",
            $rest
        )
    };
}

const COUNT_MESSAGES: &str = between!("count(*)", "");
const FORWARDS: &str = between!(
    "id, sender, message, created_at",
    "ORDER BY id LIMIT $4 OFFSET $5"
);
const BACKWARDS: &str = between!(
    "id, sender, message, created_at",
    "ORDER BY id DESC LIMIT $4 OFFSET $5"
);
const COUNT_FOUND: &str = between!("count(*)", "AND words @@ $4::TSQUERY");
const FOUND_FORWARDS: &str = between!(
    "id, sender, message, created_at",
    "AND words @@ $4::TSQUERY ORDER BY id LIMIT $5 OFFSET $6"
);
const FOUND_BACKWARDS: &str = between!(
    "id, sender, message, created_at",
    "AND words @@ $4::TSQUERY ORDER BY id DESC LIMIT $5 OFFSET $6"
);
/// Messages of conversation $1 before $2 by the sum of the weights of the words in $3 that they contain: BM25's
/// inverse document frequency within the conversation, and its normalization by length, with k1 = 1.2 and b = 0.75.
const RECALL: &str = "
    WITH found AS (
        SELECT query, id, length(words) AS length
        FROM unnest($3::TEXT[]) AS query
        JOIN messages ON conversation_id = $1 AND id < $2 AND words @@ query::TSQUERY
    ),
    known AS (
        SELECT count(*) AS messages, greatest(avg(length(words)), 1) AS length
        FROM messages WHERE conversation_id = $1 AND id < $2
    ),
    weights AS (
        SELECT query, ln(1 + (known.messages - count(*) + 0.5) / (count(*) + 0.5)) AS weight
        FROM found CROSS JOIN known GROUP BY query, known.messages
    ),
    best AS (
        SELECT found.id, sum(weight * 2.2 / (1 + 1.2 * (0.25 + 0.75 * found.length / known.length))) AS score
        FROM found JOIN weights ON weights.query = found.query CROSS JOIN known
        GROUP BY found.id ORDER BY score DESC, found.id DESC LIMIT $4
    )
    SELECT messages.id, sender, message, created_at
    FROM best JOIN messages ON messages.id = best.id ORDER BY score DESC, messages.id DESC";

/// The statements of one page.
struct Paged {
    count: Statement,
    rows: Statement,
}

async fn list<T>(
    read: &mut Transaction<'static, Postgres>,
    Paged { count, rows }: Paged,
    page: Page,
    item: impl Fn(&sqlx::postgres::PgRow) -> Result<T, StoreError>,
) -> Result<Listed<T>, StoreError> {
    let rows = rows.bind(i64::from(page.limit())).bind(i64::from(page.offset()));
    let rows = rows.fetch_all(&mut **read).await.map_err(StoreError::new)?;
    let count = count.fetch_one(&mut **read).await.map_err(StoreError::new)?;
    Ok(Listed {
        items: rows.iter().map(item).collect::<Result<_, _>>()?,
        total: Columns::of(&count).get("rows.count")?,
    })
}

/// The number of the owner of its conversation `id`; `None` if there is no such conversation.
async fn found(
    read: &mut Transaction<'static, Postgres>,
    owner: Owner,
    id: ConversationId,
) -> Result<Option<i64>, StoreError> {
    let row = owned(owner, id).fetch_optional(&mut **read).await;
    row.map_err(StoreError::new)?.as_ref().map(owner_of).transpose()
}

const fn none<T>() -> Listed<T> {
    Listed {
        items: Vec::new(),
        total: 0,
    }
}

#[async_trait]
impl ConversationStore for PgConversationStore {
    async fn create(&self, new: NewConversation, quota: Quota) -> Result<Conversation, NotStored> {
        self.db
            .write((new, quota), |write, new| Box::pin(writing::create(write, new)))
            .await
    }

    async fn list(
        &self,
        owner: Owner,
        query: Option<SearchQuery>,
        page: Page,
    ) -> Result<Listed<Conversation>, StoreError> {
        let mut read = self.db.snapshot().await?;
        let row = owner_number(owner).fetch_optional(&mut *read).await;
        let Some(row) = row.map_err(StoreError::new)? else {
            return Ok(none());
        };
        let owner: i64 = Columns::of(&row).get("conversation_owners.id")?;
        let paged = match query {
            None => Paged {
                count: sqlx::query(COUNT).bind(owner),
                rows: sqlx::query(LIST).bind(owner),
            },
            Some(query) => {
                let Some(words) = words::all(owner, &query) else {
                    return Ok(none());
                };
                Paged {
                    count: sqlx::query(COUNT_MATCHING).bind(owner).bind(words.clone()),
                    rows: sqlx::query(LIST_MATCHING).bind(owner).bind(words),
                }
            }
        };
        list(&mut read, paged, page, conversation).await
    }

    async fn find(&self, owner: Owner, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let row = self.db.optional(owned(owner, id)).await?;
        row.as_ref().map(conversation).transpose()
    }

    async fn rename(
        &self,
        owner: Owner,
        id: ConversationId,
        title: Title,
        at: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        self.db
            .write((owner, id, title, at), |write, change| {
                Box::pin(writing::rename(write, change))
            })
            .await
    }

    async fn delete(&self, owner: Owner, id: ConversationId) -> Result<bool, StoreError> {
        self.db
            .write((owner, id), |write, of| Box::pin(writing::delete(write, of)))
            .await
    }

    async fn messages(
        &self,
        owner: Owner,
        id: ConversationId,
        cut: Cut,
        page: Page,
    ) -> Result<Option<Listed<Message>>, StoreError> {
        let mut read = self.db.snapshot().await?;
        let Some(owner) = found(&mut read, owner, id).await? else {
            return Ok(None);
        };
        let after = cut.after.map_or(FIRST, |after| after.0);
        let before = cut.before.map_or(LAST, |before| before.0);
        let forwards = cut.after.is_some();
        let paged = match cut.query {
            None => Paged {
                count: bound(COUNT_MESSAGES, id, after, before),
                rows: bound(if forwards { FORWARDS } else { BACKWARDS }, id, after, before),
            },
            Some(query) => {
                let Some(words) = words::all(owner, &query) else {
                    return Ok(Some(none()));
                };
                let rows = if forwards { FOUND_FORWARDS } else { FOUND_BACKWARDS };
                Paged {
                    count: bound(COUNT_FOUND, id, after, before).bind(words.clone()),
                    rows: bound(rows, id, after, before).bind(words),
                }
            }
        };
        let mut listed = list(&mut read, paged, page, message).await?;
        if !forwards {
            listed.items.reverse();
        }
        Ok(Some(listed))
    }

    async fn append(
        &self,
        owner: Owner,
        id: ConversationId,
        messages: Vec<NewMessage>,
        at: Timestamp,
        quota: Quota,
    ) -> Result<Option<Vec<Message>>, NotStored> {
        let addition = Addition {
            owner,
            id,
            messages,
            at,
            quota,
        };
        self.db
            .write(addition, |write, addition| {
                Box::pin(writing::append(write, addition))
            })
            .await
    }

    async fn newest(
        &self,
        owner: Owner,
        id: ConversationId,
        most: u32,
    ) -> Result<Option<Vec<Message>>, StoreError> {
        let mut read = self.db.snapshot().await?;
        if found(&mut read, owner, id).await?.is_none() {
            return Ok(None);
        }
        let window = bound(BACKWARDS, id, FIRST, LAST)
            .bind(i64::from(most))
            .bind(0_i64);
        let rows = window.fetch_all(&mut *read).await.map_err(StoreError::new)?;
        rows.iter().rev().map(message).collect::<Result<_, _>>().map(Some)
    }

    async fn recall(
        &self,
        owner: Owner,
        id: ConversationId,
        before: MessageId,
        query: SearchQuery,
        most: u32,
    ) -> Result<Option<Vec<Message>>, StoreError> {
        let mut read = self.db.snapshot().await?;
        let Some(owner) = found(&mut read, owner, id).await? else {
            return Ok(None);
        };
        let recall = sqlx::query(RECALL)
            .bind(id.0)
            .bind(before.0)
            .bind(words::each(owner, &query))
            .bind(i64::from(most));
        let rows = recall.fetch_all(&mut *read).await.map_err(StoreError::new)?;
        rows.iter().map(message).collect::<Result<_, _>>().map(Some)
    }

    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.db
            .write((now, most), |write, of| Box::pin(writing::expire(write, of)))
            .await
    }
}
