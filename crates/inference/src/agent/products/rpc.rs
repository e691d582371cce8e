//! `tool:rpc`: an HTTP call of a creator's, offered as a tool.

use super::function_name;
use crate::agent::{ServerTool, ToolDefinition, ToolOutcome};
use async_trait::async_trait;
use haithe_kernel::{Fetcher, ProductId};
use haithe_marketplace::content::RpcTool;
use serde_json::Value;
use std::sync::Arc;

/// Characters of a tool's answer; the loop cuts further.
const MOST_ANSWER: usize = 256 * 1024;

/// A creator's call: the model fills in arguments, everything else is the creator's.
pub(super) struct RpcCall {
    pub product: ProductId,
    pub tool: RpcTool,
    pub fetcher: Arc<dyn Fetcher>,
}

#[async_trait]
impl ServerTool for RpcCall {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: function_name(self.product, self.tool.name()),
            description: self.tool.description().to_owned(),
            parameters: self.tool.schema(),
        }
    }

    async fn call(&self, arguments: Value) -> ToolOutcome {
        let request = match self.tool.request(&arguments.to_string()) {
            Ok(request) => request,
            Err(error) => return ToolOutcome::failed(format!("error: {error}")),
        };
        match self.fetcher.fetch(request).await {
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                let body: String = body.chars().take(MOST_ANSWER).collect();
                ToolOutcome {
                    text: format!("status {}\n{body}", answer.status),
                    failed: !(200..400).contains(&answer.status),
                }
            }
            Err(error) => ToolOutcome::failed(format!("error: {error}")),
        }
    }
}
