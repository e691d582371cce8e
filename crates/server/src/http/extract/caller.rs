//! A caller of inference: a session or an API key, with the context it acts in.

use super::{Client, Proxies, auth::bearer};
use crate::http::{ApiError, limits::Limiter, security::Event};
use axum::extract::{FromRef, FromRequestParts};
use haithe_identity::{
    AuthError, Authenticator, Credential, Principal, api_key::RouteFamily, authenticator::is_key,
};
use haithe_kernel::{CallId, OrgId, ProjectId, Usdt};
use haithe_orgs::{ContextClaim, ContextError, Contexts, ports::CallContext};
use http::{HeaderMap, HeaderName, request::Parts};
use std::{fmt::Display, str::FromStr, sync::Arc};

/// The most that a call may cost, in USDT.
pub const HAITHE_MAX_COST: HeaderName = HeaderName::from_static("haithe-max-cost");

/// A caller who may call models as a project.
#[derive(Debug, Clone)]
pub struct ApiCaller {
    /// Who.
    pub principal: Principal,
    /// Who pays, and as which project.
    pub context: Arc<CallContext>,
    /// The id that a call has to have, where that was decided before.
    pub call: Option<CallId>,
    /// The most that the whole call may cost, by the header `Haithe-Max-Cost`.
    pub max_cost: Option<Usdt>,
}

impl ApiCaller {
    /// Payer and project.
    pub fn account(&self) -> (OrgId, ProjectId) {
        (self.context.payer.id, self.context.project.id)
    }
}

/// What the context headers say: Haithe's and OpenAI's names mean the same.
///
/// # Errors
/// 400 when a header is repeated, malformed, or two disagree.
pub fn claim_of(headers: &HeaderMap) -> Result<ContextClaim, ApiError> {
    Ok(ContextClaim {
        org: named(headers, ["haithe-organization", "openai-organization"])?,
        project: named(headers, ["haithe-project", "openai-project"])?,
        from: None,
    })
}

