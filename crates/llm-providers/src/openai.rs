//! Any service that speaks OpenAI's dialect over HTTP.

use crate::{
    client::client,
    guard::{failed, guarded},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use haithe_inference::{
    catalogue::{ProviderSettings, Timeouts},
    fault::Fault,
    ports::{ChatModel, Endpoint, UpstreamAnswer, UpstreamError, UpstreamRequest},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use reqwest::{Body, Client, Request, Response};
use secrecy::{ExposeSecret, SecretString};
use std::{borrow::Cow, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

/// Bytes of an answer that is not streamed.
const MOST_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of an error that are read.
const MOST_ERROR_BYTES: usize = 64 * 1024;
/// A provider that asks for a longer pause is not waited for.
const LONGEST_RETRY_AFTER: u64 = 3_600;

/// Why a provider cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Its address is none.
    #[error("base_url is not an address: {0}")]
    Address(#[from] url::ParseError),
    /// Its key has characters that no header carries.
    #[error("its key contains characters that cannot be sent in a header")]
    Key,
    /// No client, usually because the system has no certificates.
    #[error("its HTTP client cannot be made; are the system's CA certificates installed? {0}")]
    Client(#[source] reqwest::Error),
}

/// A provider that speaks OpenAI's dialect.
pub struct OpenAiCompatible {
    client: Client,
    chat: Url,
    embeddings: Url,
    json: HeaderMap,
    events: HeaderMap,
    timeouts: Timeouts,
    /// What no error of the provider's may repeat.
    key: Option<SecretString>,
}

impl OpenAiCompatible {
    /// Prepares the provider's client and headers.
    ///
    /// # Errors
    /// [`SetupError`]; its text never holds the key.
    pub fn new(settings: &ProviderSettings, key: Option<&SecretString>) -> Result<Self, SetupError> {
        let chat = Url::parse(&format!("{}/chat/completions", settings.base_url))?;
        let embeddings = Url::parse(&format!("{}/embeddings", settings.base_url))?;
        let client = client(&settings.timeouts, chat.scheme() == "https").map_err(SetupError::Client)?;
        Ok(Self {
            client,
            chat,
            embeddings,
            json: headers("application/json", key)?,
            events: headers("text/event-stream", key)?,
            timeouts: settings.timeouts,
            key: key.cloned(),
        })
    }

    fn request(&self, request: UpstreamRequest) -> Request {
        let address = match request.endpoint {
            Endpoint::Chat => &self.chat,
            Endpoint::Embeddings => &self.embeddings,
        };
        let mut http = Request::new(Method::POST, address.clone());
        *http.headers_mut() = if request.stream {
            self.events.clone()
        } else {
            self.json.clone()
        };
        if let Ok(id) = HeaderValue::try_from(request.request_id) {
            http.headers_mut().insert("x-request-id", id);
        }
        *http.body_mut() = Some(Body::from(request.body));
        http
    }

    /// Waits for a whole document.
    async fn document(&self, http: Request) -> Result<UpstreamAnswer, UpstreamError> {
        let response = timeout(self.timeouts.answer, self.accepted(http))
            .await
            .map_err(late)??;
        self.whole(response).await.map(UpstreamAnswer::Json)
    }

    async fn whole(&self, response: Response) -> Result<Bytes, UpstreamError> {
        let (body, cut) = read(response, MOST_ANSWER_BYTES, self.timeouts.idle).await?;
        if cut {
            return Err(UpstreamError::TooLarge {
                limit: MOST_ANSWER_BYTES,
            });
        }
        Ok(body)
    }

    /// Waits for the head of a stream. Its first bytes are due within what is left of the first-byte
    /// timeout.
    async fn stream(&self, http: Request) -> Result<UpstreamAnswer, UpstreamError> {
        let first_due = Instant::now() + self.timeouts.first_byte;
        let response = timeout_at(first_due, self.accepted(http)).await.map_err(late)??;
        if !is_stream(&response) {
            return self.whole(response).await.map(UpstreamAnswer::Json);
        }
        let events = response.bytes_stream();
        Ok(UpstreamAnswer::Stream(guarded(
            events,
            first_due,
            self.timeouts.idle,
        )))
    }

    /// Sends the request; gives the response when the provider accepted it.
    async fn accepted(&self, http: Request) -> Result<Response, UpstreamError> {
        let response = self.client.execute(http).await.map_err(failed)?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        let body = match read(response, MOST_ERROR_BYTES, self.timeouts.idle).await {
            Ok((body, _)) => body,
            Err(_) => Bytes::new(),
        };
        let body = without(&body, self.key.as_ref());
        Err(Fault::of_status(status.as_u16(), &body, retry_after))
    }
}

#[async_trait]
impl ChatModel for OpenAiCompatible {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> {
        let stream = request.stream;
        let http = self.request(request);
        if stream {
            self.stream(http).await
        } else {
            self.document(http).await
        }
    }
}

/// `body`, with the key cut out wherever it stands.
fn without<'b>(body: &'b [u8], key: Option<&SecretString>) -> Cow<'b, [u8]> {
    let key = key.map_or("", |key| key.expose_secret().trim()).as_bytes();
    if key.is_empty() || key.len() > body.len() {
        return Cow::Borrowed(body);
    }
    let mut kept = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.windows(key.len()).position(|window| window == key) {
        let (before, found) = rest.split_at(at);
        kept.extend_from_slice(before);
        kept.extend_from_slice(b"[concealed]");
        rest = found.get(key.len()..).unwrap_or_default();
    }
    if kept.is_empty() {
        return Cow::Borrowed(body);
    }
    kept.extend_from_slice(rest);
    Cow::Owned(kept)
}

fn headers(accept: &'static str, key: Option<&SecretString>) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = key {
        let bearer = format!("Bearer {}", key.expose_secret().trim());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| SetupError::Key)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}

/// Whether a response to a streamed request is a stream. Some providers leave the type out.
fn is_stream(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_none_or(|kind| {
        let kind = kind.trim_start().to_ascii_lowercase();
        !kind.starts_with("application/json") && !kind.starts_with("text/html")
    })
}

/// Reads a body up to `most` bytes, with no pause longer than `idle`; says whether there was more.
async fn read(mut response: Response, most: usize, idle: Duration) -> Result<(Bytes, bool), UpstreamError> {
    let mut next = async || {
        timeout(idle, response.chunk())
            .await
            .map_err(late)?
            .map_err(failed)
    };
    let Some(first) = next().await? else {
        return Ok((Bytes::new(), false));
    };
    let Some(second) = next().await? else {
        let cut = first.len() > most;
        return Ok((first.slice(..first.len().min(most)), cut));
    };
    let mut body = BytesMut::from(first);
    body.extend_from_slice(&second);
    while body.len() <= most {
        match next().await? {
            Some(read) => body.extend_from_slice(&read),
            None => return Ok((body.freeze(), false)),
        }
    }
    body.truncate(most);
    Ok((body.freeze(), true))
}

/// Seconds that a provider asks to wait: `retry-after-ms` (OpenAI's) or `Retry-After` in seconds.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let millis = number("retry-after-ms").map(|millis| millis.div_ceil(1000));
    let seconds = millis.or_else(|| number(RETRY_AFTER.as_str()));
    seconds.map(|seconds| seconds.min(LONGEST_RETRY_AFTER))
}

fn late(_: tokio::time::error::Elapsed) -> UpstreamError {
    UpstreamError::TimedOut
}

#[cfg(test)]
mod tests;
