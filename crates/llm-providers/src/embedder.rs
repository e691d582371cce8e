//! Vectors of texts, from any service that speaks OpenAI's dialect.

mod answer;

use async_trait::async_trait;
use bytes::Bytes;
use haithe_inference::{
    fault::Fault,
    ports::{ChatModel, Endpoint, UpstreamAnswer, UpstreamError, UpstreamRequest},
};
use haithe_marketplace::ports::{EmbedError, Embedder};
use serde::Serialize;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// What is asked of whom.
#[derive(Debug, Clone)]
pub struct EmbedderSettings {
    /// The provider's key in the catalogue.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// How long the vectors shall be, in numbers; `None`: as long as the model makes them.
    pub dimensions: Option<u32>,
    /// For one request, from its beginning to the last byte of its answer.
    pub timeout: Duration,
    /// Bytes of a text that are sent; what is behind them is cut off, at a whole character. In most
    /// vocabularies a token has at least one byte, so that no more bytes than a model reads tokens
    /// are never too much for it.
    pub text_bytes: usize,
}

/// An [`Embedder`] that posts to `{base_url}/embeddings`
/// ([reference](https://platform.openai.com/docs/api-reference/embeddings/create)), through the
/// client, the key and the limits that calls of the same provider go through.
///
/// Floats are asked for, because every service gives them; base64 is read too. Nothing of the texts,
/// and nothing that the provider says of them, gets into an error.
pub struct OpenAiEmbedder {
    provider: Arc<dyn ChatModel>,
    settings: EmbedderSettings,
    /// Numbers the requests, for the provider's log.
    sent: AtomicU64,
}

impl OpenAiEmbedder {
    /// Asks `provider`, which is the one that the settings name.
    pub fn new(provider: Arc<dyn ChatModel>, settings: EmbedderSettings) -> Self {
        Self {
            provider,
            settings,
            sent: AtomicU64::new(0),
        }
    }

    fn request(&self, texts: &[String]) -> Result<UpstreamRequest, EmbedError> {
        let sent = texts.iter().map(|text| cut(text, self.settings.text_bytes));
        let body = Body {
            model: &self.settings.model,
            input: sent.collect(),
            encoding_format: "float",
            dimensions: self.settings.dimensions,
        };
        let body = serde_json::to_vec(&body).map_err(|error| EmbedError::Refused(error.into()))?;
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(UpstreamRequest {
            provider: self.settings.provider.clone(),
            endpoint: Endpoint::Embeddings,
            body: Bytes::from(body),
            stream: false,
            request_id: format!("embeddings-{number}"),
        })
    }
}

impl fmt::Debug for OpenAiEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiEmbedder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: Vec<&'a str>,
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

/// The text's first bytes, as whole characters. An empty text is refused by providers: a space
/// stands for it.
fn cut(text: &str, most: usize) -> &str {
    let end = text.floor_char_boundary(most);
    match text.get(..end) {
        Some("") | None => " ",
        Some(beginning) => beginning,
    }
}

/// The provider's status, without its words.
#[derive(Debug, thiserror::Error)]
#[error("status {0}")]
struct Status(u16);

fn failed(error: UpstreamError) -> EmbedError {
    match error {
        UpstreamError::Refused { status, .. } => EmbedError::Refused(Status(status).into()),
        // It answered: these texts make more than is read, which says nothing about others.
        UpstreamError::TooLarge { .. } => EmbedError::Refused(error.into()),
        UpstreamError::RateLimited { .. }
        | UpstreamError::Credentials
        | UpstreamError::Busy { .. }
        | UpstreamError::Resting { .. }
        | UpstreamError::Failed(_)
        | UpstreamError::TimedOut => EmbedError::Unavailable(error.into()),
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let asked = self.provider.send(self.request(&texts)?);
        let answer = timeout(self.settings.timeout, asked).await;
        let answer = answer.unwrap_or(Err(UpstreamError::TimedOut)).map_err(failed)?;
        let UpstreamAnswer::Json(body) = answer else {
            return Err(EmbedError::Malformed("is a stream"));
        };
        answer::read(&body, texts.len(), self.settings.dimensions).map_err(|what| {
            // Some services fail with status 200.
            Fault::read(&body).map_or(EmbedError::Malformed(what), |fault| failed(fault.within_answer()))
        })
    }
}

#[cfg(test)]
mod tests;
