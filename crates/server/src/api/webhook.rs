//! `POST /v1beta/webhook/{id}`: a signed message asks a project's agent.

use super::openai::Calls;
use crate::http::{
    ApiError, Success,
    body::BodyLimits,
    extract::{Client, Proxies, Segment, max_cost_of},
    limits::Limiter,
};
use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use haithe_inference::webhooks::{Ran, Triggers, WebhookId, signature::Signed};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Largest message, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MostPayload(pub usize);

/// What the agent answered.
#[derive(ToSchema)]
#[schema(as = WebhookAnswer)]
#[expect(
    dead_code,
    reason = "the answer was written when it was made; this is for the document"
)]
struct AnswerView {
    webhook_id: String,
    /// The message's `webhook-id`.
    event_id: String,
    /// The call, which is also its receipt's.
    call_id: String,
    /// The text of the answer.
    #[schema(required = true)]
    answer: Option<String>,
    /// OpenAI's chat completion.
    #[schema(value_type = Object)]
    completion: (),
}

/// That the answer will be delivered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookQueued)]
struct QueuedView {
    /// `queued`.
    status: &'static str,
}

/// Ask a project's agent by a signed message.
///
/// The payload, any text, is the user's message to the project's default model, on the account of
/// the project's own organization. It is signed as Standard Webhooks says. One `webhook-id` is asked
/// and charged once: sent again, it is answered as before. Where the webhook has a delivery address,
/// the answer is 202, and the completion is delivered there, signed, until it is taken.
#[utoipa::path(post, path = "/api/v1beta/webhook/{id}",
    params(("id" = uuid::Uuid, Path, description = "The webhook's id"),
        ("webhook-id" = String, Header, description = "The sender's name for the message, the same for each try"),
        ("webhook-timestamp" = String, Header, description = "When this try was made: seconds since 1970, within 5 minutes of now"),
        ("webhook-signature" = String, Header, description = "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.payload`; several are separated by spaces")),
    request_body(content = String, content_type = "text/plain"), security(()),
    responses((status = 200, body = Success<AnswerView>), (status = 202, body = Success<QueuedView>)))]
#[expect(
    clippy::too_many_arguments,
    reason = "each is something the request is made of"
)]
pub async fn trigger(
    State(triggers): State<Triggers>,
    State(limits): State<BodyLimits>,
    State(most): State<MostPayload>,
    State(calls): State<Calls>,
    State(limiter): State<Limiter>,
    State(proxies): State<Proxies>,
    Segment(id): Segment<WebhookId>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let header = |name| named(&parts.headers, name);
    let (id_header, time, signature) = (
        header("webhook-id")?,
        header("webhook-timestamp")?,
        header("webhook-signature")?,
    );
    let signed = Signed::read(id_header, time, signature)?;
    let max_cost = max_cost_of(&parts.headers)?;
    let payload = limits.at_most(most.0).read(&parts, body).await?;
    let from = Client::of(&parts, &proxies).ip;
    let mut accepted = triggers.verify(id, signed, payload, from).await?;
    accepted.max_cost = max_cost;
    limiter.webhook(&parts, accepted.webhook.id, &accepted.context)?;
    let permit = calls.take(accepted.context.payer.id)?;
    match triggers.run(accepted, permit).await? {
        Ran::Answered(answer) => {
            let answer: Box<RawValue> = serde_json::from_slice(&answer).map_err(ApiError::internal)?;
            Ok(Success::of("Answered", answer).into_response())
        }
        Ran::Queued => {
            let queued = Success::of("Queued", QueuedView { status: "queued" });
            Ok((StatusCode::ACCEPTED, queued).into_response())
        }
    }
}

/// A header that is given once at most.
fn named<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, ApiError> {
    let mut given = headers.get_all(name).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(ApiError::bad_request(
            "webhook_unsigned",
            format!("the header {name} is given more than once"),
        ));
    }
    // What is no text is no name, time or signature either.
    Ok(Some(value.to_str().unwrap_or_default()))
}
