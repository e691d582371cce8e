//! Rows as the domain knows them.

use crate::{
    columns::{self, Columns},
    db::Statement,
};
use haithe_inference::conversations::{
    Conversation, ConversationId, Message, MessageId, MessageText, Owner, Sender, Title,
};
use haithe_kernel::StoreError;
use sqlx::postgres::PgRow;

/// The owner's number, if it has a conversation.
pub(super) fn owner_number(owner: Owner) -> Statement {
    sqlx::query(
        "SELECT id FROM conversation_owners WHERE wallet_address = $1 AND org_id = $2 AND project_id = $3",
    )
    .bind(columns::address(owner.wallet))
    .bind(owner.org.0)
    .bind(owner.project.0)
}

/// A conversation of this owner, with the owner's number as `owner_id`.
pub(super) fn owned(owner: Owner, id: ConversationId) -> Statement {
    sqlx::query(
        "SELECT conversations.id, owner_id, title, created_at, updated_at
         FROM conversations JOIN conversation_owners ON conversation_owners.id = owner_id
         WHERE conversations.id = $1 AND NOT deleted
           AND wallet_address = $2 AND org_id = $3 AND project_id = $4",
    )
    .bind(id.0)
    .bind(columns::address(owner.wallet))
    .bind(owner.org.0)
    .bind(owner.project.0)
}

/// The number in a row of [`owned`].
pub(super) fn owner_of(row: &PgRow) -> Result<i64, StoreError> {
    Columns::of(row).get("conversations.owner_id")
}

pub(super) fn conversation(row: &PgRow) -> Result<Conversation, StoreError> {
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

pub(super) fn message(row: &PgRow) -> Result<Message, StoreError> {
    let columns = Columns::of(row);
    let inconsistent = || StoreError::inconsistent("messages.message");
    let text = String::from_utf8(columns.get("messages.message")?).map_err(|_| inconsistent())?;
    Ok(Message {
        id: MessageId(columns.get("messages.id")?),
        sender: sender(&columns.get::<String>("messages.sender")?)?,
        text: MessageText::try_from(text).map_err(|_| inconsistent())?,
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

/// A statement about the messages of a conversation between two others.
pub(super) fn bound(sql: &'static str, id: ConversationId, after: i64, before: i64) -> Statement {
    sqlx::query(sql).bind(id.0).bind(after).bind(before)
}
