//! A project's webhooks.

use crate::http::{
    Answer, Success,
    extract::{Acting, AuthUser, Change, Input, PageQuery, Paging, Segment, Segments},
    wire::AddressText,
};
use axum::extract::State;
use haithe_inference::webhooks::{Message, ProjectWebhooks, Revealed, Webhook, WebhookId, WebhookInput};
use haithe_kernel::{ProjectId, WalletAddress};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A webhook on the wire, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    #[schema(format = "uuid")]
    id: String,
    project_id: i64,
    name: String,
    /// Where messages are sent to, under the API's base.
    path: String,
    /// For whom it acts: whoever made it or last rotated its secret. It answers for as long as this
    /// wallet may call as the project.
    #[schema(value_type = AddressText)]
    wallet_address: WalletAddress,
    /// Where answers are delivered; `null` gives them inline.
    #[schema(required = true)]
    delivery_url: Option<String>,
    enabled: bool,
    /// RFC 3339.
    created_at: String,
    /// When its secret was made; RFC 3339.
    rotated_at: String,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        Self {
            path: format!("/v1beta/webhook/{}", webhook.id),
            id: webhook.id.to_string(),
            project_id: webhook.project.0,
            name: webhook.name.as_str().to_owned(),
            wallet_address: webhook.wallet,
            delivery_url: webhook.delivery_url.map(|url| url.as_str().to_owned()),
            enabled: webhook.enabled,
            created_at: webhook.created_at.rfc3339(),
            rotated_at: webhook.rotated_at.rfc3339(),
        }
    }
}

/// A webhook and its secrets, which are shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
pub struct RevealedView {
    #[serde(flatten)]
    webhook: WebhookView,
    /// Signs messages to the webhook, as Standard Webhooks says.
    secret: String,
    /// Verifies what is delivered.
    delivery_secret: String,
}

impl From<Revealed> for RevealedView {
    fn from(revealed: Revealed) -> Self {
        let delivery_secret = revealed.secret.for_deliveries();
        Self {
            webhook: revealed.webhook.into(),
            secret: revealed.secret.text().expose_secret().to_owned(),
            delivery_secret: delivery_secret.text().expose_secret().to_owned(),
        }
    }
}

/// A message on the wire, without what was said.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookMessage)]
pub struct MessageView {
    id: i64,
    /// SHA-256 of the sender's `webhook-id`, in hex.
    event_hash: String,
    /// `answering`; then `answered` inline or `lost`; or `waiting` for delivery, `delivered` and
    /// `undelivered`.
    state: &'static str,
    /// Tries to deliver the answer so far.
    attempts: u32,
    /// When the answer is delivered next; RFC 3339.
    #[schema(required = true)]
    due_at: Option<String>,
    /// RFC 3339.
    received_at: String,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.0,
            event_hash: hex::encode(message.key.0),
            state: message.state.as_str(),
            attempts: message.attempts,
            due_at: message.due_at.map(haithe_kernel::Timestamp::rfc3339),
            received_at: message.received_at.rfc3339(),
        }
    }
}

/// A new webhook.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = WebhookInput)]
pub struct CreateInput {
    /// 1 to 64 characters.
    name: String,
    /// `http` or `https`, without user name and fragment; left out or `null`, answers come inline.
    #[param(max_length = 2048)]
    #[schema(max_length = 2048)]
    delivery_url: Option<String>,
}

/// What to change; at least one of them.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = WebhookChange)]
pub struct ChangeInput {
    /// 1 to 64 characters.
    name: Option<String>,
    /// `null` gives answers inline.
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 2048)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    delivery_url: Change<String>,
    /// Does it answer at all?
    enabled: Option<bool>,
}

/// A project's webhooks, newest first.
#[utoipa::path(get, path = "/api/v1/projects/{id}/webhooks",
    params(("id" = i64, Path, description = "The project's number"), PageQuery),
    responses((status = 200, body = Success<Vec<WebhookView>>)))]
pub async fn list(
    State(webhooks): State<Arc<ProjectWebhooks>>,
    user: AuthUser,
    Segment(project): Segment<ProjectId>,
    Paging(page): Paging,
) -> Answer<Vec<WebhookView>> {
    let webhooks = webhooks.list(user.address, project, page).await?;
    Ok(Success::listed("Webhooks", webhooks))
}

