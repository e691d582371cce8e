//! Around the router: names every request, catches panics, renders every failure, writes one log line.

use super::{
    dialect::Dialect,
    error::{ApiError, Failed},
};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use haithe_inference::conceal::conceal;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use std::{
    any::Any,
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower::Service;
use uuid::Uuid;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Answers of an API load nothing and are framed by nobody.
const API_CSP: &str = "default-src 'none'; frame-ancestors 'none'";
const LONGEST_REQUEST_ID: usize = 64;
/// Characters of a path that are logged.
const LONGEST_PATH: usize = 200;

/// A request's name: the caller's own where it is short and plain, else a fresh one.
#[derive(Debug, Clone)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(headers: &HeaderMap) -> Self {
        let plain = |id: &&str| {
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.bytes().all(safe)
        };
        let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
        match given.filter(plain) {
            Some(id) => Self(id.into()),
            None => Self(Uuid::now_v7().simple().to_string().into()),
        }
    }
}

/// Marks a failure's response that carries its own body already.
#[derive(Debug, Clone, Copy)]
pub struct Rendered;

/// Wraps the router.
#[derive(Debug, Clone)]
pub struct Edge<S> {
    inner: S,
    /// Goes with every answer, where it is wanted (RFC 6797).
    hsts: Option<HeaderValue>,
}

impl<S> Edge<S> {
    /// Wraps `inner`. `hsts`: for how long browsers shall reach this host by HTTPS only.
    pub fn new(inner: S, hsts: Option<Duration>) -> Self {
        let hsts = hsts.and_then(|span| HeaderValue::try_from(format!("max-age={}", span.as_secs())).ok());
        Self { inner, hsts }
    }
}

impl<S> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let began = Instant::now();
        let id = RequestId::of(request.headers());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        request.extensions_mut().insert(id.clone());
        let answer = self.inner.call(request);
        let hsts = self.hsts.clone();
        Box::pin(async move {
            let response = match AssertUnwindSafe(answer).catch_unwind().await {
                Ok(Ok(response)) => response,
                Err(panic) => panicked(panic.as_ref()),
            };
            let path = uri.path();
            let mut response = finish(response, &method, path, &id);
            if let Some(hsts) = hsts {
                response
                    .headers_mut()
                    .insert(header::STRICT_TRANSPORT_SECURITY, hsts);
            }
            tracing::info!(
                target: "haithe::request",
                request_id = id.as_str(),
                method = method.as_str(),
                path = loggable(path).as_str(),
                status = response.status().as_u16(),
                duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
                "request"
            );
            Ok(response)
        })
    }
}

/// A path fit for a log line: short, and without a credential that somebody put there.
fn loggable(path: &str) -> String {
    let mut shown: String = path.chars().take(LONGEST_PATH).collect();
    conceal(&mut shown);
    shown
}

/// A text fit for a log line: it may repeat what the request said.
fn without_credentials(text: &str) -> String {
    let mut shown = text.to_owned();
    conceal(&mut shown);
    shown
}

fn finish(mut response: Response, method: &Method, path: &str, id: &RequestId) -> Response {
    let failed = response.extensions_mut().remove::<Failed>();
    let status = response.status();
    if let Some(Failed(error)) = failed {
        report(&error, method, path, id);
        fail(&mut response, &error, Dialect::of(path), id);
    } else if (status.is_client_error() || status.is_server_error())
        && response.extensions().get::<Rendered>().is_none()
    {
        let error = ApiError::of_status(status);
        report(&error, method, path, id);
        fail(&mut response, &error, Dialect::of(path), id);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Nothing here is meant to be shown in a frame; pages bring a policy of their own.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(API_CSP));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The one place where a failure is logged.
fn report(error: &ApiError, method: &Method, path: &str, id: &RequestId) {
    let shown = loggable(path);
    let private = is_private(path);
    let (method, path) = (method.as_str(), shown.as_str());
    let id = id.as_str();
    let code = error.own_code.unwrap_or(error.code.as_ref());
    if error.status.is_client_error() && private {
        tracing::debug!(target: "haithe::failure", request_id = id, method, path, code, "refused");
        return;
    }
    let causes = without_credentials(&error.causes());
    let message = without_credentials(&error.message);
    if error.status.is_server_error() {
        tracing::error!(target: "haithe::failure", request_id = id, method, path, code, causes, "{message}");
    } else {
        tracing::debug!(target: "haithe::failure", request_id = id, method, path, code, causes, "{message}");
    }
}

/// Whether what is said there is between a caller and a model: a refusal may quote it.
fn is_private(path: &str) -> bool {
    path.starts_with("/api/v1beta/")
}

fn fail(response: &mut Response, error: &ApiError, dialect: Dialect, id: &RequestId) {
    *response.status_mut() = error.status;
    *response.body_mut() = Body::from(dialect.render(error, id.as_str()));
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = error.retry_after {
        // 0 would have everybody back at once.
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if let Some((quota, standing)) = error.rate {
        super::limits::tell(headers, quota, standing);
    }
    if error.status == http::StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
}

/// What a caught panic answers.
fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned());
    ApiError::internal(format!("panic: {text}")).into_response()
}
