//! The two ways to say that something failed.

use super::ApiError;
use serde::Serialize;

/// Whom the answer must please; decided by the path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The REST envelope.
    Rest,
    /// OpenAI's error object.
    OpenAi,
}

#[derive(Serialize)]
struct RestFailure<'a> {
    success: bool,
    message: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
}

#[derive(Serialize)]
struct OpenAiFailure<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: &'a str,
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
        let json = match self {
            Self::Rest => serde_json::to_vec(&RestFailure {
                success: false,
                message: &error.message,
                code: &error.code,
                request_id,
                param,
            }),
            Self::OpenAi => serde_json::to_vec(&OpenAiFailure {
                error: OpenAiError {
                    message: &error.message,
                    kind: &error.kind,
                    param,
                    code: &error.code,
                },
            }),
        };
        json.unwrap_or_default()
    }
}
