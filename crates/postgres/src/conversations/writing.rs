//! What changes conversations, each in a transaction of its own.

use super::{
    rows::{conversation, message, owned, owner_number, owner_of, sender_word},
    words,
};
use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_inference::conversations::{
    Conversation, ConversationId, Message, NewConversation, NewMessage, NotStored, Owner, Quota, Title,
};
use haithe_kernel::{StoreError, Timestamp};

/// What a message takes beside its text.
const OVERHEAD: u64 = 64;
/// Messages deleted together with their conversation; of a longer one the sweeper deletes the rest.
const AT_ONCE: i64 = 1_000;
const DAY_MICROS: i64 = 86_400_000_000;

const USED: &str = "
    SELECT coalesce(sum(conversations), 0)::BIGINT AS conversations, coalesce(sum(bytes), 0)::BIGINT AS bytes
    FROM conversation_owners WHERE wallet_address = $1";
const ENSURE_OWNER: &str = "
    INSERT INTO conversation_owners (wallet_address, org_id, project_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const COUNT_CONVERSATION: &str =
    "UPDATE conversation_owners SET conversations = conversations + 1 WHERE id = $1";
const CREATE: &str = "
    INSERT INTO conversations (owner_id, title, words, created_at, updated_at)
    VALUES ($1, $2, $3::TSVECTOR, $4, $4) RETURNING id, title, created_at, updated_at";
const RENAME: &str = "
    UPDATE conversations SET title = $1, words = $2::TSVECTOR, updated_at = greatest(updated_at, $3)
    WHERE id = $4 RETURNING id, title, created_at, updated_at";
/// All messages in one statement; their numbers grow in the order of the lists.
const APPEND: &str = "
    INSERT INTO messages (conversation_id, owner_id, sender, message, words, created_at)
    SELECT $1, $2, sender, message, words::TSVECTOR, $3
    FROM unnest($4::TEXT[], $5::BYTEA[], $6::TEXT[]) WITH ORDINALITY AS new (sender, message, words, place)
    ORDER BY place
    RETURNING id, sender, message, created_at";
const COUNT_BYTES: &str = "UPDATE conversation_owners SET bytes = bytes + $2 WHERE id = $1";
const CHANGED: &str = "UPDATE conversations SET updated_at = greatest(updated_at, $1) WHERE id = $2";
const HIDE: &str = "UPDATE conversations SET deleted = TRUE WHERE id = $1";

/// Deletes the messages that a query of their numbers returns; returns how many and how large by owner.
macro_rules! delete_messages {
    ($ids:literal) => {
        concat!(
            "WITH gone AS (DELETE FROM messages WHERE id IN (",
            $ids,
            ") RETURNING owner_id, octet_length(message) AS size)
             SELECT owner_id, count(*) AS messages, sum(size)::BIGINT AS size FROM gone GROUP BY owner_id"
        )
    };
}

/// Deletes the conversations without messages that a query of their numbers returns; returns how many by owner.
macro_rules! delete_conversations {
    ($ids:literal) => {
        concat!(
            "WITH gone AS (DELETE FROM conversations WHERE id IN (",
            $ids,
            ") RETURNING owner_id)
             SELECT owner_id, count(*) AS conversations FROM gone GROUP BY owner_id"
        )
    };
}

const DELETE_MESSAGES: &str = delete_messages!("SELECT id FROM messages WHERE conversation_id = $1 LIMIT $2");
const DELETE_IF_EMPTY: &str = delete_conversations!(
    "SELECT id FROM conversations WHERE id = $1
     AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation_id = $1)"
);

/// Messages of projects that keep them for some days only.
const EXPIRED: &str = delete_messages!(
    "SELECT messages.id FROM projects
     JOIN conversation_owners ON conversation_owners.project_id = projects.id
     JOIN messages ON messages.owner_id = conversation_owners.id
     WHERE memory_retention_days IS NOT NULL
     AND messages.created_at < $1 - memory_retention_days * $2 LIMIT $3"
);
/// Conversations of deleted projects are deleted too.
const HIDE_OF_DELETED_PROJECTS: &str = "
    UPDATE conversations SET deleted = TRUE WHERE id IN (
        SELECT conversations.id FROM projects
        JOIN conversation_owners ON conversation_owners.project_id = projects.id
        JOIN conversations ON conversations.owner_id = conversation_owners.id
        WHERE projects.deleted AND NOT conversations.deleted LIMIT $1)";
/// Messages of deleted conversations.
const ORPHANED: &str = delete_messages!(
    "SELECT messages.id FROM conversations JOIN messages ON messages.conversation_id = conversations.id
     WHERE conversations.deleted LIMIT $1"
);
/// Deleted conversations without messages.
const EMPTIED: &str = delete_conversations!(
    "SELECT id FROM conversations WHERE deleted
     AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation_id = conversations.id) LIMIT $1"
);

const UNCOUNT_MESSAGES: &str = "UPDATE conversation_owners SET bytes = bytes - $2 WHERE id = $1";
const UNCOUNT_CONVERSATIONS: &str =
    "UPDATE conversation_owners SET conversations = conversations - $2 WHERE id = $1";

