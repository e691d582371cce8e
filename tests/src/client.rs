//! What a caller of the service does: ask, and read answers of two dialects strictly.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

/// Speaks to the service with the same headers every time.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A caller without any credential. `base` ends before `/v1`.
    pub fn new(base: String) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS settings");
        Self {
            http,
            base,
            headers: Vec::new(),
        }
    }

    /// The same caller with one more header on every request.
    #[must_use]
    pub fn with(&self, name: &str, value: impl Into<String>) -> Self {
        let mut other = self.clone();
        other.headers.push((name.into(), value.into()));
        other
    }

    /// The same caller, asking another server.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// The same caller with this credential.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    /// A request to a path under `/api`, or to an absolute one that begins with `//`.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        let url = match path.strip_prefix("//") {
            Some(outside) => format!("{}/{outside}", self.base.trim_end_matches("/api")),
            None => format!("{}{path}", self.base),
        };
        let request = self.http.request(method, url);
        let request = self
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        Ask { request }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    /// POST.
    pub fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }

    /// PATCH.
    pub fn patch(&self, path: &str) -> Ask {
        self.ask(Method::PATCH, path)
    }

    /// PUT.
    pub fn put(&self, path: &str) -> Ask {
        self.ask(Method::PUT, path)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Ask {
        self.ask(Method::DELETE, path)
    }

    /// A chat completion.
    pub fn chat(&self, body: &Value) -> Ask {
        self.post("/v1beta/openai/chat/completions").json(body)
    }
}

/// A request in the making.
#[derive(Debug)]
pub struct Ask {
    request: reqwest::RequestBuilder,
}

impl Ask {
    /// With query parameters.
    #[must_use]
    pub fn query(self, pairs: &[(&str, &str)]) -> Self {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        url.extend_pairs(pairs);
        let (client, request) = self.request.build_split();
        let mut request = request.expect("a valid request");
        request.url_mut().set_query(Some(&url.finish()));
        Self {
            request: reqwest::RequestBuilder::from_parts(client, request),
        }
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).expect("serializable");
        self.header("content-type", "application/json").body(bytes)
    }

    /// With this body as it is.
    #[must_use]
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self {
            request: self.request.body(body),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self {
            request: self.request.header(name, value),
        }
    }

    /// With one more header whose value is any bytes.
    #[must_use]
    pub fn header_bytes(self, name: &str, value: &[u8]) -> Self {
        let value = http::HeaderValue::from_bytes(value).expect("bytes a header may hold");
        Self {
            request: self.request.header(name, value),
        }
    }

    /// The whole answer.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// The whole answer, unless the connection broke.
    pub async fn try_send(self) -> reqwest::Result<Answer> {
        let response = self.request.send().await?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// The answer as it arrives.
    pub async fn stream(self) -> Streamed {
        let response = self.request.send().await.expect("an answer");
        Streamed {
            status: response.status(),
            headers: response.headers().clone(),
            response,
            buffer: Vec::new(),
        }
    }

    /// The `data` of a success.
    pub async fn data(self) -> Value {
        self.send().await.data()
    }

    /// Expects a failure of the REST dialect with this status and code; gives its message.
    pub async fn refused(self, status: u16, code: &str) -> String {
        self.send().await.refused(status, code)
    }

    /// Expects a failure of OpenAI's dialect with this status and code; gives its message.
    pub async fn openai_refused(self, status: u16, code: &str) -> String {
        self.send().await.openai_refused(status, code)
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("UTF-8")
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("plain text"))
    }

    /// The body as JSON, which must be declared as such.
    pub fn json(&self) -> Value {
        let stated = self.header("content-type").unwrap_or_default().to_owned();
        assert!(
            stated.starts_with("application/json"),
            "{} {stated:?} {}",
            self.status,
            self.text()
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The `data` of the envelope, whose shape is checked as the frontend's SDK checks it.
    pub fn data(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text());
        let mut envelope = self.json();
        assert_eq!(envelope["success"], true, "{envelope}");
        assert!(envelope["message"].is_string(), "{envelope}");
        let data = envelope["data"].take();
        let falsy = matches!(&data, Value::Null | Value::Bool(false)) || data == 0 || data == "";
        assert!(!falsy, "the SDK throws on falsy data: {}", self.text());
        data
    }

    /// Checks a failure in the REST dialect; gives its message.
    pub fn refused(&self, status: u16, code: &str) -> String {
        let (found, message) = self.rest_failure();
        assert_eq!(
            (self.status.as_u16(), found.as_str()),
            (status, code),
            "{}",
            self.text()
        );
        message
    }

    /// The code and message of a failure in the REST dialect.
    pub fn rest_failure(&self) -> (String, String) {
        let failure = self.json();
        assert_eq!(failure["success"], false, "{} {failure}", self.status);
        let request_id = failure["request_id"].as_str().expect("a request id");
        assert_eq!(self.header("x-request-id"), Some(request_id));
        let text = |name: &str| match failure[name].as_str() {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => panic!("a failure has a {name}: {failure}"),
        };
        (text("code"), text("message"))
    }

    /// Checks a failure in OpenAI's dialect; gives its message.
    pub fn openai_refused(&self, status: u16, code: &str) -> String {
        let (found, message) = self.openai_failure();
        assert_eq!(
            (self.status.as_u16(), found.as_str()),
            (status, code),
            "{}",
            self.text()
        );
        message
    }

    /// The code and message of a failure in OpenAI's dialect.
    pub fn openai_failure(&self) -> (String, String) {
        let body = self.json();
        let error = &body["error"];
        let text = |name: &str| match error[name].as_str() {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => panic!("OpenAI's error object has a {name}: {body}"),
        };
        text("type");
        assert!(
            error.get("param").is_some(),
            "OpenAI's error object has a param: {body}"
        );
        assert!(
            self.header("x-request-id").is_some(),
            "every answer has an x-request-id"
        );
        (text("code"), text("message"))
    }
}

/// An answer that is still arriving.
#[derive(Debug)]
pub struct Streamed {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Streamed {
    /// The next server-sent event's data; `None` at the clean end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> reqwest::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let event = String::from_utf8(event).expect("UTF-8");
                let data: Vec<&str> = event
                    .lines()
                    .filter_map(|line| line.strip_prefix("data:"))
                    .collect();
                if data.is_empty() {
                    continue;
                }
                return Ok(Some(data.join("\n").trim_start().to_owned()));
            }
            match self.response.chunk().await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }

    /// The next event as JSON.
    pub async fn next_json(&mut self) -> Value {
        let data = self
            .next()
            .await
            .expect("an unbroken stream")
            .expect("one more event");
        serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error} in {data}"))
    }

    /// All further events up to the end, as they are.
    pub async fn rest(&mut self) -> reqwest::Result<Vec<String>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }
}
