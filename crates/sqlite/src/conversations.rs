//! [`ConversationStore`] on SQLite: rows, and FTS5 indexes that triggers keep in step.

mod rows;
mod search;
mod writing;

use crate::db::Db;
use async_trait::async_trait;
use haithe_inference::conversations::{
    Conversation, ConversationId, ConversationStore, Cut, Message, MessageId, NewConversation, NewMessage,
    NotStored, Owner, Quota, SearchQuery, Title,
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp};
use rows::{bound, conversation, count, message, owner_id};
use search::{Scope, all_words, any_word};

/// [`ConversationStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteConversationStore {
    db: Db,
}

impl SqliteConversationStore {
    /// The conversations of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The first number after all, and the one before all.
const LAST: i64 = i64::MAX;
const FIRST: i64 = 0;

const LIST: &str = "SELECT id, title, created_at, updated_at FROM conversations
    WHERE owner_id = ?1 AND deleted = 0 ORDER BY updated_at DESC, id DESC LIMIT ?2 OFFSET ?3";
const COUNT: &str = "SELECT count(*) AS count FROM conversations WHERE owner_id = ?1 AND deleted = 0";

/// Conversations that match by their title (?4) or by a message (?5).
macro_rules! matching {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM conversations WHERE owner_id = ?1 AND deleted = 0 AND id IN (
                SELECT rowid FROM conversations_fts WHERE conversations_fts MATCH ?4
                UNION
                SELECT conversation_id FROM messages
                WHERE id IN (SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?5)) ",
            $rest
        )
    };
}

const LIST_MATCHING: &str = matching!(
    "id, title, created_at, updated_at",
    "ORDER BY updated_at DESC, id DESC LIMIT ?2 OFFSET ?3"
);
const COUNT_MATCHING: &str = matching!("count(*) AS count", "AND ?2 >= 0 AND ?3 >= 0");

/// Messages of conversation ?1 between ?2 and ?3, both excluded.
macro_rules! between {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM messages WHERE conversation_id = ?1 AND id > ?2 AND id < ?3 ",
            $rest
        )
    };
}

/// The same, as far as they match ?4.
macro_rules! between_matching {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM messages WHERE conversation_id = ?1 AND id IN (
                SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?4 AND rowid > ?2 AND rowid < ?3) ",
            $rest
        )
    };
}

const COUNT_MESSAGES: &str = between!("count(*) AS count", "");
const FORWARDS: &str = between!(
    "id, sender, message, created_at",
    "ORDER BY id LIMIT ?4 OFFSET ?5"
);
const BACKWARDS: &str = between!(
    "id, sender, message, created_at",
    "ORDER BY id DESC LIMIT ?4 OFFSET ?5"
);
const COUNT_FOUND: &str = between_matching!("count(*) AS count", "");
const FOUND_FORWARDS: &str = between_matching!(
    "id, sender, message, created_at",
    "ORDER BY id LIMIT ?5 OFFSET ?6"
);
const FOUND_BACKWARDS: &str = between_matching!(
    "id, sender, message, created_at",
    "ORDER BY id DESC LIMIT ?5 OFFSET ?6"
);
const RECALL: &str = "SELECT messages.id, sender, messages.message, created_at
    FROM messages_fts JOIN messages ON messages.id = messages_fts.rowid
    WHERE messages_fts MATCH ?1 AND messages_fts.rowid < ?2
    ORDER BY messages_fts.rank, messages_fts.rowid DESC LIMIT ?3";

#[async_trait]
impl ConversationStore for SqliteConversationStore {
    async fn create(&self, new: NewConversation, quota: Quota) -> Result<Conversation, NotStored> {
        self.db
            .write(move |write| Box::pin(writing::create(write, new, quota)))
            .await
    }

