//! Rows as the domain knows them.

use crate::{
    columns::{self, Columns},
    db::Statement,
};
use haithe_inference::conversations::{
    Conversation, ConversationId, Message, MessageId, MessageText, Owner, Sender, Title,
};
use haithe_kernel::StoreError;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

const OWNER: &str = "SELECT id FROM conversation_owners
    WHERE wallet_address = ? AND org_id = ? AND project_id = ?";
const FIND: &str = "SELECT conversations.id, title, created_at, updated_at
    FROM conversations JOIN conversation_owners ON conversation_owners.id = owner_id
    WHERE conversations.id = ? AND deleted = 0 AND wallet_address = ? AND org_id = ? AND project_id = ?";

/// The owner's number; `None` while it has no conversation yet.
pub(super) async fn owner_id(
    connection: &mut SqliteConnection,
    owner: Owner,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(OWNER)
        .bind(columns::address(owner.wallet))
        .bind(owner.org.0)
        .bind(owner.project.0)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::new)?;
    row.map(|row| Columns::of(&row).get("conversation_owners.id"))
        .transpose()
}

/// A conversation of this owner.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    owner: Owner,
    id: ConversationId,
) -> Result<Option<Conversation>, StoreError> {
    let row = sqlx::query(FIND)
        .bind(id.0)
        .bind(columns::address(owner.wallet))
        .bind(owner.org.0)
        .bind(owner.project.0)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::new)?;
    row.as_ref().map(conversation).transpose()
}

pub(super) fn conversation(row: &SqliteRow) -> Result<Conversation, StoreError> {
    let columns = Columns::of(row);
    Ok(Conversation {
        id: ConversationId(columns.get("conversations.id")?),
        title: title(&columns.get::<String>("conversations.title")?)?,
        created_at: columns.get("conversations.created_at")?,
        updated_at: columns.get("conversations.updated_at")?,
    })
}

fn title(text: &str) -> Result<Title, StoreError> {
    text.parse()
        .map_err(|_| StoreError::inconsistent("conversations.title"))
}

pub(super) fn message(row: &SqliteRow) -> Result<Message, StoreError> {
    let columns = Columns::of(row);
    Ok(Message {
        id: MessageId(columns.get("messages.id")?),
        sender: sender(&columns.get::<String>("messages.sender")?)?,
        text: MessageText::try_from(columns.get::<String>("messages.message")?)
            .map_err(|_| StoreError::inconsistent("messages.message"))?,
        created_at: columns.get("messages.created_at")?,
    })
}

pub(super) const fn sender_word(sender: Sender) -> &'static str {
    match sender {
        Sender::User => "user",
        Sender::Ai => "ai",
    }
}

fn sender(word: &str) -> Result<Sender, StoreError> {
    match word {
        "user" => Ok(Sender::User),
        "ai" => Ok(Sender::Ai),
        _ => Err(StoreError::inconsistent("messages.sender")),
    }
}

pub(super) fn count(row: &SqliteRow, place: &'static str) -> Result<u64, StoreError> {
    Columns::of(row).get_as("count", place)
}

/// A statement about the messages of a conversation between two others.
pub(super) fn bound(sql: &'static str, id: ConversationId, after: i64, before: i64) -> Statement {
    sqlx::query(sql).bind(id.0).bind(after).bind(before)
}
