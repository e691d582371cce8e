//! The two ways to say that something failed.

use super::ApiError;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Whom the answer must please; decided by the path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The REST envelope.
    Rest,
    /// OpenAI's error object.
    OpenAi,
}

/// A failure in the REST envelope.
#[derive(Serialize, ToSchema)]
pub struct RestFailure<'a> {
    /// Always false.
    success: bool,
    /// What happened and what to do, for people.
    message: &'a str,
    /// What happened, for programs; a published code keeps its meaning.
    code: &'a str,
    /// Leads us to the request.
    request_id: &'a str,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    param: Option<&'a str>,
    /// What the caller can go on with, such as a transaction to sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    data: Option<&'a serde_json::Value>,
    /// Facts for programs, by name: prices, limits. Amounts are decimal texts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    details: BTreeMap<&'a str, &'a str>,
}

/// A failure in OpenAI's form (API reference, "Error codes").
#[derive(Serialize, ToSchema)]
pub struct OpenAiFailure<'a> {
    error: OpenAiError<'a>,
}

/// What failed.
#[derive(Serialize, ToSchema)]
pub struct OpenAiError<'a> {
    /// What happened and what to do, for people.
    message: &'a str,
    /// The class of failures it belongs to.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The parameter at fault.
    #[schema(required = true)]
    param: Option<&'a str>,
    /// What happened, for programs.
    code: &'a str,
    /// Facts for programs, by name: prices, limits. Amounts are decimal texts. Not part of OpenAI's form.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    details: BTreeMap<&'a str, &'a str>,
}

impl Dialect {
    /// The dialect of a path.
    pub fn of(path: &str) -> Self {
        match path.strip_prefix("/api/v1beta/openai") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::OpenAi,
            _ => Self::Rest,
        }
    }

    /// The JSON that says it.
    pub fn render(self, error: &ApiError, request_id: &str) -> Vec<u8> {
        let param = error.param.as_deref();
        let details = error.details.iter().map(|(name, value)| (*name, value.as_str()));
        let details: BTreeMap<&str, &str> = details.collect();
        let json = match self {
            Self::Rest => serde_json::to_vec(&RestFailure {
                success: false,
                message: &error.message,
                code: &error.code,
                request_id,
                param,
                data: error.data.as_ref(),
                details,
            }),
            Self::OpenAi => serde_json::to_vec(&OpenAiFailure {
                error: OpenAiError {
                    message: &error.message,
                    kind: &error.kind,
                    param,
                    code: &error.code,
                    details,
                },
            }),
        };
        json.unwrap_or_default()
    }
}
