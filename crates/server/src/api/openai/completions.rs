//! `POST /chat/completions`: the hot path.

use super::stream::Events;
use crate::{
    http::{
        ApiError,
        body::{BodyLimits, expect_json},
        extract::{ApiCaller, Client, Proxies},
        security::Event,
    },
    service::{
        metrics::{Figures, Refused},
        rates::Places,
    },
    state::Drain,
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use haithe_billing::ExpenditureScope;
use haithe_identity::{Credential, api_key::ApiKey};
use haithe_inference::{
    Answer, CallPermit, Caller, CompletionError, Completions, ErrorObject, conversations::ConversationId,
};
use haithe_kernel::{CallId, Decimals, Failure, OrgId, Usdt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// The conversation that a call continues, where the project remembers.
const HAITHE_CONVERSATION: HeaderName = HeaderName::from_static("haithe-conversation");

/// The call's id, which is also its receipt's.
const X_HAITHE_CALL: HeaderName = HeaderName::from_static("x-haithe-call");

/// What the call cost, in base units of the payment token.
pub(super) const X_HAITHE_COST: HeaderName = HeaderName::from_static("x-haithe-cost");
/// What a stream can cost at most, in base units; what it did cost stands in its usage and receipt.
const X_HAITHE_COST_LIMIT: HeaderName = HeaderName::from_static("x-haithe-cost-limit");

/// What the gateway itself reads of a request; everything else passes to the provider.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the hot path reads the bytes; this is for the document")]
struct ChatInput {
    /// The model's name; the project's default when it is left out.
    model: Option<String>,
    /// OpenAI's messages.
    #[schema(value_type = Vec<Object>)]
    messages: Vec<()>,
    /// Answer as an event stream.
    stream: Option<bool>,
}

/// What the gateway guarantees of an answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document")]
struct ChatOutput {
    id: String,
    object: String,
    model: String,
    #[schema(value_type = Vec<Object>)]
    choices: Vec<()>,
    /// OpenAI's counts beside `total_cost` and `expense_till_now` in base units.
    #[schema(value_type = Object)]
    usage: (),
}

/// Places for calls under way at once: among all, and among an organization's own.
#[derive(Debug, Clone)]
pub struct Calls {
    /// All calls.
    pub all: Arc<Semaphore>,
    /// Each organization's.
    pub own: Places,
    /// Where refusals are counted.
    pub figures: Arc<Figures>,
}

impl Calls {
    /// A place for a call of this organization. The call's work keeps it until its charge is on disk,
    /// whether or not the caller waits for that.
    pub(in crate::api) fn take(self, org: OrgId) -> Result<CallPermit, ApiError> {
        let Ok(place) = Arc::clone(&self.all).try_acquire_owned() else {
            return Err(self.service_full());
        };
        let Some(own) = self.own.take(org) else {
            return Err(self.organization_full());
        };
        Ok(CallPermit::new((place, own)))
    }

    /// Refuses a call that [`take`](Self::take) would refuse now. Nothing is taken, so that a client that sends
    /// its body slowly keeps no place from others.
    pub(in crate::api) fn expect_place(&self, org: OrgId) -> Result<(), ApiError> {
        if self.all.available_permits() == 0 {
            return Err(self.service_full());
        }
        if self.own.is_full(org) {
            return Err(self.organization_full());
        }
        Ok(())
    }

    fn service_full(&self) -> ApiError {
        self.figures.refused(Refused::Concurrency, "service");
        overloaded()
    }

    fn organization_full(&self) -> ApiError {
        self.figures.refused(Refused::Concurrency, "organization");
        crowded()
    }
}

/// Ask a model.
///
/// OpenAI's chat completions: unknown fields pass through; `usage` and the header `x-haithe-cost` also
/// say what the call cost. With `"stream": true` the answer is an event stream, and the header
/// `x-haithe-cost-limit` says what it can cost at most.
///
/// A caller that closes the connection of a stream pays for what was generated until then, and for the input
/// once the provider has accepted the request, also before the first token; not for prices per call then.
/// A call without a stream is carried out and charged whether or not its caller waits.
#[utoipa::path(post, path = "/api/v1beta/openai/chat/completions",
    params(("haithe-conversation" = Option<i64>, Header, description =
        "The conversation to go on with: its messages are remembered, and this question and its answer are added")),
    request_body(content = inline(ChatInput), content_type = "application/json"),
    responses((status = 200, description = "The completion, or an event stream of its chunks", content(
        (inline(ChatOutput) = "application/json"), (String = "text/event-stream"))
    )))]
