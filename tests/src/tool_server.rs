//! A server on loopback that speaks the Model Context Protocol over streamable HTTP: two pages of
//! tools, sessions, a key that lets its creator in, and a memory of everything.

use crate::{DEADLINE, app::RECEIVER, recorder::moved};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// What was sent to it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Heard {
    pub method: Method,
    /// Path and query, as they came.
    pub target: String,
    pub headers: HeaderMap,
    pub session: Option<String>,
    pub message: Value,
}

/// What it does with a message; the usual for `None`.
type Conduct = dyn Fn(&Value) -> Option<Act> + Send + Sync;

/// What a server does otherwise than usual.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Answers with this result.
    Result(Value),
    /// Answers with the protocol's error for a request that it cannot fulfil.
    Declines(&'static str),
    /// Answers with this status, and leads there.
    Moved(u16, String),
    /// Answers with this status, content type and body.
    Raw(u16, &'static str, String),
}

impl Act {
    /// A tool's answer of this text.
    pub fn says(text: impl Into<String>) -> Self {
        Self::Result(json!({"content": [{"type": "text", "text": text.into()}], "isError": false}))
    }
}

/// The server. Dropping it closes its port.
#[derive(Debug)]
pub struct ToolServer {
    address: SocketAddr,
    heard: watch::Sender<Vec<Heard>>,
    server: JoinHandle<()>,
}

impl ToolServer {
    /// On a port of its own; lets in whoever sends `key` as `x-key`.
    pub async fn start(key: &'static str) -> Self {
        Self::acting(key, |_| None).await
    }

    /// The same, but does this with messages.
    pub async fn acting(
        key: &'static str,
        conduct: impl Fn(&Value) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let heard = watch::Sender::new(Vec::new());
        let server = tokio::spawn(serve(listener, key, heard.clone(), Arc::new(conduct)));
        Self {
            address,
            heard,
            server,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as creators write it.
    pub fn url(&self) -> String {
        format!("http://{RECEIVER}:{}/mcp", self.address.port())
    }

    /// Everything it was sent.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }

    /// Everything that it was sent since the last time.
    pub fn take(&self) -> Vec<Heard> {
        self.heard.send_replace(Vec::new())
    }

    /// The arguments of every call of a tool, with the tool's name.
    pub fn calls(&self) -> Vec<(String, Value)> {
        let calls = self.heard().into_iter();
        let calls = calls.filter(|heard| heard.message["method"] == "tools/call");
        let called = |heard: Heard| {
            let params = &heard.message["params"];
            let name = params["name"].as_str().unwrap_or_default();
            (name.to_owned(), params["arguments"].clone())
        };
        calls.map(called).collect()
    }

    /// Closes its port, now and not when it is dropped. Connections end with their answers.
    pub fn stop(&self) {
        self.server.abort();
    }

    /// Waits until so many sessions were ended by their clients.
    pub async fn ended(&self, sessions: usize) {
        let mut heard = self.heard.subscribe();
        let ends = |heard: &Vec<Heard>| {
            let over = heard.iter().filter(|heard| heard.method == Method::DELETE);
            over.count() >= sessions
        };
        let ended = tokio::time::timeout(DEADLINE, heard.wait_for(ends)).await;
        ended
            .expect("every session is ended")
            .expect("the server owns the list");
    }
}

impl Drop for ToolServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    listener: TcpListener,
    key: &'static str,
    heard: watch::Sender<Vec<Heard>>,
    conduct: Arc<Conduct>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (heard, conduct) = (heard.clone(), Arc::clone(&conduct));
        let service = service_fn(move |request: Request<Incoming>| {
            let (heard, conduct) = (heard.clone(), Arc::clone(&conduct));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes);
                let message: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
                let text = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
                let (session, given) = (text("mcp-session-id"), text("x-key"));
                let mut sessions = 0;
                heard.send_modify(|heard| {
                    heard.push(Heard {
                        method: head.method.clone(),
                        target: head.uri.to_string(),
                        headers: head.headers.clone(),
                        session: session.clone(),
                        message: message.clone(),
                    });
                    let opened = heard
                        .iter()
                        .filter(|heard| heard.message["method"] == "initialize");
                    sessions = opened.count();
                });
                let response = if given.as_deref() != Some(key) {
                    plain(401)
                } else if head.method != Method::POST {
                    plain(if head.method == Method::DELETE { 200 } else { 405 })
                } else if session.is_none() && message["method"] != "initialize" {
                    plain(400)
                } else {
                    answer(&message, sessions, &head.headers, conduct(&message))
                };
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn plain(status: u16) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status);
    response.body(Full::default()).expect("a status alone is valid")
}

/// The answer as JSON, or, for lists, as a stream of events that ends.
fn answer(message: &Value, sessions: usize, headers: &HeaderMap, act: Option<Act>) -> Response<Full<Bytes>> {
    let said = |word: &str, content: Value| json!({"jsonrpc": "2.0", "id": message["id"], word: content});
    let answer = match (act, result(message)) {
        (Some(Act::Moved(status, place)), _) => {
            return moved(status, &place).map(|_| Full::default());
        }
        (Some(Act::Raw(status, form, body)), _) => {
            let response = Response::builder().status(status).header("content-type", form);
            let response = response.body(Full::new(Bytes::from(body)));
            return response.expect("a status and a header are valid");
        }
        (Some(Act::Declines(why)), _) => said("error", json!({"code": -32_602, "message": why})),
        (Some(Act::Result(result)), _) | (None, Some(result)) => said("result", result),
        (None, None) => return plain(202),
    };
    let listed = message["method"] == "tools/list";
    let accepts = headers.get("accept").and_then(|accept| accept.to_str().ok());
    assert!(accepts.is_some_and(|accept| accept.contains("text/event-stream")));
    let (form, body) = if listed {
        ("text/event-stream", format!("event: message\ndata: {answer}\n\n"))
    } else {
        ("application/json", answer.to_string())
    };
    let response = Response::builder().header("content-type", form);
    let response = response.header("mcp-session-id", format!("session-{sessions}"));
    let response = response.body(Full::new(Bytes::from(body)));
    response.expect("valid headers")
}

fn result(message: &Value) -> Option<Value> {
    let params = &message["params"];
    let tool = |name: &str| {
        json!({"name": name, "description": format!("Tells the {name} of a port."),
            "inputSchema": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]}})
    };
    Some(match message["method"].as_str()? {
        "initialize" => json!({"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "ports", "version": "1"}}),
        "tools/list" if params["cursor"] == "more" => json!({"tools": [tool("tide.high")]}),
        "tools/list" => json!({"tools": [tool("close_port")], "nextCursor": "more"}),
        "tools/call" => {
            let port = params["arguments"]["port"].as_str().unwrap_or_default();
            let text = format!("high water at {port} is at 14:20");
            json!({"content": [{"type": "text", "text": text}], "isError": false})
        }
        _ => return None,
    })
}
