//! Streamable HTTP over the port `Fetcher`: one request, one whole answer.
//!
//! Answers come as JSON or as a stream of events that ends; both are read to their end within the
//! fetcher's bounds before anything of them is used. There is no listening stream beside the requests:
//! a server that wants one is told that there is none, as the protocol allows.

use crate::listing::lenient;
use bytes::Bytes;
use futures::{
    StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use haithe_kernel::{FetchError, FetchMethod, FetchRequest, Fetched, Fetcher, Redirects};
use haithe_marketplace::content::McpEndpoint;
use http::{HeaderName, HeaderValue};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::{Sse, SseStream};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Most bytes of one answer.
const MOST_BYTES: usize = 1 << 20;
/// Longest time for a tool's answer, and for that to any other message.
const CALL: Duration = Duration::from_secs(60);
const WORD: Duration = Duration::from_secs(15);
/// Longest time for the word that a session is over.
const GOODBYE: Duration = Duration::from_secs(5);
/// Most messages of a session: a server can make us answer it.
const MOST_MESSAGES: usize = 512;
/// Headers that the protocol fills in; a creator's of these names are left out.
const OURS: &[&str] = &[
    "accept",
    "content-type",
    "last-event-id",
    "mcp-protocol-version",
    SESSION,
];
/// Names a session.
const SESSION: &str = "mcp-session-id";
/// Longest name of a session that is said back.
const MOST_SESSION: usize = 1_024;

type Outcome<T> = Result<T, StreamableHttpError<FetchError>>;

/// A client of one endpoint, for one session.
#[derive(Clone)]
pub(crate) struct FetchingClient {
    fetcher: Arc<dyn Fetcher>,
    url: Arc<str>,
    headers: Arc<[(String, String)]>,
    sent: Arc<AtomicUsize>,
}

impl FetchingClient {
    pub fn new(fetcher: Arc<dyn Fetcher>, endpoint: &McpEndpoint) -> Self {
        let ours = |name: &str| OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
        let headers = endpoint.headers().iter().filter(|(name, _)| !ours(name));
        Self {
            fetcher,
            url: endpoint.url().as_str().into(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            sent: Arc::default(),
        }
    }

    /// The creator's headers, those of the protocol, and the session's name.
    fn headers(
        &self,
        protocol: &HashMap<HeaderName, HeaderValue>,
        session: Option<&str>,
    ) -> Vec<(String, String)> {
        let mut headers = self.headers.to_vec();
        let protocol = protocol.iter();
        headers.extend(protocol.filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        }));
        headers.extend(session.map(|session| (SESSION.to_owned(), session.to_owned())));
        headers
    }
}

impl StreamableHttpClient for FetchingClient {
    type Error = FetchError;