/// Make a webhook, which acts for the caller. Its secrets are shown this once.
#[utoipa::path(post, path = "/api/v1/projects/{id}/webhooks",
    params(("id" = i64, Path, description = "The project's number"), CreateInput), request_body = CreateInput,
    responses((status = 200, body = Success<RevealedView>)))]
pub async fn create(
    State(webhooks): State<Arc<ProjectWebhooks>>,
    Acting(caller): Acting,
    Segment(project): Segment<ProjectId>,
    Input(input): Input<CreateInput>,
) -> Answer<RevealedView> {
    let input = WebhookInput {
        name: input.name,
        delivery_url: input.delivery_url,
    };
    let revealed = webhooks.create(caller, project, input).await?;
    Ok(Success::of("Webhook created", revealed.into()))
}

/// A webhook.
#[utoipa::path(get, path = "/api/v1/projects/{id}/webhooks/{webhook_id}",
    params(("id" = i64, Path, description = "The project's number"),
        ("webhook_id" = uuid::Uuid, Path, description = "The webhook's id")),
    responses((status = 200, body = Success<WebhookView>)))]
pub async fn show(
    State(webhooks): State<Arc<ProjectWebhooks>>,
    user: AuthUser,
    Segments(project, id): Segments<ProjectId, WebhookId>,
) -> Answer<WebhookView> {
    let webhook = webhooks.show(user.address, project, id).await?;
    Ok(Success::of("Webhook", webhook.into()))
}

/// Change a webhook.
#[utoipa::path(patch, path = "/api/v1/projects/{id}/webhooks/{webhook_id}",
    params(("id" = i64, Path, description = "The project's number"),
        ("webhook_id" = uuid::Uuid, Path, description = "The webhook's id"), ChangeInput),
    request_body = ChangeInput,
    responses((status = 200, body = Success<WebhookView>)))]
pub async fn change(
    State(webhooks): State<Arc<ProjectWebhooks>>,
    Acting(caller): Acting,
    Segments(project, id): Segments<ProjectId, WebhookId>,
    Input(input): Input<ChangeInput>,
) -> Answer<WebhookView> {
    let url = input.delivery_url.nested();
    let changed = webhooks.change(caller, project, id, input.name, url, input.enabled);
    Ok(Success::of("Webhook changed", changed.await?.into()))
}

/// Delete a webhook; answers that wait for delivery go with it.
#[utoipa::path(delete, path = "/api/v1/projects/{id}/webhooks/{webhook_id}",
    params(("id" = i64, Path, description = "The project's number"),
        ("webhook_id" = uuid::Uuid, Path, description = "The webhook's id")),
    responses((status = 200, body = Success<WebhookView>)))]
pub async fn delete(
    State(webhooks): State<Arc<ProjectWebhooks>>,
    Acting(caller): Acting,
    Segments(project, id): Segments<ProjectId, WebhookId>,
) -> Answer<WebhookView> {
    let deleted = webhooks.delete(caller, project, id).await?;
    Ok(Success::of("Webhook deleted", deleted.into()))
}

/// Give a webhook new secrets, shown this once; the old ones end now. It acts for the caller since.
#[utoipa::path(post, path = "/api/v1/projects/{id}/webhooks/{webhook_id}/rotate",
    params(("id" = i64, Path, description = "The project's number"),
        ("webhook_id" = uuid::Uuid, Path, description = "The webhook's id")),
    responses((status = 200, body = Success<RevealedView>)))]
pub async fn rotate(
    State(webhooks): State<Arc<ProjectWebhooks>>,
    Acting(caller): Acting,
    Segments(project, id): Segments<ProjectId, WebhookId>,
) -> Answer<RevealedView> {
    let revealed = webhooks.rotate(caller, project, id).await?;
    Ok(Success::of("Webhook's secrets rotated", revealed.into()))
}

/// A webhook's messages of the last three days, newest first, and what has become of them.
#[utoipa::path(get, path = "/api/v1/projects/{id}/webhooks/{webhook_id}/messages",
    params(("id" = i64, Path, description = "The project's number"),
        ("webhook_id" = uuid::Uuid, Path, description = "The webhook's id"), PageQuery),
    responses((status = 200, body = Success<Vec<MessageView>>)))]
pub async fn messages(
    State(webhooks): State<Arc<ProjectWebhooks>>,
    user: AuthUser,
    Segments(project, id): Segments<ProjectId, WebhookId>,
    Paging(page): Paging,
) -> Answer<Vec<MessageView>> {
    let messages = webhooks.messages(user.address, project, id, page).await?;
    Ok(Success::listed("Messages", messages))
}