impl WriteTx {
    /// Runs a statement of [`delete_messages`], and subtracts what it deleted; returns how many messages.
    async fn delete_messages(&mut self, statement: crate::db::Statement) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for row in self.all(statement).await? {
            let columns = Columns::of(&row);
            let owner: i64 = columns.get("messages.owner_id")?;
            let messages: u64 = columns.get("messages.messages")?;
            let size: u64 = columns.get("messages.size")?;
            let freed = columns::number(size + messages * OVERHEAD, "conversation_owners.bytes")?;
            self.execute(sqlx::query(UNCOUNT_MESSAGES).bind(owner).bind(freed))
                .await?;
            deleted += messages;
        }
        Ok(deleted)
    }

    /// The same for a statement of [`delete_conversations`].
    async fn delete_conversations(&mut self, statement: crate::db::Statement) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for row in self.all(statement).await? {
            let columns = Columns::of(&row);
            let owner: i64 = columns.get("conversations.owner_id")?;
            let conversations: i64 = columns.get("conversations.conversations")?;
            let uncount = sqlx::query(UNCOUNT_CONVERSATIONS).bind(owner).bind(conversations);
            self.execute(uncount).await?;
            deleted += conversations.unsigned_abs();
        }
        Ok(deleted)
    }
}

/// Conversations and bytes that the wallet keeps, everywhere.
async fn used(write: &mut WriteTx, owner: Owner) -> Result<(u64, u64), StoreError> {
    let row = write
        .one(sqlx::query(USED).bind(columns::address(owner.wallet)))
        .await?;
    let columns = Columns::of(&row);
    Ok((
        columns.get("conversation_owners.conversations")?,
        columns.get("conversation_owners.bytes")?,
    ))
}

pub(super) async fn create(
    write: &mut WriteTx,
    (new, quota): &(NewConversation, Quota),
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
    let owner = write.one(owner_number(new.owner)).await?;
    let owner: i64 = Columns::of(&owner).get("conversation_owners.id")?;
    write.execute(sqlx::query(COUNT_CONVERSATION).bind(owner)).await?;
    let title = new.title.as_str();
    let create = sqlx::query(CREATE)
        .bind(owner)
        .bind(title.to_owned())
        .bind(words::vector(owner, title))
        .bind(new.at.micros());
    Ok(conversation(&write.one(create).await?)?)
}

pub(super) async fn rename(
    write: &mut WriteTx,
    (owner, id, title, at): &(Owner, ConversationId, Title, Timestamp),
) -> Result<Option<Conversation>, StoreError> {
    let Some(found) = write.optional(owned(*owner, *id)).await? else {
        return Ok(None);
    };
    let rename = sqlx::query(RENAME)
        .bind(title.as_str().to_owned())
        .bind(words::vector(owner_of(&found)?, title.as_str()))
        .bind(at.micros())
        .bind(id.0);
    conversation(&write.one(rename).await?).map(Some)
}

/// What [`append`] adds to which conversation.
pub(super) struct Addition {
    pub(super) owner: Owner,
    pub(super) id: ConversationId,
    pub(super) messages: Vec<NewMessage>,
    pub(super) at: Timestamp,
    pub(super) quota: Quota,
}

pub(super) async fn append(write: &mut WriteTx, new: &Addition) -> Result<Option<Vec<Message>>, NotStored> {
    let Some(found) = write.optional(owned(new.owner, new.id)).await? else {
        return Ok(None);
    };
    let owner = owner_of(&found)?;
    let (_, bytes) = used(write, new.owner).await?;
    let texts = || new.messages.iter().map(|message| message.text.as_str());
    let more: u64 = texts().map(|text| text.len() as u64 + OVERHEAD).sum();
    if bytes.saturating_add(more) > new.quota.bytes {
        return Err(NotStored::Full {
            most: new.quota.bytes,
        });
    }
    let senders = new.messages.iter().map(|message| sender_word(message.sender));
    let append = sqlx::query(APPEND)
        .bind(new.id.0)
        .bind(owner)
        .bind(new.at.micros())
        .bind(senders.collect::<Vec<_>>())
        .bind(texts().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>())
        .bind(texts().map(|text| words::vector(owner, text)).collect::<Vec<_>>());
    let appended = write.all(append).await?;
    let more = columns::number(more, "conversation_owners.bytes")?;
    write
        .execute(sqlx::query(COUNT_BYTES).bind(owner).bind(more))
        .await?;
    write
        .execute(sqlx::query(CHANGED).bind(new.at.micros()).bind(new.id.0))
        .await?;
    let mut appended: Vec<Message> = appended.iter().map(message).collect::<Result<_, _>>()?;
    appended.sort_unstable_by_key(|message| message.id.0);
    Ok(Some(appended))
}

pub(super) async fn delete(
    write: &mut WriteTx,
    (owner, id): &(Owner, ConversationId),
) -> Result<bool, StoreError> {
    if write.optional(owned(*owner, *id)).await?.is_none() {
        return Ok(false);
    }
    write.execute(sqlx::query(HIDE).bind(id.0)).await?;
    write
        .delete_messages(sqlx::query(DELETE_MESSAGES).bind(id.0).bind(AT_ONCE))
        .await?;
    write
        .delete_conversations(sqlx::query(DELETE_IF_EMPTY).bind(id.0))
        .await?;
    Ok(true)
}

pub(super) async fn expire(write: &mut WriteTx, (now, most): &(Timestamp, u32)) -> Result<u64, StoreError> {
    let most = i64::from(*most);
    let expired = sqlx::query(EXPIRED)
        .bind(now.micros())
        .bind(DAY_MICROS)
        .bind(most);
    let expired = write.delete_messages(expired).await?;
    // What is hidden here is counted below, when it is deleted.
    write
        .execute(sqlx::query(HIDE_OF_DELETED_PROJECTS).bind(most))
        .await?;
    let orphaned = write.delete_messages(sqlx::query(ORPHANED).bind(most)).await?;
    let emptied = write
        .delete_conversations(sqlx::query(EMPTIED).bind(most))
        .await?;
    Ok(expired + orphaned + emptied)
}