    async fn post_message(
        &self,
        _: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        protocol: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<StreamableHttpPostResponse> {
        if self.sent.fetch_add(1, Ordering::Relaxed) >= MOST_MESSAGES {
            return Err(unexpected("too many messages"));
        }
        let mut headers = self.headers(&protocol, session.as_deref());
        headers.push(("accept".into(), "application/json, text/event-stream".into()));
        headers.push(("content-type".into(), "application/json".into()));
        let request = FetchRequest {
            method: FetchMethod::Post,
            url: self.url.to_string(),
            headers,
            body: serde_json::to_vec(&message)?,
            most_bytes: MOST_BYTES,
            within: if calls(&message) { CALL } else { WORD },
            redirects: Redirects::Refused,
        };
        let answer = self.fetcher.fetch(request).await;
        let mut answer = answer.map_err(StreamableHttpError::Client)?;
        let waits = matches!(message, JsonRpcMessage::Request(_));
        if lists_tools(&message) && content_type(&answer) == JSON {
            answer.body = lenient(&answer.body);
        }
        Ok(match read(answer, waits, session.is_some())? {
            StreamableHttpPostResponse::Sse(events, session) if lists_tools(&message) => {
                StreamableHttpPostResponse::Sse(events.map(lenient_event).boxed(), session)
            }
            other => other,
        })
    }

    async fn delete_session(
        &self,
        _: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        protocol: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<()> {
        let request = FetchRequest {
            method: FetchMethod::Delete,
            headers: self.headers(&protocol, Some(&session)),
            most_bytes: MOST_BYTES,
            within: GOODBYE,
            redirects: Redirects::Refused,
            ..FetchRequest::get(self.url.as_ref())
        };
        // Servers may decline to end sessions on request; there is nothing to do about it.
        let answer = self.fetcher.fetch(request).await;
        answer.map(drop).map_err(StreamableHttpError::Client)
    }

    async fn get_stream(
        &self,
        _: Arc<str>,
        _: Option<Arc<str>>,
        _: Option<String>,
        _: Option<String>,
        _: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<BoxStream<'static, Result<Sse, SseError>>> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}

fn calls(message: &ClientJsonRpcMessage) -> bool {
    let JsonRpcMessage::Request(request) = message else {
        return false;
    };
    matches!(request.request, ClientRequest::CallToolRequest(_))
}

fn lists_tools(message: &ClientJsonRpcMessage) -> bool {
    let JsonRpcMessage::Request(request) = message else {
        return false;
    };
    matches!(request.request, ClientRequest::ListToolsRequest(_))
}

fn lenient_event(event: Result<Sse, SseError>) -> Result<Sse, SseError> {
    event.map(|mut event| {
        let data = event.data.take();
        event.data = data.map(|data| match String::from_utf8(lenient(data.as_bytes())) {
            Ok(read) => read,
            Err(_) => data,
        });
        event
    })
}

/// The media type of a response, in lower case and without parameters.
fn content_type(answer: &Fetched) -> String {
    let header = answer.headers.iter().find(|(name, _)| name == "content-type");
    let value = header.and_then(|(_, value)| value.split(';').next());
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

/// What an answer to a message says. `waits`: the message wants an answer; `inside`: it named a session.
fn read(answer: Fetched, waits: bool, inside: bool) -> Outcome<StreamableHttpPostResponse> {
    let header = |wanted: &str| {
        let found = answer.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let form = content_type(&answer);
    let session = header(SESSION).filter(|session| session.len() <= MOST_SESSION);
    let session = session.map(str::to_owned);
    match answer.status {
        202 | 204 => return Ok(StreamableHttpPostResponse::Accepted),
        404 if inside => return Err(StreamableHttpError::SessionExpired),
        200..=299 => {}
        status => {
            // The protocol's own errors may come under a status of failure.
            let said: Option<ServerJsonRpcMessage> = serde_json::from_slice(&answer.body).ok();
            let said = said.filter(|said| matches!(said, JsonRpcMessage::Error(_)));
            let said = said.filter(|_| form == JSON && !matches!(status, 401 | 403));
            return match said {
                Some(error) => Ok(StreamableHttpPostResponse::Json(error, session)),
                None => Err(HttpStatusError::new(status, None).into()),
            };
        }
    }
    if !waits {
        return Ok(StreamableHttpPostResponse::Accepted);
    }
    if form == EVENTS {
        let body = stream::once(ready(Ok::<_, Infallible>(Bytes::from(answer.body))));
        let events = SseStream::from_bytes_stream(body).boxed();
        return Ok(StreamableHttpPostResponse::Sse(events, session));
    }
    if form != JSON {
        return Err(StreamableHttpError::UnexpectedContentType(None));
    }
    let message = serde_json::from_slice(&answer.body).map_err(|_| unexpected("no message"))?;
    Ok(StreamableHttpPostResponse::Json(message, session))
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

fn unexpected(why: &'static str) -> StreamableHttpError<FetchError> {
    StreamableHttpError::UnexpectedServerResponse(why.into())
}
