//! `tool:rpc`: an HTTP call that a model may make.
//!
//! ```json
//! {"name": "weather", "description": "The weather of a city now.", "method": "GET",
//!  "url": "https://api.example/v1/{city}", "headers": {"x-api-key": "…"},
//!  "parameters": [{"name": "city", "in": "path", "type": "string", "required": true,
//!                  "description": "In English."}]}
//! ```
//!
//! The model sees name, description and the schema of the parameters, never address or headers. What
//! it fills in can change neither host nor path: it lands where the creator's template says.

mod call;
mod template;

pub use call::ArgumentError;

use super::{ContentError, SecretHeaders, is_prose, is_token, json, rule};
use haithe_kernel::FetchMethod;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use template::Template;

/// Most parameters of a tool.
const MOST_PARAMETERS: usize = 64;
/// Most bytes of a description.
const MOST_DESCRIPTION: usize = 1_024;

/// Where an argument goes. The words are OpenAPI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In place of `{name}` in the address.
    Path,
    /// Behind the question mark.
    Query,
    /// As a header of this name.
    Header,
    /// As a field of a JSON object.
    Body,
}

/// JSON Schema's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "JSON Schema documents them")]
pub enum ParameterType {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
}

impl ParameterType {
    /// JSON Schema's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// What the model fills in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpcParameter {
    /// Its name, which is unique in the tool.
    pub name: String,
    /// Where it goes.
    #[serde(rename = "in")]
    pub place: Place,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// Whether the call needs it.
    #[serde(default)]
    pub required: bool,
    /// For the model.
    #[serde(default)]
    pub description: String,
}

/// A call that a model may make. Prints its name only.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcTool {
    name: String,
    description: String,
    method: FetchMethod,
    url: Template,
    headers: SecretHeaders,
    parameters: Vec<RpcParameter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    description: String,
    method: Method,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    parameters: Vec<RpcParameter>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl From<Method> for FetchMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::Get,
            Method::Post => Self::Post,
            Method::Put => Self::Put,
            Method::Patch => Self::Patch,
            Method::Delete => Self::Delete,
        }
    }
}

impl RpcTool {
    /// Reads the content.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let written: Written = json(bytes)?;
        let function = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        rule(
            (1..=64).contains(&written.name.len()) && written.name.bytes().all(function),
            "name",
            "must have 1 to 64 letters, digits, _ or -",
        )?;
        rule(
            is_prose(&written.description, MOST_DESCRIPTION),
            "description",
            "must have 1 to 1,024 bytes and no control characters but line breaks",
        )?;
        let url = Template::parse(&written.url)?;
        parameters(&written.parameters, &url, written.method)?;
        Ok(Self {
            name: written.name,
            description: written.description,
            method: written.method.into(),
            url,
            headers: SecretHeaders::checked(written.headers)?,
            parameters: written.parameters,
        })
    }

    /// What the model calls it: 1 to 64 letters, digits, `_` or `-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address with a letter in place of each path parameter. Every call has its scheme, host and port.
    pub fn sample_address(&self) -> Option<String> {
        self.url.fill(|_| Some("x")).ok().map(Into::into)
    }

    /// For the model.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What the model fills in.
    pub fn parameters(&self) -> &[RpcParameter] {
        &self.parameters
    }

    /// The parameters as a JSON Schema (2020-12), as function tools want it.
    pub fn schema(&self) -> Value {
        let property = |parameter: &RpcParameter| {
            let mut property = Map::new();
            property.insert("type".into(), parameter.kind.as_str().into());
            if !parameter.description.is_empty() {
                property.insert("description".into(), parameter.description.clone().into());
            }
            (parameter.name.clone(), Value::Object(property))
        };
        let required = self.parameters.iter().filter(|parameter| parameter.required);
        json!({
            "type": "object",
            "properties": self.parameters.iter().map(property).collect::<Map<_, _>>(),
            "required": required.map(|parameter| parameter.name.as_str()).collect::<Vec<_>>(),
            "additionalProperties": false,
        })
    }
}

fn parameters(list: &[RpcParameter], url: &Template, method: Method) -> Result<(), ContentError> {
    rule(list.len() <= MOST_PARAMETERS, "parameters", "are more than 64")?;
    let mut names = BTreeSet::new();
    let mut in_path = BTreeSet::new();
    for parameter in list {
        rule(
            is_token(&parameter.name) && parameter.name.bytes().all(|byte| byte != b'%'),
            "parameters",
            "have a name that is not 1 to 64 letters, digits or signs such as _ - .",
        )?;
        rule(names.insert(&*parameter.name), "parameters", "have a name twice")?;
        rule(
            parameter.description.is_empty() || is_prose(&parameter.description, MOST_DESCRIPTION),
            "parameters",
            "have a description above 1,024 bytes or with control characters",
        )?;
        let structured = matches!(parameter.kind, ParameterType::Array | ParameterType::Object);
        rule(
            !structured || parameter.place == Place::Body,
            "parameters",
            "may be arrays and objects in the body only",
        )?;
        rule(
            parameter.place != Place::Body || !matches!(method, Method::Get),
            "parameters",
            "cannot be in the body of a GET",
        )?;
        if parameter.place == Place::Path {
            rule(parameter.required, "parameters", "in the path must be `required`")?;
            in_path.insert(&*parameter.name);
        }
    }
    rule(
        in_path == url.names(),
        "url",
        "must have each parameter that is in the path as {name}, and no other",
    )
}

impl fmt::Debug for RpcTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcTool({})", self.name)
    }
}
