//! `Idempotency-Key`: the same request twice has one effect and one answer.
//!
//! Around every POST that creates or spends ([`takes_key`]). A request without the header passes at
//! the price of one look into its headers. One with it:
//!
//! 1. is authenticated and, under `/api/v1beta`, resolved and counted against the rates like any
//!    other; a replay is a request, too;
//! 2. takes the key's slot ([`haithe_identity::idempotency`]), is refused, or is given the answer that
//!    stands there ([`kept`]), with `idempotency-replayed: true`, if its caller may still read what
//!    that is about ([`about`]);
//! 3. runs in a task of its own. A caller who leaves before the answer begins finds it when it asks
//!    again, a stream too; leaving in the middle of a stream stops the provider, as ever.
//!
//! An answer is kept when the request alone decided it: success, and what is wrong with the request
//! itself. What depends on something else (a credential, a role, money, rates, the present state, a
//! defect) had no effect, is not kept, and frees the key. A stream is kept as the bytes that passed
//! ([`recording`]).

mod about;
mod kept;
mod recording;

pub use about::About;

use super::{
    ApiError,
    body::BodyLimits,
    extract::{ApiCaller, AuthUser, HAITHE_MAX_COST},
};
use crate::state::AppState;
use axum::{
    body::{Body, HttpBody},
    extract::{FromRef, FromRequestParts, MatchedPath, Request},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, future::Either};
use haithe_identity::{
    Credential, Idempotency, IdempotencyKey, Principal,
    idempotency::{Attempt, Begun, Ending, IdempotencyKeyError, LARGEST, Ticket},
};
use haithe_kernel::{CallId, Tasks};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use kept::{Head, Kept};
use recording::Recording;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::oneshot;
use tower::{Layer, Service, ServiceExt};

/// The caller's name for the request.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the answer was given before.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What OpenAI's SDKs obey: without it they try a 409 again, which is right while a request is under
/// way and useless later.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A header, beside those of the context, that decides what a request does.
const HAITHE_CONVERSATION: HeaderName = HeaderName::from_static("haithe-conversation");

/// The headers, beside those of the context, that decide what a request does. A request without them has
/// the same bytes as ever.
fn decisive_headers(headers: &HeaderMap) -> Vec<u8> {
    let conversation: Vec<&[u8]> = headers
        .get_all(HAITHE_CONVERSATION)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let mut decisive = conversation.join(&b'\n');
    for value in headers.get_all(HAITHE_MAX_COST) {
        decisive.extend_from_slice(b"\nhaithe-max-cost:");
        decisive.extend_from_slice(value.as_bytes());
    }
    decisive
}

/// POSTs that take no key: their callers are no principals, or they only take something away.
const WITHOUT: [&str; 3] = [
    "/api/v1/auth/",
    "/api/v1/me/api-key/disable",
    "/api/v1beta/webhook/",
];

/// Whether an operation takes an `Idempotency-Key`, by its method and the pattern of its path.
pub fn takes_key(method: &str, route: &str) -> bool {
    method.eq_ignore_ascii_case("post")
        && (route.starts_with("/api/v1/") || route.starts_with("/api/v1beta/"))
        && !WITHOUT.iter().any(|without| route.starts_with(without))
}

/// Puts [`Once`] around routes.
#[derive(Clone)]
pub struct OnceLayer(pub AppState);

impl<S> Layer<S> for OnceLayer {
    type Service = Once<S>;

    fn layer(&self, inner: S) -> Once<S> {
        Once {
            inner,
            state: self.0.clone(),
        }
    }
}

/// A route that honours the header.
#[derive(Clone)]
pub struct Once<S> {
    inner: S,
    state: AppState,
}

impl<S> Service<Request> for Once<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if *request.method() != Method::POST || !request.headers().contains_key(IDEMPOTENCY_KEY) {
            return Either::Left(self.inner.call(request));
        }
        let route = request.extensions().get::<MatchedPath>();
        if !route.is_some_and(|route| takes_key("POST", route.as_str())) {
            return Either::Left(self.inner.call(request));
        }
        let (inner, state) = (self.inner.clone(), self.state.clone());
        Either::Right(Box::pin(async move {
            Ok(once(inner, state, request)
                .await
                .unwrap_or_else(IntoResponse::into_response))
        }))
    }
}

