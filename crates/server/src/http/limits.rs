//! Rates at the door: by address for every request, by key, project and organization for calls.
//!
//! An address is looked at before anything else is done for it. The others are known once the caller
//! is, so [`ApiCaller`](super::extract::ApiCaller) asks for them; nothing is set aside before that.
//! Calls are told where their tightest quota stands in OpenAI's headers.

use super::{ApiError, extract::Proxies, serve::Peer};
use crate::{
    service::{
        metrics::{Figures, Refused},
        rates::{Exhausted, Quota, Rates, Standing, Subject, TokenRates},
    },
    state::AppState,
};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use haithe_identity::{Credential, Principal};
use haithe_inference::{ports::TokenClaim, webhooks::WebhookId};
use haithe_orgs::ports::CallContext;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Requests per minute; 0 is no limit. Keys have theirs in their row.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestQuotas {
    /// Of a client network.
    pub ip: u32,
    /// Of a client network: login attempts, and as many challenges for them.
    pub login: u32,
    /// Of a project.
    pub project: u32,
    /// Of an organization.
    pub org: u32,
    /// Of a webhook.
    pub webhook: u32,
}

/// What the limits need.
#[derive(Clone)]
pub struct Limiter {
    rates: Arc<Rates>,
    quotas: RequestQuotas,
    tokens: Arc<TokenRates>,
    figures: Arc<Figures>,
}

impl Limiter {
    /// Counts requests in `rates`, refusals in `figures`, and looks at what is left in `tokens`.
    pub const fn new(
        rates: Arc<Rates>,
        quotas: RequestQuotas,
        tokens: Arc<TokenRates>,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            rates,
            quotas,
            tokens,
            figures,
        }
    }

    /// A request of this address to this path.
    fn address(&self, parts: &Parts, proxies: &Proxies) -> Result<(), ApiError> {
        let Some(peer) = parts.extensions.get::<Peer>() else {
            return Ok(());
        };
        let path = parts.uri.path();
        if path.starts_with("/health") {
            return Ok(());
        }
        let network = proxies.client(peer.ip(), &parts.headers).network();
        let quota = |subject, per_minute| Quota { subject, per_minute };
        let all = quota(Subject::Network(network), self.quotas.ip);
        // A login is a challenge and then a login: each counts in its own quota, so a login counts once.
        let quotas: &[Quota] = match path {
            "/api/v1/auth/nonce" | "/api/v1/auth/waitlist" => {
                &[quota(Subject::Challenge(network), self.quotas.login), all]
            }
            "/api/v1/auth/login" => &[quota(Subject::Login(network), self.quotas.login), all],
            _ => &[all],
        };
        self.rates
            .take(quotas, 1)
            .map(|_| ())
            .map_err(|spent| self.refuse(spent))
    }

    /// A call of this caller in this context.
    ///
    /// # Errors
    /// 429 when the key, the project or the organization has used its minute up.
    pub fn call(&self, parts: &Parts, principal: &Principal, context: &CallContext) -> Result<(), ApiError> {
        let [project, org] = self.of_context(context);
        let mut tokens = claim(context);
        match &principal.credential {
            Credential::ApiKey(key) => {
                tokens.api_key = Some((key.id, key.tokens_per_minute));
                let key = Quota {
                    subject: Subject::Key(key.id),
                    per_minute: key.requests_per_minute.unwrap_or(0),
                };
                self.take(parts, &[key, project, org], tokens)
            }
            Credential::Session(_) => self.take(parts, &[project, org], tokens),
        }
    }

    /// A verified message of a webhook, which calls in this context.
    ///
    /// # Errors
    /// 429 when the webhook, the project or the organization has used its minute up.
    pub fn webhook(&self, parts: &Parts, id: WebhookId, context: &CallContext) -> Result<(), ApiError> {
        let [project, org] = self.of_context(context);
        let webhook = Quota {
            subject: Subject::Webhook(id),
            per_minute: self.quotas.webhook,
        };
        self.take(parts, &[webhook, project, org], claim(context))
    }

    const fn of_context(&self, context: &CallContext) -> [Quota; 2] {
        [
            Quota {
                subject: Subject::Project(context.project.id),
                per_minute: self.quotas.project,
            },
            Quota {
                subject: Subject::Org(context.payer.id),
                per_minute: self.quotas.org,
            },
        ]
    }

    fn take(&self, parts: &Parts, quotas: &[Quota], tokens: TokenClaim) -> Result<(), ApiError> {
        let requests = self.rates.take(quotas, 1);
        let requests = requests.map_err(|spent| self.refuse(spent))?;
        if let Some(slot) = parts.extensions.get::<Slot>() {
            // The slot is the request's own: it is empty.
            let _ = slot.0.set(Told { requests, tokens });
        }
        Ok(())
    }

    fn refuse(&self, spent: Exhausted) -> ApiError {
        let Quota { subject, per_minute } = spent.quota;
        self.figures.refused(Refused::Requests, subject.dimension());
        let mut error = ApiError::transport(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            format!(
                "the limit of {per_minute} requests a minute is reached ({}); try again in {} s",
                subject.dimension(),
                spent.retry_after
            ),
        );
        error.kind = "requests".into();
        error.retry_after = Some(spent.retry_after);
        error.rate = Some((spent.quota, spent.standing));
        error
    }
}

