//! From a model's arguments to a request.

use super::{ParameterType, Place, RpcParameter, RpcTool};
use crate::content::is_header_value;
use haithe_kernel::{FetchRequest, Redirects};
use serde_json::{Map, Value};
use std::time::Duration;

/// Most bytes of a model's arguments.
const MOST_ARGUMENTS: usize = 64 << 10;
/// Most bytes of a value that goes into the address or a header.
const MOST_VALUE: usize = 2_048;
/// Most bytes of a tool's answer.
const MOST_ANSWER: usize = 256 << 10;
/// Longest time for a call.
const WITHIN: Duration = Duration::from_secs(15);

/// What a model did wrong. Written for the model, which may try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not a JSON object.
    #[error("the arguments must be a JSON object of at most 65,536 bytes")]
    Form,
    /// A name that the tool does not have.
    #[error("there is no parameter `{0}`")]
    Unknown(String),
    /// A required one is missing.
    #[error("the parameter `{0}` is required")]
    Missing(String),
    /// Another type.
    #[error("the parameter `{name}` must be of type {expected}")]
    Type {
        /// Which.
        name: String,
        /// JSON Schema's word.
        expected: &'static str,
    },
    /// A value that cannot stand where it goes.
    #[error("the parameter `{0}` has a value that cannot be sent")]
    Value(String),
    /// Values that would lead to another address than the tool's.
    #[error("a parameter of the address must not be empty, `.` or `..`")]
    Address,
}

impl RpcTool {
    /// The request for a model's arguments, as it wrote them (nothing is the same as `{}`).
    ///
    /// # Errors
    /// [`ArgumentError`] when they are not what [`schema`](Self::schema) asks for.
    pub fn request(&self, arguments: &str) -> Result<FetchRequest, ArgumentError> {
        let mut given = read(arguments)?;
        let mut path: Vec<(&str, String)> = Vec::new();
        let mut query: Vec<(&str, String)> = Vec::new();
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut body = Map::new();
        for parameter in &self.parameters {
            let name = &parameter.name;
            // Models write null for what they leave out.
            let value = given.remove(name).filter(|value| !value.is_null());
            let Some(value) = value else {
                if parameter.required {
                    return Err(ArgumentError::Missing(name.clone()));
                }
                continue;
            };
            typed(parameter, &value)?;
            match parameter.place {
                Place::Path => path.push((name, text(parameter, &value)?)),
                Place::Query => query.push((name, text(parameter, &value)?)),
                Place::Header => {
                    let value = text(parameter, &value)?;
                    if !is_header_value(&value) {
                        return Err(ArgumentError::Value(name.clone()));
                    }
                    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
                    headers.push((name.clone(), value));
                }
                Place::Body => {
                    body.insert(name.clone(), value);
                }
            }
        }
        if let Some((name, _)) = given.into_iter().next() {
            return Err(ArgumentError::Unknown(name));
        }
        if path.iter().any(|(_, value)| value.is_empty()) {
            return Err(ArgumentError::Address);
        }
        let value = |name: &str| {
            let found = path.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.as_str())
        };
        let mut url = self.url.fill(value).map_err(|_| ArgumentError::Address)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let has_body = self
            .parameters
            .iter()
            .any(|parameter| parameter.place == Place::Body);
        if has_body {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            headers.push(("content-type".into(), "application/json".into()));
        }
        Ok(FetchRequest {
            method: self.method,
            url: url.into(),
            headers,
            body: if has_body {
                Value::Object(body).to_string().into_bytes()
            } else {
                Vec::new()
            },
            most_bytes: MOST_ANSWER,
            within: WITHIN,
            // The creator declared this address, and the model's arguments are for it alone.
            redirects: Redirects::Refused,
        })
    }
}

fn read(arguments: &str) -> Result<Map<String, Value>, ArgumentError> {
    if arguments.trim().is_empty() {
        return Ok(Map::new());
    }
    if arguments.len() > MOST_ARGUMENTS {
        return Err(ArgumentError::Form);
    }
    serde_json::from_str(arguments).map_err(|_| ArgumentError::Form)
}

fn typed(parameter: &RpcParameter, value: &Value) -> Result<(), ArgumentError> {
    let fits = match parameter.kind {
        ParameterType::String => value.is_string(),
        ParameterType::Number => value.is_number(),
        // JSON Schema: 1.0 is an integer.
        ParameterType::Integer => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        ParameterType::Boolean => value.is_boolean(),
        ParameterType::Array => value.is_array(),
        ParameterType::Object => value.is_object(),
    };
    if fits {
        Ok(())
    } else {
        Err(ArgumentError::Type {
            name: parameter.name.clone(),
            expected: parameter.kind.as_str(),
        })
    }
}

/// A value as it stands in an address or a header.
fn text(parameter: &RpcParameter, value: &Value) -> Result<String, ArgumentError> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.len() > MOST_VALUE {
        return Err(ArgumentError::Value(parameter.name.clone()));
    }
    Ok(text)
}