async fn once<S>(inner: S, state: AppState, request: Request) -> Result<Response, ApiError>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let mut who = Who::identify(&mut parts, &state).await?;
    let key = key_of(&parts.headers)?;
    let body = BodyLimits::from_ref(&state).read(&parts, body).await?;
    let path = parts.uri.path().to_owned();
    let beside = decisive_headers(&parts.headers);
    let attempt = Attempt {
        principal: &who.principal,
        method: parts.method.as_str(),
        path: &path,
        query: parts.uri.query().unwrap_or_default(),
        context: who.caller.as_ref().map(ApiCaller::account),
        beside: &beside,
        body: &body,
    };
    let ticket = match Arc::<Idempotency>::from_ref(&state).begin(&key, &attempt).await {
        Ok(Begun::First(ticket)) => ticket,
        Ok(Begun::Again(answer)) => return replay(answer, &who.principal, &path, &state).await,
        Err(refused) => return Ok(refuse(refused.into())),
    };
    if let Some(mut caller) = who.caller.take() {
        caller.call = Some(CallId(ticket.work()));
        parts.extensions.insert(caller);
    }
    let request = Request::from_parts(parts, Body::from(body));
    let (tell, told) = oneshot::channel();
    let work = async move {
        let Ok(response) = inner.oneshot(request).await;
        let response = keep(ticket, response, &path).await;
        if let Err(unheard) = tell.send(response) {
            // The caller left before the answer began: it is carried out and kept for the next time.
            let mut rest = unheard.into_body().into_data_stream();
            while rest.next().await.is_some() {}
        }
    };
    Arc::<dyn Tasks>::from_ref(&state).spawn("idempotent request", Box::pin(work));
    let lost = |_| ApiError::internal("a handler ended without an answer");
    told.await.map_err(lost)
}

/// Who asks, established as the route itself would.
struct Who {
    principal: Principal,
    /// For the handler, which need not establish it again, and must not be counted twice.
    caller: Option<ApiCaller>,
}

impl Who {
    async fn identify(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if parts.uri.path().starts_with("/api/v1beta/") {
            let caller = ApiCaller::from_request_parts(parts, state).await?;
            return Ok(Self {
                principal: caller.principal.clone(),
                caller: Some(caller),
            });
        }
        let user = AuthUser::from_request_parts(parts, state).await?;
        Ok(Self {
            principal: Principal {
                address: user.address,
                credential: Credential::Session(user.session),
            },
            caller: None,
        })
    }
}

fn key_of(headers: &HeaderMap) -> Result<IdempotencyKey, ApiError> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let only = match (given.next(), given.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    };
    let key = only.ok_or(IdempotencyKeyError).and_then(str::parse);
    Ok(key.map_err(haithe_identity::IdempotencyError::from)?)
}

/// What stands in a slot for good is not asked for again.
fn refuse(refused: ApiError) -> Response {
    let again = refused.status != StatusCode::CONFLICT || refused.retry_after.is_some();
    let mut response = refused.into_response();
    if !again {
        response
            .headers_mut()
            .insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

async fn replay(
    answer: Vec<u8>,
    principal: &Principal,
    path: &str,
    state: &AppState,
) -> Result<Response, ApiError> {
    let kept = Kept::decode(answer).ok_or_else(|| ApiError::internal("a kept answer cannot be read"))?;
    if let Some(about) = About::of_path(path).or(kept.about()) {
        about.readable_by(principal.address, state).await?;
    }
    let mut response = kept.into_response();
    response
        .headers_mut()
        .insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Whether the request alone decided the answer.
fn lasts(status: StatusCode) -> bool {
    let depends = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::PAYMENT_REQUIRED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    );
    !depends && !status.is_server_error()
}

/// Ends the ticket as the answer says: at once, or with the last byte of a stream.
async fn keep(ticket: Ticket, response: Response, path: &str) -> Response {
    if !lasts(response.status()) {
        ticket.finish(Ending::Released).await;
        return response;
    }
    let head = Head::of(&response);
    let (parts, body) = response.into_parts();
    let is_stream = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let length = body
        .size_hint()
        .exact()
        .and_then(|length| usize::try_from(length).ok());
    let body = match length {
        Some(length) if length > LARGEST => {
            ticket.finish(Ending::TooLarge).await;
            body
        }
        Some(_) if !is_stream => match body.collect().await {
            Ok(whole) => {
                let whole = whole.to_bytes();
                ticket.finish(Ending::Answered(head.with(&whole).into())).await;
                Body::from(whole)
            }
            // It was in memory already.
            Err(error) => return ApiError::internal(error).into_response(),
        },
        _ => Body::from_stream(Recording::new(body, ticket, &head, path)),
    };
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests;