/// Whose tokens a call in this context counts, beside its key's.
const fn claim(context: &CallContext) -> TokenClaim {
    TokenClaim {
        api_key: None,
        project: context.project.id,
        org: context.payer.id,
    }
}

/// What the headers of a call go by.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// How requests stood when it came.
    requests: Option<(Quota, Standing)>,
    /// Whose tokens count.
    tokens: TokenClaim,
}

/// Where the extractor leaves it.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<OnceLock<Told>>);

/// Around every route: counts requests, limits addresses, and adds the headers of calls.
pub async fn at_the_door(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = limited(&state, request, next).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let status = response.status().as_u16();
    state.figures().answered(method, route, status, began.elapsed());
    response
}

/// The method's name, from a bounded set.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

async fn limited(state: &AppState, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (limiter, proxies) = state.limiter();
    if let Err(refused) = limiter.address(&parts, proxies) {
        return refused.into_response();
    }
    if !parts.uri.path().starts_with("/api/v1beta/") {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let slot = Slot::default();
    parts.extensions.insert(slot.clone());
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let Some(told) = slot.0.get() else {
        return response;
    };
    if let Some((quota, standing)) = told.requests {
        tell(response.headers_mut(), quota, standing);
    }
    // After the call: what a document used is known by now, what a stream may use is taken.
    if let Some((quota, standing)) = limiter.tokens.standing(&told.tokens) {
        put(response.headers_mut(), TOKEN_HEADERS, quota, standing);
    }
    response
}

/// Limit, what remains of it, and until all of it does, in OpenAI's names (API reference, "Rate
/// limits in headers").
const REQUEST_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKEN_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// How requests stand.
pub fn tell(headers: &mut HeaderMap, quota: Quota, standing: Standing) {
    put(headers, REQUEST_HEADERS, quota, standing);
}

fn put(
    headers: &mut HeaderMap,
    [limit, remaining, reset]: [HeaderName; 3],
    quota: Quota,
    standing: Standing,
) {
    headers.insert(limit, HeaderValue::from(quota.per_minute));
    headers.insert(remaining, HeaderValue::from(standing.left));
    if let Ok(span) = HeaderValue::try_from(span(standing.full_in)) {
        headers.insert(reset, span);
    }
    headers
        .entry(header::VARY)
        .or_insert(HeaderValue::from_static("authorization"));
}

/// A span as OpenAI writes it: `250ms`, `1s`, `6m0s`.
fn span(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{}ms", span.as_millis()),
        seconds @ 1..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_writes_them() {
        assert_eq!(span(Duration::from_millis(250)), "250ms");
        assert_eq!(span(Duration::from_secs(59)), "59s");
        assert_eq!(span(Duration::from_secs(360)), "6m0s");
    }
}
