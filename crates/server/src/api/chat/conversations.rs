//! Conversations.

use super::owner;
use crate::http::{
    Answer, Success,
    extract::{ApiCaller, Input, Paging, Segment},
};
use axum::extract::State;
use haithe_inference::conversations::{Conversation, ConversationId, Conversations};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Conversation)]
pub struct ConversationView {
    id: i64,
    title: String,
    created_at: String,
    /// When its title changed, or a message was added.
    updated_at: String,
}

impl From<Conversation> for ConversationView {
    fn from(conversation: Conversation) -> Self {
        Self {
            id: conversation.id.0,
            title: conversation.title.as_str().to_owned(),
            created_at: conversation.created_at.legacy(),
            updated_at: conversation.updated_at.legacy(),
        }
    }
}

/// Which conversations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those with all of these words in their title, or in one of their messages.
    #[param(max_length = 256)]
    q: Option<String>,
}

/// The caller's conversations with the project, the one that changed last first.
#[utoipa::path(get, path = "/api/v1beta/chat/conversations",
    params(crate::http::extract::PageQuery, Filter),
    responses((status = 200, body = Success<Vec<ConversationView>>)))]
pub async fn list(
    State(conversations): State<Arc<Conversations>>,
    caller: ApiCaller,
    Paging(page): Paging,
    Input(filter): Input<Filter>,
) -> Answer<Vec<ConversationView>> {
    let listed = conversations
        .list(owner(&caller), filter.q.as_deref(), page)
        .await?;
    Ok(Success::listed("Conversations", listed))
}

/// A new conversation.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = ConversationInput)]
pub struct CreateInput {
    /// 1 to 200 characters; without one it is called `New Conversation xxxxxxxx`.
    #[param(max_length = 200)]
    #[schema(max_length = 200)]
    title: Option<String>,
}

/// Begin a conversation.
#[utoipa::path(post, path = "/api/v1beta/chat/conversations",
    params(CreateInput), request_body = CreateInput,
    responses((status = 200, body = Success<ConversationView>)))]
pub async fn create(
    State(conversations): State<Arc<Conversations>>,
    caller: ApiCaller,
    Input(input): Input<CreateInput>,
) -> Answer<ConversationView> {
    let made = conversations
        .create(owner(&caller), input.title.as_deref())
        .await?;
    Ok(Success::of("Conversation created", made.into()))
}

/// A conversation.
#[utoipa::path(get, path = "/api/v1beta/chat/conversations/{id}",
    params(("id" = i64, Path, description = "The conversation's number")),
    responses((status = 200, body = Success<ConversationView>)))]
pub async fn show(
    State(conversations): State<Arc<Conversations>>,
    caller: ApiCaller,
    Segment(id): Segment<i64>,
) -> Answer<ConversationView> {
    let found = conversations.find(owner(&caller), ConversationId(id)).await?;
    Ok(Success::of("Conversation", found.into()))
}

/// What to change.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = ConversationChange)]
pub struct ChangeInput {
    /// 1 to 200 characters.
    #[param(min_length = 1, max_length = 200)]
    #[schema(min_length = 1, max_length = 200)]
    title: String,
}

/// Give a conversation another title.
#[utoipa::path(patch, path = "/api/v1beta/chat/conversations/{id}",
    params(("id" = i64, Path, description = "The conversation's number"), ChangeInput),
    request_body = ChangeInput,
    responses((status = 200, body = Success<ConversationView>)))]
pub async fn rename(
    State(conversations): State<Arc<Conversations>>,
    caller: ApiCaller,
    Segment(id): Segment<i64>,
    Input(input): Input<ChangeInput>,
) -> Answer<ConversationView> {
    let renamed = conversations
        .rename(owner(&caller), ConversationId(id), &input.title)
        .await?;
    Ok(Success::of("Conversation renamed", renamed.into()))
}

/// How much was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedConversation)]
pub struct Deleted {
    /// Conversations: always 1.
    rows_affected: u64,
}

/// Delete a conversation with all its messages, for good.
#[utoipa::path(delete, path = "/api/v1beta/chat/conversations/{id}",
    params(("id" = i64, Path, description = "The conversation's number")),
    responses((status = 200, body = Success<Deleted>)))]
pub async fn delete(
    State(conversations): State<Arc<Conversations>>,
    caller: ApiCaller,
    Segment(id): Segment<i64>,
) -> Answer<Deleted> {
    conversations.delete(owner(&caller), ConversationId(id)).await?;
    Ok(Success::of("Conversation deleted", Deleted { rows_affected: 1 }))
}
