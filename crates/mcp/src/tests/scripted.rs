//! A fetcher that is a server of tools, with two pages of them.

use crate::McpServers;
use async_trait::async_trait;
use haithe_kernel::{FetchError, FetchMethod, FetchRequest, Fetched, Fetcher, Redirects};
use haithe_marketplace::{
    content::McpEndpoint,
    ports::{OpenServer, ToolServerError, ToolServers},
};
use serde_json::{Value, json};
use std::{
    future::pending,
    sync::{Arc, Mutex},
};

pub const SESSION: &str = "session-1";

/// What the server does with a message.
pub enum Reply {
    /// Answers with this result.
    Result(Value),
    /// The same as the last of three events.
    Events(Value),
    /// Status, content type, body.
    Http(u16, &'static str, Vec<u8>),
    /// The fetcher fails.
    Fails(FetchError),
    Hangs,
}

/// `None`: what a good server does.
type Conduct = dyn Fn(&str, &Value) -> Option<Reply> + Send + Sync;

/// A request as the server got it.
pub struct Heard {
    pub method: FetchMethod,
    pub headers: Vec<(String, String)>,
    pub message: Value,
}

impl Heard {
    pub fn header(&self, wanted: &str) -> Vec<&str> {
        let named = self
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn says(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }
}

pub struct Scripted {
    conduct: Box<Conduct>,
    pub heard: Mutex<Vec<Heard>>,
}

impl Scripted {
    pub fn good() -> Arc<Self> {
        Self::with(|_, _| None)
    }

    pub fn with(conduct: impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            conduct: Box::new(conduct),
            heard: Mutex::default(),
        })
    }

    /// Does this with one method, and the rest well.
    pub fn at(wanted: &'static str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Self::with(move |method, _| (method == wanted).then(&reply))
    }

    pub async fn open(self: &Arc<Self>) -> Result<OpenServer, ToolServerError> {
        let endpoint = json!({"url": "https://mcp.example/v1?key=secret", "headers": {
            "x-key": "the creator's", "Accept": "text/plain", "mcp-session-id": "forged"}});
        let endpoint = McpEndpoint::parse(endpoint.to_string().as_bytes()).unwrap();
        McpServers::new(Arc::clone(self) as Arc<dyn Fetcher>)
            .open(&endpoint)
            .await
    }

    pub fn methods(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|heard| heard.says().to_owned()).collect()
    }

    /// Waits until the session was ended.
    pub async fn ended(&self) {
        for _ in 0..1_000 {
            let over = |heard: &Heard| heard.method == FetchMethod::Delete;
            if self.heard.lock().unwrap().iter().any(over) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("the session was not ended");
    }
}

#[async_trait]
impl Fetcher for Scripted {
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        assert_eq!(request.url, "https://mcp.example/v1?key=secret");
        assert_eq!(request.redirects, Redirects::Refused);
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let reply = (self.conduct)(&method, &message);
        let gone = request.method == FetchMethod::Delete;
        self.heard.lock().unwrap().push(Heard {
            method: request.method,
            headers: request.headers,
            message: message.clone(),
        });
        let reply = match reply {
            Some(reply) => reply,
            None if gone => Reply::Http(200, "text/plain", Vec::new()),
            None => well(&method, &message),
        };
        let answer = |result: Value| json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let (status, form, body) = match reply {
            Reply::Result(result) => (
                200,
                "application/json; charset=utf-8",
                answer(result).to_string().into(),
            ),
            Reply::Events(result) => {
                let note = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                    "params": {"progressToken": 1, "progress": 1}});
                let answer = answer(result);
                let body =
                    format!(": hello\n\nid: 1\ndata: {note}\n\nid: 2\nevent: message\ndata: {answer}\n\n");
                (200, "text/event-stream", body.into())
            }
            Reply::Http(status, form, body) => (status, form, body),
            Reply::Fails(error) => return Err(error),
            Reply::Hangs => pending().await,
        };
        let mut headers = vec![("content-type".to_owned(), form.to_owned())];
        if method == "initialize" {
            headers.push(("mcp-session-id".into(), SESSION.into()));
        }
        Ok(Fetched {
            status,
            headers,
            body,
            url: request.url,
        })
    }
}

fn well(method: &str, message: &Value) -> Reply {
    let tool = |name: &str| {
        json!({"name": name, "description": format!("Tells the {name}"),
        "inputSchema": {"type": "object", "properties": {"port": {"type": "string"}}}})
    };
    match method {
        "initialize" => Reply::Result(json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "tides", "version": "1"},
        })),
        "tools/list" if message["params"]["cursor"] == "two" => {
            Reply::Events(json!({"tools": [tool("wind")]}))
        }
        "tools/list" => Reply::Result(
            json!({"tools": [tool("tide"), {"name": "bare", "inputSchema": {}}],
            "nextCursor": "two"}),
        ),
        "tools/call" => {
            let port = message["params"]["arguments"]["port"]
                .as_str()
                .unwrap_or_default();
            let text = format!("high water at {port}: 14:20");
            Reply::Result(json!({"content": [{"type": "text", "text": text}]}))
        }
        _ => Reply::Http(202, "text/plain", Vec::new()),
    }
}