    async fn list(
        &self,
        owner: Owner,
        query: Option<SearchQuery>,
        page: Page,
    ) -> Result<Listed<Conversation>, StoreError> {
        let mut read = self.db.snapshot().await?;
        let Some(owner) = owner_id(&mut read, owner).await? else {
            return Ok(none());
        };
        let (limit, offset) = (i64::from(page.limit()), i64::from(page.offset()));
        let (list, total) = match query {
            None => (
                sqlx::query(LIST).bind(owner).bind(limit).bind(offset),
                sqlx::query(COUNT).bind(owner),
            ),
            Some(query) => {
                let scope = Scope::Owner(owner);
                let titles = all_words("title", scope, &query);
                let texts = all_words("message", scope, &query);
                let bind = |sql| {
                    sqlx::query(sql)
                        .bind(owner)
                        .bind(limit)
                        .bind(offset)
                        .bind(titles.clone())
                        .bind(texts.clone())
                };
                (bind(LIST_MATCHING), bind(COUNT_MATCHING))
            }
        };
        let rows = list.fetch_all(&mut *read).await.map_err(StoreError::new)?;
        let total = total.fetch_one(&mut *read).await.map_err(StoreError::new)?;
        Ok(Listed {
            items: rows.iter().map(conversation).collect::<Result<_, _>>()?,
            total: count(&total, "conversations.count")?,
        })
    }

    async fn find(&self, owner: Owner, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let mut read = self.db.snapshot().await?;
        rows::find(&mut read, owner, id).await
    }

    async fn rename(
        &self,
        owner: Owner,
        id: ConversationId,
        title: Title,
        at: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        self.db
            .write(move |write| Box::pin(writing::rename(write, owner, id, title, at)))
            .await
    }

    async fn delete(&self, owner: Owner, id: ConversationId) -> Result<bool, StoreError> {
        self.db
            .write(move |write| Box::pin(writing::delete(write, owner, id)))
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
        if rows::find(&mut read, owner, id).await?.is_none() {
            return Ok(None);
        }
        let after = cut.after.map_or(FIRST, |after| after.0);
        let before = cut.before.map_or(LAST, |before| before.0);
        let forwards = cut.after.is_some();
        let (list, total) = match cut.query {
            None => {
                let sql = if forwards { FORWARDS } else { BACKWARDS };
                (
                    bound(sql, id, after, before),
                    bound(COUNT_MESSAGES, id, after, before),
                )
            }
            Some(query) => {
                let sql = if forwards { FOUND_FORWARDS } else { FOUND_BACKWARDS };
                let words = all_words("message", Scope::Conversation(id.0), &query);
                (
                    bound(sql, id, after, before).bind(words.clone()),
                    bound(COUNT_FOUND, id, after, before).bind(words),
                )
            }
        };
        let list = list.bind(i64::from(page.limit())).bind(i64::from(page.offset()));
        let rows = list.fetch_all(&mut *read).await.map_err(StoreError::new)?;
        let total = total.fetch_one(&mut *read).await.map_err(StoreError::new)?;
        let mut items: Vec<Message> = rows.iter().map(message).collect::<Result<_, _>>()?;
        if !forwards {
            items.reverse();
        }
        Ok(Some(Listed {
            items,
            total: count(&total, "messages.count")?,
        }))
    }

    async fn append(
        &self,
        owner: Owner,
        id: ConversationId,
        messages: Vec<NewMessage>,
        at: Timestamp,
        quota: Quota,
    ) -> Result<Option<Vec<Message>>, NotStored> {
        self.db
            .write(move |write| Box::pin(writing::append(write, owner, id, messages, at, quota)))
            .await
    }

    async fn newest(
        &self,
        owner: Owner,
        id: ConversationId,
        most: u32,
    ) -> Result<Option<Vec<Message>>, StoreError> {
        let mut read = self.db.snapshot().await?;
        if rows::find(&mut read, owner, id).await?.is_none() {
            return Ok(None);
        }
        let window = bound(BACKWARDS, id, FIRST, LAST).bind(i64::from(most)).bind(0);
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
        if rows::find(&mut read, owner, id).await?.is_none() {
            return Ok(None);
        }
        let found = sqlx::query(RECALL)
            .bind(any_word("message", Scope::Conversation(id.0), &query))
            .bind(before.0)
            .bind(i64::from(most));
        let rows = found.fetch_all(&mut *read).await.map_err(StoreError::new)?;
        rows.iter().map(message).collect::<Result<_, _>>().map(Some)
    }

    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.db
            .write(move |write| Box::pin(writing::expire(write, now, most)))
            .await
    }
}

fn none<T>() -> Listed<T> {
    Listed {
        items: Vec::new(),
        total: 0,
    }
}
