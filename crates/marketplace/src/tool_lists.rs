//! Use case: what servers say of their tools is asked once in a while, not for every call.
//!
//! A list is kept in memory for a minute, under the digest of the product's content: its address, what
//! lets its creator in, and which tools are offered. Callers that want the same list at once wait for
//! one listing. Where a list is known, the server hears of a call only when the model calls a tool.
//!
//! So for a minute a tool may be offered that its server has no more. Calling it is answered by the
//! server, and an answer that failed like any other.

#[cfg(test)]
mod tests;

use crate::{
    content::McpEndpoint,
    failures::{Failures, Pauses},
    ports::{OpenServer, ServedTool, ToolAnswer, ToolServerError, ToolServers, ToolSession},
};
use async_trait::async_trait;
use futures::lock::Mutex;
use haithe_kernel::{Clock, MonotonicTime};
use moka::future::Cache;
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};

/// How long a list is used.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// How long a server that gave none is left alone.
const FAILED_FOR: Pauses = Pauses {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(5 * 60),
};
/// Servers that gave none which are remembered.
const MOST_FAILURES: u64 = 10_000;
/// Bytes of lists that are kept.
const KEPT_BYTES: u64 = 16 << 20;
/// What an entry, and each part of a list, takes beside its text, in bytes.
const OVERHEAD: usize = 64;

/// Servers of tools whose lists are kept for a while.
pub struct ToolLists {
    servers: Arc<dyn ToolServers>,
    clock: Arc<dyn Clock>,
    lists: Cache<[u8; 32], Listed>,
    failures: Failures<[u8; 32], ToolServerError>,
}

/// What a server said of its tools, and how long it holds.
#[derive(Clone)]
struct Listed {
    until: MonotonicTime,
    tools: Result<Arc<[ServedTool]>, ToolServerError>,
}

impl Listed {
    fn is_stale(&self, now: MonotonicTime) -> bool {
        self.until <= now
    }
}

impl ToolLists {
    /// Asks these servers.
    pub fn new(servers: Arc<dyn ToolServers>, clock: Arc<dyn Clock>) -> Self {
        let lists = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_, listed: &Listed| u32::try_from(weight(listed)).unwrap_or(u32::MAX))
            // The clock decides; this frees what nobody asks for any more.
            .time_to_live(KNOWN_FOR)
            .build();
        Self {
            servers,
            clock,
            lists,
            failures: Failures::new(FAILED_FOR, MOST_FAILURES),
        }
    }

    /// Asks the server, and leaves the session that this took in `session`.
    async fn list(&self, endpoint: &McpEndpoint, session: &mut Option<Arc<dyn ToolSession>>) -> Listed {
        let opened = self.servers.open(endpoint).await;
        let from = self.clock.monotonic();
        match opened {
            Ok(server) => {
                self.failures.forget(&endpoint.digest()).await;
                *session = Some(server.session);
                let tools = server.tools.iter();
                let offered = tools.filter(|tool| endpoint.offers(&tool.name)).cloned();
                Listed {
                    until: from.plus(KNOWN_FOR),
                    tools: Ok(offered.collect()),
                }
            }
            Err(error) => {
                let pause = self.failures.remember(endpoint.digest(), error, from).await;
                Listed {
                    until: from.plus(pause),
                    tools: Err(error),
                }
            }
        }
    }
}

#[async_trait]
impl ToolServers for ToolLists {
    /// The tools that the endpoint's creator offers, as the server listed them at most a minute ago.
    async fn open(&self, endpoint: &McpEndpoint) -> Result<OpenServer, ToolServerError> {
        let now = self.clock.monotonic();
        if let Some(error) = self.failures.current(&endpoint.digest(), now).await {
            return Err(error);
        }
        let mut session = None;
        let listed = self
            .lists
            .entry(endpoint.digest())
            .or_insert_with_if(self.list(endpoint, &mut session), |listed| listed.is_stale(now))
            .await;
        let tools = listed.into_value().tools?;
        let session = match session {
            Some(session) => session,
            None => Arc::new(LateSession {
                servers: Arc::clone(&self.servers),
                endpoint: endpoint.clone(),
                opened: Mutex::default(),
            }),
        };
        Ok(OpenServer { tools, session })
    }

    async fn session(&self, endpoint: &McpEndpoint) -> Result<Arc<dyn ToolSession>, ToolServerError> {
        self.servers.session(endpoint).await
    }
}

/// A session that is opened with the first call, once: a server that does not open is not asked again.
struct LateSession {
    servers: Arc<dyn ToolServers>,
    endpoint: McpEndpoint,
    opened: Mutex<Option<Result<Arc<dyn ToolSession>, ToolServerError>>>,
}

impl LateSession {
    async fn session(&self) -> Result<Arc<dyn ToolSession>, ToolServerError> {
        let mut opened = self.opened.lock().await;
        if let Some(session) = &*opened {
            return session.clone();
        }
        let session = self.servers.session(&self.endpoint).await;
        opened.insert(session).clone()
    }
}

#[async_trait]
impl ToolSession for LateSession {
    async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<ToolAnswer, ToolServerError> {
        self.session().await?.call(tool, arguments).await
    }
}

/// Bytes that a list takes, about.
fn weight(listed: &Listed) -> usize {
    let tools = listed.tools.iter().flat_map(|tools| tools.iter());
    let tools = tools.map(|tool| tool.name.len() + tool.description.len() + fields(&tool.schema));
    OVERHEAD + tools.sum::<usize>()
}

fn fields(fields: &Map<String, Value>) -> usize {
    let fields = fields
        .iter()
        .map(|(name, value)| OVERHEAD + name.len() + parts(value));
    OVERHEAD + fields.sum::<usize>()
}

/// No deeper than JSON is read.
fn parts(value: &Value) -> usize {
    match value {
        Value::String(text) => OVERHEAD + text.len(),
        Value::Array(items) => OVERHEAD + items.iter().map(parts).sum::<usize>(),
        Value::Object(object) => fields(object),
        Value::Null | Value::Bool(_) | Value::Number(_) => OVERHEAD,
    }
}