fn named<T>(headers: &HeaderMap, names: [&'static str; 2]) -> Result<Option<T>, ApiError>
where
    T: FromStr<Err: Display> + PartialEq,
{
    let mut claimed: Option<T> = None;
    for name in names {
        let mut given = headers.get_all(name).iter();
        let Some(value) = given.next() else { continue };
        if given.next().is_some() {
            return Err(conflict(format!("the header {name} is given more than once")));
        }
        let malformed = |problem: &dyn Display| {
            ApiError::bad_request("context_malformed", format!("the header {name}: {problem}"))
        };
        let text = value.to_str().map_err(|_| malformed(&"must be plain text"))?;
        let uid: T = text.trim().parse().map_err(|error| malformed(&error))?;
        if claimed.as_ref().is_some_and(|claimed| *claimed != uid) {
            let [haithe, openai] = names;
            return Err(conflict(format!(
                "the headers {haithe} and {openai} disagree; send one of them"
            )));
        }
        claimed = Some(uid);
    }
    Ok(claimed)
}

fn conflict(message: String) -> ApiError {
    ApiError::bad_request("context_conflict", message)
}

/// The most that a call may cost, the model included, as the header `Haithe-Max-Cost` says.
///
/// # Errors
/// 400 when the header is repeated or not an amount.
pub fn max_cost_of(headers: &HeaderMap) -> Result<Option<Usdt>, ApiError> {
    let mut given = headers.get_all(HAITHE_MAX_COST).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let refuse = |problem: &str| {
        let mut error = ApiError::bad_request(
            "invalid_max_cost",
            format!("the header Haithe-Max-Cost {problem}"),
        );
        error.param = Some("Haithe-Max-Cost".into());
        error
    };
    if given.next().is_some() {
        return Err(refuse("is given more than once; send it once"));
    }
    let amount: Option<Usdt> = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    amount
        .filter(|amount| !amount.is_negative())
        .map(Some)
        .ok_or_else(|| {
            refuse("must be a decimal number of USDT, zero or more, with at most nine decimals, such as 0.05")
        })
}

/// The family of a path under `/api/v1beta`, which keys can be bound to. A path without one is closed
/// to keys that are bound to routes.
fn family(path: &str) -> Option<RouteFamily> {
    let path = path.strip_prefix("/api/v1beta/")?;
    let under = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    [
        ("openai/chat/completions", RouteFamily::ChatCompletions),
        ("openai/models", RouteFamily::Models),
        ("openai/embeddings", RouteFamily::Embeddings),
        ("chat/conversations", RouteFamily::Conversations),
        ("webhook", RouteFamily::Webhooks),
    ]
    .into_iter()
    .find_map(|(prefix, family)| under(prefix).then_some(family))
}

/// Whoever asks a route under `/api/v1beta`, by a session or an API key that is good for this route.
///
/// # Errors
/// [`AuthError`], told to the security log where a key is at fault.
pub async fn principal<S>(parts: &Parts, state: &S) -> Result<Principal, AuthError>
where
    Arc<Authenticator>: FromRef<S>,
    Proxies: FromRef<S>,
{
    let bearer = bearer(&parts.headers).map_err(|error| match error {
        // No credential at all, where programs come with keys.
        AuthError::InvalidToken => AuthError::InvalidKey,
        error => error,
    })?;
    let authenticator = Arc::<Authenticator>::from_ref(state);
    let principal = authenticator.any(bearer, family(parts.uri.path())).await;
    principal.inspect_err(|error| {
        let client = || Client::of(parts, &Proxies::from_ref(state));
        match error {
            AuthError::KeyScope { address, key } => client()
                .did(Event::KeyOutOfScope)
                .wallet(*address)
                .key(*key)
                .because("the route")
                .log(),
            AuthError::InvalidKey if is_key(bearer) => {
                client().did(Event::KeyRefused).because("not a live key").log();
            }
            _ => {}
        }
    })
}

impl<S> FromRequestParts<S> for ApiCaller
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
    Arc<Contexts>: FromRef<S>,
    Proxies: FromRef<S>,
    Limiter: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // Established before, for a request that names itself; it is counted once.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let principal = principal(parts, state).await?;
        let max_cost = max_cost_of(&parts.headers)?;
        let contexts = Arc::<Contexts>::from_ref(state);
        let claim = ContextClaim {
            from: Client::of(parts, &Proxies::from_ref(state)).ip,
            ..claim_of(&parts.headers)?
        };
        let resolved = contexts.resolve(&principal, claim).await;
        if let (Err(ContextError::KeyScope), Credential::ApiKey(key)) = (&resolved, &principal.credential) {
            Client::of(parts, &Proxies::from_ref(state))
                .did(Event::KeyOutOfScope)
                .wallet(key.address)
                .key(key.id)
                .because("the organization or project")
                .log();
        }
        let context = resolved?;
        Limiter::from_ref(state).call(parts, &principal, &context)?;
        Ok(Self {
            principal,
            context,
            call: None,
            max_cost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const ONE: &str = "0190a0b0c0d0e0f00102030405060708";
    const TWO: &str = "1190a0b0c0d0e0f00102030405060708";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn both_names_and_the_optional_prefix_mean_the_same() {
        let prefixed = format!("org-{ONE}");
        let claim = claim_of(&headers(&[
            ("haithe-organization", ONE),
            ("openai-organization", &prefixed),
            ("openai-project", TWO),
        ]))
        .unwrap();
        assert_eq!(claim.org, Some(ONE.parse().unwrap()));
        assert_eq!(claim.project, Some(TWO.parse().unwrap()));
        assert_eq!(claim_of(&HeaderMap::new()).unwrap(), ContextClaim::default());
    }

    #[test]
    fn every_route_of_programs_has_its_family() {
        for (path, expected) in [
            (
                "/api/v1beta/openai/chat/completions",
                Some(RouteFamily::ChatCompletions),
            ),
            ("/api/v1beta/openai/models", Some(RouteFamily::Models)),
            ("/api/v1beta/openai/models/a/b", Some(RouteFamily::Models)),
            ("/api/v1beta/openai/embeddings", Some(RouteFamily::Embeddings)),
            (
                "/api/v1beta/chat/conversations/7/messages",
                Some(RouteFamily::Conversations),
            ),
            ("/api/v1beta/webhook/7", Some(RouteFamily::Webhooks)),
            ("/api/v1beta/openai/modelsx", None),
            ("/api/v1beta/else", None),
            ("/api/v1/openai/models", None),
        ] {
            assert_eq!(family(path), expected, "{path}");
        }
    }

    #[test]
    fn repeated_disagreeing_and_malformed_headers_are_refused() {
        for (pairs, code) in [
            (
                vec![("haithe-organization", ONE), ("haithe-organization", ONE)],
                "context_conflict",
            ),
            (
                vec![("haithe-organization", ONE), ("openai-organization", TWO)],
                "context_conflict",
            ),
            (
                vec![("openai-project", ONE), ("haithe-project", TWO)],
                "context_conflict",
            ),
            (vec![("haithe-project", "")], "context_malformed"),
            (vec![("haithe-project", "proj-12")], "context_malformed"),
        ] {
            assert_eq!(claim_of(&headers(&pairs)).unwrap_err().code, code, "{pairs:?}");
        }
        let mut bytes = HeaderMap::new();
        bytes.insert("haithe-project", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(claim_of(&bytes).unwrap_err().code, "context_malformed");
    }

    #[test]
    fn a_maximum_cost_is_one_amount_of_zero_or_more() {
        let read = |pairs: &[(&'static str, &str)]| max_cost_of(&headers(pairs));
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(
            read(&[("haithe-max-cost", " 0.05 ")]).unwrap(),
            Some(Usdt::from_nano(50_000_000))
        );
        assert_eq!(read(&[("haithe-max-cost", "0")]).unwrap(), Some(Usdt::ZERO));
        for bad in ["", "-1", "1e3", "0.0000000001", "1,5", "0x1", "9999999999999"] {
            assert_eq!(
                read(&[("haithe-max-cost", bad)]).unwrap_err().code,
                "invalid_max_cost",
                "{bad}"
            );
        }
        let twice = read(&[("haithe-max-cost", "1"), ("haithe-max-cost", "1")]);
        assert_eq!(twice.unwrap_err().code, "invalid_max_cost");
    }
}