pub async fn create(
    State(completions): State<Arc<Completions>>,
    State(limits): State<BodyLimits>,
    State(calls): State<Calls>,
    State(drain): State<Drain>,
    State(proxies): State<Proxies>,
    caller: ApiCaller,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    expect_json(&parts.headers)?;
    let conversation = conversation_of(&parts.headers)?;
    // Before the body is in memory: a call that has no place is refused by its head.
    calls.expect_place(caller.context.payer.id)?;
    let body = limits.read(&parts, body).await?;
    let figures = Arc::clone(&calls.figures);
    let permit = calls.take(caller.context.payer.id)?;
    let caller = Caller {
        permit,
        ..Caller::from(caller)
    };
    let key = caller.api_key.clone();
    let decimals = completions.decimals();
    let ran = completions.run(caller, conversation, body).await;
    match ran.map_err(|error| refused_to(key.as_deref(), error, &parts, &proxies))? {
        Answer::Json { call, body, cost } => {
            let mut response = answer(call, "application/json", Body::from(body));
            say_cost(&mut response, X_HAITHE_COST, cost, decimals);
            Ok(response)
        }
        Answer::Stream { call, most, events } => {
            let body = Body::from_stream(Events::new(events, drain, figures.stream()));
            let mut response = answer(call, "text/event-stream; charset=utf-8", body);
            say_cost(&mut response, X_HAITHE_COST_LIMIT, most, decimals);
            // Proxies in front must pass every event on at once.
            let buffering = HeaderName::from_static("x-accel-buffering");
            response
                .headers_mut()
                .insert(buffering, HeaderValue::from_static("no"));
            let cache = HeaderValue::from_static("no-cache, no-store");
            response.headers_mut().insert(header::CACHE_CONTROL, cache);
            Ok(response)
        }
    }
}

/// The conversation that a call continues.
fn conversation_of(headers: &HeaderMap) -> Result<Option<ConversationId>, ApiError> {
    let mut given = headers.get_all(HAITHE_CONVERSATION).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let id = id.filter(|id| *id > 0 && given.next().is_none());
    id.map(|id| Some(ConversationId(id))).ok_or_else(|| {
        ApiError::bad_request(
            "context_malformed",
            "the header haithe-conversation must be the number of one conversation",
        )
    })
}

pub(super) fn answer(call: CallId, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(call) = HeaderValue::try_from(call.to_string()) {
        headers.insert(X_HAITHE_CALL, call);
    }
    response
}

pub(super) fn say_cost(response: &mut Response, name: HeaderName, cost: Usdt, decimals: Decimals) {
    if let Ok(cost) = HeaderValue::try_from(cost.to_wire(decimals).to_string()) {
        response.headers_mut().insert(name, cost);
    }
}

fn crowded() -> ApiError {
    let mut error = ApiError::transport(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "too many calls of this organization are under way; try again when one has ended",
    );
    error.kind = "requests".into();
    error.retry_after = Some(1);
    error
}

fn overloaded() -> ApiError {
    let mut error = ApiError::transport(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "too many calls are under way; try again shortly",
    );
    error.retry_after = Some(1);
    error
}

/// As [`refused`]; a key that may not use the model is told to the security log.
pub(super) fn refused_to(
    key: Option<&ApiKey>,
    error: CompletionError,
    parts: &Parts,
    proxies: &Proxies,
) -> ApiError {
    if let (CompletionError::KeyScope { .. }, Some(key)) = (&error, key) {
        Client::of(parts, proxies)
            .did(Event::KeyOutOfScope)
            .wallet(key.address)
            .key(key.id)
            .because("the model")
            .log();
    }
    refused(error)
}

/// A provider's own refusal keeps the provider's words.
pub(super) fn refused(error: CompletionError) -> ApiError {
    let object = ErrorObject::from(&error);
    let own_code = error.code();
    let mut refused = ApiError::from(error);
    refused.kind = object.class.into();
    refused.param = object.param;
    if let Some(code) = object.code {
        refused.code = code.into();
        refused.own_code = Some(own_code);
    }
    refused
}

impl From<ApiCaller> for Caller {
    fn from(caller: ApiCaller) -> Self {
        let api_key = match caller.principal.credential {
            Credential::ApiKey(key) => Some(key),
            Credential::Session(_) => None,
        };
        Self {
            wallet: caller.principal.address,
            expenditure: ExpenditureScope::of(caller.context.standing, api_key.as_deref()),
            api_key,
            context: caller.context,
            call: caller.call,
            max_cost: caller.max_cost,
            permit: CallPermit::default(),
        }
    }
}
