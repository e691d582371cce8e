//! What changes conversations, each in a transaction of its own.

use super::rows::{self, conversation, message, sender_word};
use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_inference::conversations::{
    Conversation, ConversationId, Message, NewConversation, NewMessage, NotStored, Owner, Quota, Title,
};
use haithe_kernel::{StoreError, Timestamp};

/// What a message takes beside its text; the triggers count the same.
const OVERHEAD: u64 = 64;
/// Messages deleted together with their conversation; of a longer one the sweeper deletes the rest.
const AT_ONCE: i64 = 1_000;
const DAY_MICROS: i64 = 86_400_000_000;

const USED: &str = "SELECT coalesce(sum(conversations), 0) AS conversations, coalesce(sum(bytes), 0) AS bytes
    FROM conversation_owners WHERE wallet_address = ?";
const ENSURE_OWNER: &str = "INSERT INTO conversation_owners (wallet_address, org_id, project_id)
    VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
const CREATE: &str = "INSERT INTO conversations (owner_id, title, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?3) RETURNING id, title, created_at, updated_at";
const RENAME: &str = "UPDATE conversations SET title = ?, updated_at = max(updated_at, ?)
    WHERE id = ? RETURNING id, title, created_at, updated_at";
const APPEND: &str = "INSERT INTO messages (conversation_id, owner_id, sender, message, created_at)
    SELECT id, owner_id, ?2, ?3, ?4 FROM conversations WHERE id = ?1
    RETURNING id, sender, message, created_at";
const CHANGED: &str = "UPDATE conversations SET updated_at = max(updated_at, ?) WHERE id = ?";
const HIDE: &str = "UPDATE conversations SET deleted = 1 WHERE id = ?";
const DELETE_MESSAGES: &str = "DELETE FROM messages WHERE id IN
    (SELECT id FROM messages WHERE conversation_id = ? LIMIT ?)";
const DELETE_IF_EMPTY: &str = "DELETE FROM conversations WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation_id = ?1)";

/// Messages of projects that keep them for some days only. `CROSS JOIN` keeps the order of the tables, here and in the
/// next: SQLite would look through all messages otherwise.
const EXPIRED: &str = "DELETE FROM messages WHERE id IN (
    SELECT messages.id FROM projects
    CROSS JOIN conversation_owners ON conversation_owners.project_id = projects.id
    CROSS JOIN messages ON messages.owner_id = conversation_owners.id
    WHERE memory_retention_days IS NOT NULL
    AND messages.created_at < ?1 - memory_retention_days * ?2 LIMIT ?3)";
/// Conversations of deleted projects are deleted too.
const HIDE_OF_DELETED_PROJECTS: &str = "UPDATE conversations SET deleted = 1 WHERE id IN (
    SELECT conversations.id FROM projects
    CROSS JOIN conversation_owners ON conversation_owners.project_id = projects.id
    CROSS JOIN conversations ON conversations.owner_id = conversation_owners.id
    WHERE projects.deleted = 1 AND conversations.deleted = 0 LIMIT ?)";
/// Messages of deleted conversations.
const ORPHANED: &str = "DELETE FROM messages WHERE id IN (
    SELECT messages.id FROM conversations JOIN messages ON messages.conversation_id = conversations.id
    WHERE conversations.deleted = 1 LIMIT ?)";
/// Deleted conversations without messages.
const EMPTIED: &str = "DELETE FROM conversations WHERE id IN (
    SELECT id FROM conversations WHERE deleted = 1
    AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation_id = conversations.id) LIMIT ?)";

/// Conversations and bytes that the wallet keeps, everywhere.
async fn used(write: &mut WriteTx<'_>, owner: Owner) -> Result<(u64, u64), StoreError> {
    let statement = sqlx::query(USED).bind(columns::address(owner.wallet));
    let row = write.optional(statement).await?;
    let row = row.ok_or_else(|| StoreError::inconsistent("conversation_owners.bytes"))?;
    let columns = Columns::of(&row);
    Ok((
        columns.get("conversation_owners.conversations")?,
        columns.get("conversation_owners.bytes")?,
    ))
}

