//! Messages of a conversation.

use super::owner;
use crate::http::{
    Answer, Success,
    extract::{ApiCaller, Input, Paging, Segment},
};
use axum::extract::State;
use haithe_inference::conversations::{
    ConversationId, Conversations, Message, MessageFilter, MessageId, Sender,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Who says something.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Sender)]
pub enum SenderWord {
    /// The wallet.
    User,
    /// The model.
    Ai,
}

impl From<Sender> for SenderWord {
    fn from(sender: Sender) -> Self {
        match sender {
            Sender::User => Self::User,
            Sender::Ai => Self::Ai,
        }
    }
}

impl From<SenderWord> for Sender {
    fn from(word: SenderWord) -> Self {
        match word {
            SenderWord::User => Self::User,
            SenderWord::Ai => Self::Ai,
        }
    }
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView {
    /// A later message has a higher one.
    id: i64,
    message: String,
    sender: SenderWord,
    created_at: String,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.0,
            message: message.text.into_string(),
            sender: message.sender.into(),
            created_at: message.created_at.legacy(),
        }
    }
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those after this one.
    after: Option<i64>,
    /// Only those before this one.
    before: Option<i64>,
    /// Only those with all of these words.
    #[param(max_length = 256)]
    q: Option<String>,
}

/// Messages of a conversation, oldest first.
///
/// A page counts from the newest message (or from `before`) backwards, so that the first page is what
/// a chat shows; with `after` it counts forwards.
#[utoipa::path(get, path = "/api/v1beta/chat/conversations/{id}/messages",
    params(("id" = i64, Path, description = "The conversation's number"), crate::http::extract::PageQuery, Filter),
    responses((status = 200, body = Success<Vec<MessageView>>)))]
pub async fn list(
    State(conversations): State<Arc<Conversations>>,
    caller: ApiCaller,
    Segment(id): Segment<i64>,
    Paging(page): Paging,
    Input(filter): Input<Filter>,
) -> Answer<Vec<MessageView>> {
    let filter = MessageFilter {
        after: filter.after.map(MessageId),
        before: filter.before.map(MessageId),
        text: filter.q,
    };
    let listed = conversations
        .messages(owner(&caller), ConversationId(id), filter, page)
        .await?;
    Ok(Success::listed("Messages", listed))
}

/// A new message.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MessageInput)]
pub struct SayInput {
    /// Kept exactly as it is: 1 to 262,144 bytes, no NUL character.
    #[schema(min_length = 1, max_length = 262_144)]
    message: String,
    sender: SenderWord,
}

/// Add a message to a conversation.
#[utoipa::path(post, path = "/api/v1beta/chat/conversations/{id}/messages",
    params(("id" = i64, Path, description = "The conversation's number")),
    request_body = SayInput,
    responses((status = 200, body = Success<MessageView>)))]
pub async fn say(
    State(conversations): State<Arc<Conversations>>,
    caller: ApiCaller,
    Segment(id): Segment<i64>,
    Input(input): Input<SayInput>,
) -> Answer<MessageView> {
    let said = conversations
        .say(
            owner(&caller),
            ConversationId(id),
            input.sender.into(),
            input.message,
        )
        .await?;
    Ok(Success::of("Message added", said.into()))
}
