//! Opening a session, and asking for the tools.

use crate::{
    error::{of_opening, of_service},
    session::{Running, Session},
    transport::FetchingClient,
};
use async_trait::async_trait;
use haithe_kernel::Fetcher;
use haithe_marketplace::{
    content::McpEndpoint,
    ports::{OpenServer, ServedTool, ToolServerError, ToolServers, ToolSession},
};
use rmcp::{
    model::{
        ClientCapabilities, ClientConfig, Implementation, PaginatedRequestParams, ProtocolVersion, Tool,
    },
    service::serve_client,
    transport::{
        StreamableHttpClientTransport, common::client_side_sse::NeverRetry,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Longest time until a session is open and, where they are asked for, every tool known. A caller waits
/// for it.
const OPENING: Duration = Duration::from_secs(15);
/// Most pages of tools, and most tools on all of them.
const MOST_PAGES: usize = 8;
const MOST_TOOLS: usize = 512;

/// Servers that speak the Model Context Protocol over streamable HTTP.
pub struct McpServers {
    fetcher: Arc<dyn Fetcher>,
}

impl McpServers {
    /// Calls servers through `fetcher`.
    pub fn new(fetcher: Arc<dyn Fetcher>) -> Self {
        Self { fetcher }
    }

    async fn running(&self, endpoint: &McpEndpoint) -> Result<Running, ToolServerError> {
        let client = FetchingClient::new(Arc::clone(&self.fetcher), endpoint);
        // The client knows the address; the library, which might print it, does not.
        let mut config =
            StreamableHttpClientTransportConfig::with_uri("mcp").reinit_on_expired_session(false);
        config.retry_config = Arc::new(NeverRetry::default());
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let us = Implementation::new("haithe", env!("CARGO_PKG_VERSION"));
        // No capability: a server that asks for samples, files or forms is declined.
        let us = ClientConfig::new(ClientCapabilities::default(), us)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE);
        let running = serve_client(us, transport).await;
        running.map_err(|error| of_opening(&error))
    }

    async fn listed(&self, endpoint: &McpEndpoint) -> Result<OpenServer, ToolServerError> {
        let running = self.running(endpoint).await?;
        let tools = tools(&running).await?;
        Ok(OpenServer {
            tools: tools.into_iter().map(served).collect(),
            session: Arc::new(Session(running)),
        })
    }
}

#[async_trait]
impl ToolServers for McpServers {
    async fn open(&self, endpoint: &McpEndpoint) -> Result<OpenServer, ToolServerError> {
        let opening = timeout(OPENING, self.listed(endpoint)).await;
        opening.unwrap_or(Err(ToolServerError::Late))
    }

    async fn session(&self, endpoint: &McpEndpoint) -> Result<Arc<dyn ToolSession>, ToolServerError> {
        let opening = timeout(OPENING, self.running(endpoint)).await;
        let running = opening.unwrap_or(Err(ToolServerError::Late))?;
        Ok(Arc::new(Session(running)))
    }
}

/// Every page of the list.
async fn tools(running: &Running) -> Result<Vec<Tool>, ToolServerError> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let page = cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let page = running.list_tools(page).await;
        let page = page.map_err(|error| of_service(&error))?;
        tools.extend(page.tools);
        if tools.len() > MOST_TOOLS {
            return Err(ToolServerError::TooLarge);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    Err(ToolServerError::TooLarge)
}

fn served(tool: Tool) -> ServedTool {
    ServedTool {
        name: tool.name.into_owned(),
        description: tool.description.unwrap_or_default().into_owned(),
        schema: Arc::unwrap_or_clone(tool.input_schema),
    }
}
