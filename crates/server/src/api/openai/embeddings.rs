//! `POST /embeddings`: texts as vectors.

use super::{
    Calls,
    completions::{X_HAITHE_COST, answer, refused, refused_to, say_cost},
};
use crate::http::{
    ApiError,
    body::{BodyLimits, expect_json},
    extract::{ApiCaller, Proxies},
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use haithe_inference::{Answer, Caller, CompletionError, Completions};
use std::sync::Arc;
use utoipa::ToSchema;

/// What the gateway itself reads of a request; everything else passes to the provider.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the hot path reads the bytes; this is for the document")]
struct EmbeddingsInput {
    /// The name of a model that makes embeddings.
    model: String,
    /// A text, a list of texts, a list of tokens, or a list of lists of tokens.
    #[schema(value_type = Object)]
    input: (),
    /// `float` or `base64`.
    encoding_format: Option<String>,
}

/// What the gateway guarantees of an answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document")]
struct EmbeddingsOutput {
    object: String,
    #[schema(value_type = Vec<Object>)]
    data: Vec<()>,
    model: String,
    /// OpenAI's counts beside `total_cost` and `expense_till_now` in base units.
    #[schema(value_type = Object)]
    usage: (),
}

/// Make vectors of texts.
///
/// OpenAI's embeddings: unknown fields pass through; `usage` and the header `x-haithe-cost` also say
/// what the call cost.
#[utoipa::path(post, path = "/api/v1beta/openai/embeddings",
    request_body(content = inline(EmbeddingsInput), content_type = "application/json"),
    responses((status = 200, body = inline(EmbeddingsOutput))))]
pub async fn create(
    State(completions): State<Arc<Completions>>,
    State(limits): State<BodyLimits>,
    State(calls): State<Calls>,
    State(proxies): State<Proxies>,
    caller: ApiCaller,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    expect_json(&parts.headers)?;
    // Before the body is in memory: a call that has no place is refused by its head.
    calls.expect_place(caller.context.payer.id)?;
    let body = limits.read(&parts, body).await?;
    let permit = calls.take(caller.context.payer.id)?;
    let caller = Caller {
        permit,
        ..Caller::from(caller)
    };
    let key = caller.api_key.clone();
    let ran = completions.embed(caller, body).await;
    match ran.map_err(|error| refused_to(key.as_deref(), error, &parts, &proxies))? {
        Answer::Json { call, body, cost } => {
            let mut response = answer(call, "application/json", Body::from(body));
            say_cost(&mut response, X_HAITHE_COST, cost, completions.decimals());
            Ok(response)
        }
        // Embeddings are never streamed.
        Answer::Stream { .. } => Err(refused(CompletionError::Interrupted)),
    }
}
