//! Parameters from the query and, where the route takes them, from a JSON body by the same names.
//!
//! The existing frontend sends them in the query; everybody else may prefer the body. The body wins,
//! but the same name with two different values is refused rather than guessed. POST, PATCH and
//! DELETE may say JSON and carry nothing.

use crate::http::{
    ApiError,
    body::{BodyLimits, expect_json},
};
use axum::extract::{FromRef, FromRequest, Request};
use http::Method;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    str::FromStr,
};
use url::form_urlencoded;

/// A request's parameters by name.
#[derive(Debug, Default)]
pub struct Params(BTreeMap<String, Given>);

#[derive(Debug, PartialEq, Eq)]
enum Given {
    /// A query parameter; or a JSON string, number or boolean, as its text.
    Text(String),
    /// JSON `null`.
    Null,
    /// A JSON array or object, as written.
    Json(String),
}

/// What a field that may be cleared was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// Not mentioned.
    Keep,
    /// `null`.
    Clear,
    /// A value.
    Set(T),
}

impl Params {
    /// A parameter that must be there.
    ///
    /// # Errors
    /// 400 when it is missing or malformed.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, ApiError> {
        self.optional(name)?.ok_or_else(|| {
            let mut error = ApiError::bad_request(
                "missing_parameter",
                format!("`{name}` is missing: give it in the query or in a JSON body"),
            );
            error.param = Some(name.to_owned());
            error
        })
    }

    /// A parameter that may be left out; `null` leaves it out.
    ///
    /// # Errors
    /// 400 when it is malformed.
    pub fn optional<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.change(name)? {
            Change::Keep | Change::Clear => Ok(None),
            Change::Set(value) => Ok(Some(value)),
        }
    }

    /// A parameter that can be set, cleared with `null`, or left alone.
    ///
    /// # Errors
    /// 400 when it is malformed.
    pub fn change<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Change<T>, ApiError> {
        match self.0.get(name) {
            None => Ok(Change::Keep),
            Some(Given::Null) => Ok(Change::Clear),
            Some(Given::Text(text)) => text
                .parse()
                .map(Change::Set)
                .map_err(|problem| ApiError::parameter(name, problem)),
            Some(Given::Json(_)) => Err(ApiError::parameter(name, "must be a single value")),
        }
    }

    /// A parameter with structure, from a JSON body only.
    ///
    /// # Errors
    /// 400 when it is malformed.
    pub fn structured<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.0.get(name) {
            None | Some(Given::Null) => Ok(None),
            Some(Given::Json(json)) => serde_json::from_str(json)
                .map(Some)
                .map_err(|problem| ApiError::parameter(name, problem)),
            Some(Given::Text(_)) => Err(ApiError::parameter(name, "must be a JSON array or object")),
        }
    }

    fn of_query(query: &str) -> Result<Self, ApiError> {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(ApiError::bad_request(
                    "invalid_query",
                    "the query is not valid UTF-8",
                ));
            }
            let given = Given::Text(value.into_owned());
            if params.0.get(&*name).is_some_and(|before| *before != given) {
                return Err(twice(&name));
            }
            params.0.insert(name.into_owned(), given);
        }
        Ok(params)
    }

    fn add_body(&mut self, body: &[u8]) -> Result<(), ApiError> {
        if body.trim_ascii().is_empty() {
            return Ok(());
        }
        let Fields(fields) = serde_json::from_slice(body).map_err(|error| invalid_json(&error))?;
        let mut seen = BTreeMap::new();
        for (name, raw) in fields {
            let given = Given::of(&raw).map_err(|problem| ApiError::parameter(&name, problem))?;
            let differs = self.0.get(&name).is_some_and(|before| *before != given);
            if differs || seen.insert(name.clone(), ()).is_some() {
                return Err(twice(&name));
            }
            self.0.insert(name, given);
        }
        Ok(())
    }
}

fn invalid_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request("invalid_json", format!("the body must be a JSON object: {error}"))
}

fn twice(name: &str) -> ApiError {
    let mut error = ApiError::bad_request(
        "conflicting_parameter",
        format!("`{name}` is given more than once, with different values"),
    );
    error.param = Some(name.to_owned());
    error
}

