//! Parameters from the query and, where the route takes them, from a JSON body by the same names.
//!
//! The existing frontend sends them in the query; everybody else may prefer the body. The body wins,
//! but the same name with two different values is refused rather than guessed, and so is a name that comes
//! twice in the query or twice in one object. POST, PATCH, PUT and DELETE may say JSON and carry nothing.
//!
//! Names that a route does not know are refused: a restriction that is misspelt and dropped opens what it
//! should close. The struct's own fields are the list of known names, at every depth. What
//! [`Input`] cannot see (the query of a GET, whose parameters belong to several extractors, and routes that
//! take no parameters) is checked by [`crate::http::known_names`] against the route's documentation.
//!
//! A route's parameters are a struct: it says how they are read (`Deserialize`) and how they are
//! documented (`IntoParams`, `ToSchema`), so that the two cannot differ.

mod given;
mod known;
mod tree;
mod values;

pub use known::{Origin, UnknownName};
pub use values::{Change, Ignored, Parsed};

use crate::http::{
    ApiError,
    body::{BodyLimits, FREE_BYTES, expect_json},
};
use axum::extract::{FromRef, FromRequest, Request};
use given::{Entry, Given, Problem};
use http::{Method, header};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use url::form_urlencoded;

/// A request's parameters: the query alone for GET, the query and a JSON body for the others.
#[derive(Debug, Clone)]
pub struct Input<T>(pub T);

/// Parameters by name, not yet read.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, Entry>);

impl Names {
    fn of_query(query: &str) -> Result<Self, ApiError> {
        let mut names = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(ApiError::bad_request(
                    "invalid_query",
                    "the query is not valid UTF-8",
                ));
            }
            let entry = Entry {
                given: Given::Text(value.into_owned()),
                origin: Origin::Query,
            };
            if names.0.contains_key(&*name) {
                return Err(twice(&name));
            }
            names.0.insert(name.into_owned(), entry);
        }
        Ok(names)
    }

    fn add_body(&mut self, body: &[u8]) -> Result<(), ApiError> {
        if body.trim_ascii().is_empty() {
            return Ok(());
        }
        let Fields(fields) = serde_json::from_slice(body).map_err(|error| invalid_json(&error))?;
        let mut seen = BTreeSet::new();
        for (name, raw) in fields {
            let given = Given::of(&raw).map_err(|problem| ApiError::parameter(&name, problem))?;
            let differs = self.0.get(&name).is_some_and(|before| before.given != given);
            if differs || !seen.insert(name.clone()) {
                return Err(twice(&name));
            }
            let origin = Origin::Body;
            self.0.insert(name, Entry { given, origin });
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(self, query_is_checked: bool) -> Result<T, ApiError> {
        T::deserialize(given::Named::new(self.0, query_is_checked)).map_err(|problem| match problem {
            Problem::Unknown(unknown) => unknown.into(),
            Problem::Missing(name) => ApiError::missing_parameter(name),
            Problem::Value { name, problem } => ApiError::parameter(&name, problem),
            Problem::Other(problem) => ApiError::bad_request("invalid_parameter", problem),
        })
    }
}

fn invalid_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request("invalid_json", format!("the body must be a JSON object: {error}"))
}

/// The refusal of a name that is given twice.
pub fn twice(name: &str) -> ApiError {
    let name: String = name.chars().take(64).collect();
    let mut error = ApiError::bad_request(
        "conflicting_parameter",
        format!("`{name}` is given more than once; give it once"),
    );
    error.param = Some(name);
    error
}

/// The fields of an object in the order given, repeated ones too.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Object)
    }
}

impl<S, T> FromRequest<S> for Input<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
    BodyLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut names = Names::of_query(parts.uri.query().unwrap_or_default())?;
        let has_body = !matches!(parts.method, Method::GET | Method::HEAD);
        if has_body {
            let mut limits = BodyLimits::from_ref(state);
            if !parts.headers.contains_key(header::AUTHORIZATION) {
                limits = limits.at_most(FREE_BYTES);
            }
            let body = limits.read(&parts, body).await?;
            if !body.is_empty() {
                expect_json(&parts.headers)?;
            }
            names.add_body(&body)?;
        }
        names.read(!has_body).map(Self)
    }
}

/// Parameters from a JSON body alone, for secrets: an address, with its query, ends up in logs and
/// histories.
#[derive(Debug, Clone)]
pub struct Private<T>(pub T);

impl<S, T> FromRequest<S> for Private<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
    BodyLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            return Err(ApiError::bad_request(
                "invalid_query",
                "send a JSON body and no query: an address ends up in logs, and this is a secret",
            ));
        }
        let Input(input) = Input::from_request(request, state).await?;
        Ok(Self(input))
    }
}

#[cfg(test)]
mod tests;
