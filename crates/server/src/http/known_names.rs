//! Refuses what no extractor would read: unknown query parameters, and a body where a route takes none.
//!
//! [`Input`](super::extract::Input) refuses unknown fields of the routes that take a JSON body. The query of
//! the others belongs to several extractors, and some routes have none at all; here their names are compared
//! with the route's own documentation. A handler cannot be registered without it, so that a new route is
//! checked without doing anything.
//!
//! The dialects of model providers pass unknown fields on, and probes and documents outside `/api/v1` and
//! `/api/v1beta` are left alone.

use super::{
    ApiError,
    body::{BodyLimits, BodyMemory},
    extract::{Origin, UnknownName, twice},
};
use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::Method;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock},
    time::Duration,
};
use url::form_urlencoded;
use utoipa::openapi::{
    RefOr,
    path::{Operation, ParameterIn},
};

/// A body that has to be empty is read no further than this.
const EMPTY_BODY: BodyLimits = BodyLimits {
    bytes: 4096,
    time: Duration::from_secs(10),
    memory: BodyMemory::UNUSED,
};

/// What an operation takes, by its documentation.
#[derive(Debug, Default)]
struct Accepted {
    query: BTreeSet<String>,
    /// It has a body of any kind.
    body: bool,
    /// Its query and its body are read by [`Input`](super::extract::Input).
    by_input: bool,
}

impl Accepted {
    fn of(operation: Operation) -> Self {
        let parameters = operation.parameters.into_iter().flatten();
        let query = parameters.filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name),
            _ => None,
        });
        let body = operation.request_body;
        let by_input = body.as_ref().is_some_and(|body| match body {
            RefOr::T(body) => body.content.contains_key("application/json"),
            RefOr::Ref(_) => false,
        });
        Self {
            query: query.collect(),
            body: body.is_some(),
            by_input,
        }
    }
}

/// One operation; its documentation is composed when it is first needed.
#[derive(Debug)]
struct Known {
    describe: fn() -> Operation,
    accepted: OnceLock<Accepted>,
}

/// What each operation takes, by path and method.
#[derive(Debug, Clone, Default)]
pub struct KnownNames(Arc<HashMap<(String, Method), Known>>);

impl KnownNames {
    /// Of these operations: path, method, documentation.
    pub fn of(operations: impl IntoIterator<Item = (String, Method, fn() -> Operation)>) -> Self {
        let known =
            operations
                .into_iter()
                .filter(|(path, ..)| is_checked(path))
                .map(|(path, method, describe)| {
                    let accepted = OnceLock::new();
                    ((path, method), Known { describe, accepted })
                });
        Self(Arc::new(known.collect()))
    }

    fn accepted(&self, path: &str, method: &Method) -> Option<&Accepted> {
        let method = match *method {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        let known = self.0.get(&(path.to_owned(), method))?;
        Some(known.accepted.get_or_init(|| Accepted::of((known.describe)())))
    }
}

/// Whether unknown names are refused under this path.
pub fn is_checked(path: &str) -> bool {
    (path.starts_with("/api/v1/") || path.starts_with("/api/v1beta/"))
        && !path.starts_with("/api/v1beta/openai/")
}

/// The middleware.
pub async fn refuse_unknown(State(known): State<KnownNames>, request: Request, next: Next) -> Response {
    let accepted = request.extensions().get::<MatchedPath>().cloned();
    let accepted =
        accepted.and_then(|path| known.accepted(path.as_str(), request.method()).map(|a| (path, a)));
    let Some((_, accepted)) = accepted else {
        return next.run(request).await;
    };
    match check(accepted, request).await {
        Ok(request) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn check(accepted: &Accepted, request: Request) -> Result<Request, ApiError> {
    if accepted.by_input {
        return Ok(request);
    }
    check_query(accepted, request.uri().query().unwrap_or_default())?;
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    if accepted.body || is_get || request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = EMPTY_BODY.read(&parts, body).await?;
    check_empty(&body)?;
    Ok(Request::from_parts(parts, Body::empty()))
}

fn check_query(accepted: &Accepted, query: &str) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        if !accepted.query.contains(&*name) {
            let known = accepted.query.iter().map(String::as_str);
            return Err(UnknownName::new(Origin::Query, &[], &name, known).into());
        }
        if !seen.insert(name.clone()) {
            return Err(twice(&name));
        }
    }
    Ok(())
}

/// Nothing, blanks, or an empty object.
fn check_empty(body: &[u8]) -> Result<(), ApiError> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(());
    }
    let fields = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body);
    match fields.map(|fields| fields.into_iter().next()) {
        Ok(None) => Ok(()),
        Ok(Some((name, _))) => Err(UnknownName::new(Origin::Body, &[], &name, []).into()),
        Err(_) => Err(ApiError::bad_request(
            "unexpected_body",
            "this route takes no body; send none, or `{}`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(query: &[&str]) -> Accepted {
        Accepted {
            query: query.iter().map(|&name| name.to_owned()).collect(),
            ..Accepted::default()
        }
    }

    #[test]
    fn unknown_and_repeated_query_parameters_are_refused() {
        let takes = accepted(&["limit", "offset"]);
        assert!(check_query(&takes, "").is_ok());
        assert!(check_query(&takes, "limit=1&offset=2").is_ok());
        let code = |query: &str| check_query(&takes, query).unwrap_err().code.to_string();
        assert_eq!(code("page=2"), "unknown_parameter");
        assert_eq!(code("LIMIT=2"), "unknown_parameter");
        assert_eq!(code("limit=1&limit=1"), "conflicting_parameter");
        let message = check_query(&takes, "page=2").unwrap_err().message.clone();
        assert_eq!(
            message,
            "unknown query parameter `page`; known: `limit`, `offset`"
        );
    }

    #[test]
    fn only_nothing_and_an_empty_object_are_no_body() {
        for body in ["", "  \n", "{}", " { } "] {
            assert!(check_empty(body.as_bytes()).is_ok(), "{body:?}");
        }
        let code = |body: &str| check_empty(body.as_bytes()).unwrap_err().code.to_string();
        assert_eq!(code(r#"{"others":true}"#), "unknown_field");
        for body in ["[]", "null", "7", "x", "\u{feff}{}"] {
            assert_eq!(code(body), "unexpected_body", "{body}");
        }
    }

    #[test]
    fn dialects_of_providers_and_probes_are_left_alone() {
        for (path, checked) in [
            ("/api/v1/me", true),
            ("/api/v1beta/chat/conversations", true),
            ("/api/v1beta/openai/models", false),
            ("/api/v1beta/openai/chat/completions", false),
            ("/health", false),
            ("/api/openapi.json", false),
        ] {
            assert_eq!(is_checked(path), checked, "{path}");
        }
    }
}