impl Given {
    /// The only JSON that parses raw and not as text is a string with half a surrogate pair.
    fn of(raw: &RawValue) -> Result<Self, &'static str> {
        let text = raw.get().trim();
        Ok(match text.as_bytes().first() {
            Some(b'"') => Self::Text(
                serde_json::from_str(text)
                    .map_err(|_| "is not valid text: an escape in it is half of a surrogate pair")?,
            ),
            Some(b'{' | b'[') => Self::Json(text.to_owned()),
            _ if text == "null" => Self::Null,
            _ => Self::Text(text.to_owned()),
        })
    }
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

impl<S> FromRequest<S> for Params
where
    S: Send + Sync,
    BodyLimits: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut params = Self::of_query(parts.uri.query().unwrap_or_default())?;
        if matches!(parts.method, Method::GET | Method::HEAD) {
            return Ok(params);
        }
        let body = BodyLimits::from_ref(state).read(&parts.headers, body).await?;
        if !body.is_empty() {
            expect_json(&parts.headers)?;
        }
        params.add_body(&body)?;
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str, body: &str) -> Result<Params, ApiError> {
        let mut params = Params::of_query(query)?;
        params.add_body(body.as_bytes())?;
        Ok(params)
    }

    fn refusal(query: &str, body: &str) -> String {
        params(query, body).unwrap_err().code.to_string()
    }

    #[test]
    fn the_query_and_the_body_give_the_same_parameters() {
        let from_query = params("org_id=7&name=a%20b&flag=true", "").unwrap();
        let from_body = params("", r#"{"org_id":7,"name":"a b","flag":true}"#).unwrap();
        for params in [from_query, from_body] {
            assert_eq!(params.required::<i64>("org_id").unwrap(), 7);
            assert_eq!(params.required::<String>("name").unwrap(), "a b");
            assert!(params.required::<bool>("flag").unwrap());
        }
    }

    #[test]
    fn the_same_value_twice_is_fine_and_two_values_are_not() {
        assert_eq!(
            params("id=7", r#"{"id":7}"#)
                .unwrap()
                .required::<i64>("id")
                .unwrap(),
            7
        );
        assert_eq!(refusal("id=7", r#"{"id":8}"#), "conflicting_parameter");
        assert_eq!(refusal("id=7&id=8", ""), "conflicting_parameter");
        assert_eq!(refusal("", r#"{"id":7,"id":7}"#), "conflicting_parameter");
    }

    #[test]
    fn a_number_of_any_size_keeps_its_digits() {
        let params = params("", r#"{"price":123456789012345678901234567890}"#).unwrap();
        assert_eq!(
            params.required::<u128>("price").unwrap(),
            123_456_789_012_345_678_901_234_567_890
        );
    }

    #[test]
    fn null_clears_and_absence_keeps() {
        let params = params("", r#"{"days":null}"#).unwrap();
        assert_eq!(params.change::<u16>("days").unwrap(), Change::Clear);
        assert_eq!(params.change::<u16>("other").unwrap(), Change::Keep);
        assert_eq!(params.optional::<u16>("days").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_name() {
        for body in ["[]", "{", "7", "\"x\"", "{\"a\":}", "\u{feff}{}"] {
            assert_eq!(refusal("", body), "invalid_json", "{body}");
        }
        assert_eq!(refusal("name=%ff", ""), "invalid_query");
        assert_eq!(refusal("", r#"{"name":"\ud800"}"#), "invalid_parameter");
        let params = params("id=x", r#"{"role":["a"]}"#).unwrap();
        let error = params.required::<i64>("id").unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.param.as_deref()),
            ("invalid_parameter", Some("id"))
        );
        assert_eq!(
            params.required::<String>("role").unwrap_err().code,
            "invalid_parameter"
        );
        assert_eq!(
            params.required::<i64>("none").unwrap_err().code,
            "missing_parameter"
        );
    }

    #[test]
    fn an_empty_body_that_says_json_is_no_body() {
        assert!(params("", "").is_ok());
        assert!(params("", " \r\n").is_ok());
    }
}
