//! A model in the process, for trying things out: deterministic, and honest about what it is.

mod answer;

use answer::Answer;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use haithe_inference::ports::{ChatModel, Endpoint, UpstreamAnswer, UpstreamError, UpstreamRequest};
use haithe_kernel::Clock;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Answers every request at once with a text that says it is a sandbox and repeats the question.
/// Honours `n`, `max_tokens`, `max_completion_tokens`, `stream` and `stream_options`; a token is a
/// word with the space before it.
pub struct Sandbox {
    clock: Arc<dyn Clock>,
}

impl Sandbox {
    /// `clock` is for the field `created`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

/// What the sandbox reads of a request; everything else is ignored, as it ignores most of life.
#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    messages: Vec<Message>,
    n: Option<u32>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

impl Message {
    /// Its text; parts that are none are left out.
    fn text(&self) -> String {
        let raw = self.content.as_ref().map_or("null", |content| content.get());
        if let Ok(text) = serde_json::from_str(raw) {
            return text;
        }
        let parts: Vec<Part> = serde_json::from_str(raw).unwrap_or_default();
        let texts: Vec<String> = parts.into_iter().filter_map(|part| part.text).collect();
        texts.join(" ")
    }
}

#[async_trait]
impl ChatModel for Sandbox {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> {
        if request.endpoint == Endpoint::Embeddings {
            return Err(UpstreamError::Refused {
                status: 404,
                message: "the sandbox makes no embeddings".to_owned(),
                code: None,
                kind: Some("invalid_request_error".to_owned()),
                param: Some("model".to_owned()),
            });
        }
        let asked: Request =
            serde_json::from_slice(&request.body).map_err(|error| UpstreamError::Refused {
                status: 400,
                message: format!("the sandbox cannot read this request: {error}"),
                code: None,
                kind: Some("invalid_request_error".to_owned()),
                param: None,
            })?;
        let answer = Answer::new(&asked, &request.request_id, self.clock.now().seconds());
        if !request.stream {
            return Ok(UpstreamAnswer::Json(answer.document()));
        }
        let usage = asked.stream_options.and_then(|options| options.include_usage);
        let events: Vec<Bytes> = answer.events(usage.unwrap_or(false));
        Ok(UpstreamAnswer::Stream(
            stream::iter(events.into_iter().map(Ok)).boxed(),
        ))
    }
}

#[cfg(test)]
mod tests;