pub(super) async fn create(
    write: &mut WriteTx<'_>,
    new: NewConversation,
    quota: Quota,
) -> Result<Conversation, NotStored> {
    let (conversations, _) = used(write, new.owner).await?;
    if conversations >= quota.conversations {
        return Err(NotStored::TooMany {
            most: quota.conversations,
        });
    }
    let ensure = sqlx::query(ENSURE_OWNER)
        .bind(columns::address(new.owner.wallet))
        .bind(new.owner.org.0)
        .bind(new.owner.project.0);
    write.execute(ensure).await?;
    let owner = rows::owner_id(&mut *write.connection, new.owner).await?;
    let create = sqlx::query(CREATE)
        .bind(owner)
        .bind(new.title.as_str().to_owned())
        .bind(new.at.micros());
    let row = write.optional(create).await?;
    let row = row.ok_or_else(|| StoreError::inconsistent("conversations.id"))?;
    Ok(conversation(&row)?)
}

pub(super) async fn rename(
    write: &mut WriteTx<'_>,
    owner: Owner,
    id: ConversationId,
    title: Title,
    at: Timestamp,
) -> Result<Option<Conversation>, StoreError> {
    if rows::find(&mut *write.connection, owner, id).await?.is_none() {
        return Ok(None);
    }
    let rename = sqlx::query(RENAME)
        .bind(title.as_str().to_owned())
        .bind(at.micros())
        .bind(id.0);
    write
        .optional(rename)
        .await?
        .as_ref()
        .map(conversation)
        .transpose()
}

pub(super) async fn append(
    write: &mut WriteTx<'_>,
    owner: Owner,
    id: ConversationId,
    messages: Vec<NewMessage>,
    at: Timestamp,
    quota: Quota,
) -> Result<Option<Vec<Message>>, NotStored> {
    if rows::find(&mut *write.connection, owner, id).await?.is_none() {
        return Ok(None);
    }
    let (_, bytes) = used(write, owner).await?;
    let more: u64 = messages
        .iter()
        .map(|message| message.text.as_str().len() as u64 + OVERHEAD)
        .sum();
    if bytes.saturating_add(more) > quota.bytes {
        return Err(NotStored::Full { most: quota.bytes });
    }
    let mut appended = Vec::with_capacity(messages.len());
    for new in messages {
        let append = sqlx::query(APPEND)
            .bind(id.0)
            .bind(sender_word(new.sender))
            .bind(new.text.into_string())
            .bind(at.micros());
        let row = write.optional(append).await?;
        let row = row.ok_or_else(|| StoreError::inconsistent("messages.id"))?;
        appended.push(message(&row)?);
    }
    write
        .execute(sqlx::query(CHANGED).bind(at.micros()).bind(id.0))
        .await?;
    Ok(Some(appended))
}

pub(super) async fn delete(
    write: &mut WriteTx<'_>,
    owner: Owner,
    id: ConversationId,
) -> Result<bool, StoreError> {
    if rows::find(&mut *write.connection, owner, id).await?.is_none() {
        return Ok(false);
    }
    write.execute(sqlx::query(HIDE).bind(id.0)).await?;
    write
        .execute(sqlx::query(DELETE_MESSAGES).bind(id.0).bind(AT_ONCE))
        .await?;
    write.execute(sqlx::query(DELETE_IF_EMPTY).bind(id.0)).await?;
    Ok(true)
}

pub(super) async fn expire(write: &mut WriteTx<'_>, now: Timestamp, most: u32) -> Result<u64, StoreError> {
    let most = i64::from(most);
    let expired = sqlx::query(EXPIRED)
        .bind(now.micros())
        .bind(DAY_MICROS)
        .bind(most);
    let expired = write.execute(expired).await?;
    // Whatever is hidden here is counted below, once it goes.
    write
        .execute(sqlx::query(HIDE_OF_DELETED_PROJECTS).bind(most))
        .await?;
    let orphaned = write.execute(sqlx::query(ORPHANED).bind(most)).await?;
    let emptied = write.execute(sqlx::query(EMPTIED).bind(most)).await?;
    Ok(expired + orphaned + emptied)
}
