//! What calling other people's tools needs from outside.

use crate::content::McpEndpoint;
use async_trait::async_trait;
use haithe_kernel::{Failure, Kind};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Why a server's tools cannot be had. The texts name no address and repeat nothing of the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ToolServerError {
    /// Its address or a header for it is not one that we call or send.
    #[error("the address of the tools' server, or a header for it, is not allowed")]
    Refused,
    /// It redirects, and nothing follows: the creator named this address and no other.
    #[error("the tools' server redirects to another address, which is not followed")]
    Moved,
    /// Nobody answers there, or the connection broke.
    #[error("the tools' server cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("the tools' server did not answer in time")]
    Late,
    /// It lets the creator's credentials in no more.
    #[error("the tools' server does not let its creator's credentials in")]
    Denied,
    /// An answer or the list of tools is larger than is read.
    #[error("the tools' server answers with more than is read")]
    TooLarge,
    /// What it says is not what the protocol wants, or the session is over.
    #[error("the tools' server does not answer as the Model Context Protocol says")]
    Protocol,
}

impl Failure for ToolServerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused => Kind::Invalid,
            Self::Late => Kind::UpstreamTimeout,
            Self::Moved | Self::Unreachable | Self::Denied | Self::TooLarge | Self::Protocol => {
                Kind::Upstream
            }
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Refused => "tool_server_refused",
            Self::Moved => "tool_server_moved",
            Self::Unreachable => "tool_server_unreachable",
            Self::Late => "tool_server_timeout",
            Self::Denied => "tool_server_denied",
            Self::TooLarge => "tool_server_too_large",
            Self::Protocol => "tool_server_malformed",
        }
    }
}

/// A tool as its server describes it. Only its size was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedTool {
    /// What the server calls it.
    pub name: String,
    /// What it does; empty when the server does not say.
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: Map<String, Value>,
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAnswer {
    /// Its text; what is no text is named, not shown.
    pub text: String,
    /// The tool or its server says that it failed.
    pub failed: bool,
}

/// A server that let us in.
pub struct OpenServer {
    /// Its tools, in its order; those that its creator does not offer may be left out.
    pub tools: Arc<[ServedTool]>,
    /// For calling them.
    pub session: Arc<dyn ToolSession>,
}

impl std::fmt::Debug for OpenServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenServer")
            .field("tools", &self.tools.len())
            .finish_non_exhaustive()
    }
}

/// Servers of tools that creators name.
///
/// Contract: everything is sent to the endpoint's address alone, with the creator's headers, and no
/// redirect is followed; time, bytes, pages and messages are bounded; nothing is tried twice.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ToolServers: Send + Sync {
    /// The tools, asked for now or at most a minute ago, and a session for calling them.
    async fn open(&self, endpoint: &McpEndpoint) -> Result<OpenServer, ToolServerError>;
    /// Opens a session for calling tools that are known already, and asks for nothing.
    async fn session(&self, endpoint: &McpEndpoint) -> Result<Arc<dyn ToolSession>, ToolServerError>;
}

/// A session with a server. The server is told of its end when the last handle is dropped.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ToolSession: Send + Sync {
    /// Calls the tool that the server calls so. What the server has against the call, such as an
    /// argument, is an answer that failed.
    async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<ToolAnswer, ToolServerError>;
}
