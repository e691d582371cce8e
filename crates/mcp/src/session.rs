//! Calling tools in an open session.

use crate::error::of_service;
use async_trait::async_trait;
use haithe_marketplace::ports::{ToolAnswer, ToolServerError, ToolSession};
use rmcp::{
    RoleClient, ServiceError,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientConfig, ContentBlock, ResourceContents,
    },
    service::RunningService,
};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::timeout;

/// Longest time for one call; loops have a shorter one of their own.
const CALL: Duration = Duration::from_secs(60);

pub(crate) type Running = RunningService<RoleClient, ClientConfig>;

/// An open session. Dropped, it cancels what runs and tells the server in the background.
pub(crate) struct Session(pub Running);

#[async_trait]
impl ToolSession for Session {
    async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<ToolAnswer, ToolServerError> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let Ok(answer) = timeout(CALL, self.0.peer().call_tool_once(params)).await else {
            return Err(ToolServerError::Late);
        };
        match answer {
            Ok(CallToolResponse::Complete(result)) => Ok(ToolAnswer {
                failed: result.is_error == Some(true),
                text: text(result),
            }),
            // Nobody is there to be asked, and nobody comes back for an answer.
            Ok(_) => Ok(ToolAnswer {
                text: "the tool wants more than arguments; it cannot be used here".to_owned(),
                failed: true,
            }),
            Err(ServiceError::McpError(error)) => Ok(ToolAnswer {
                text: error.message.into_owned(),
                failed: true,
            }),
            Err(error) => Err(of_service(&error)),
        }
    }
}

/// The text of a result, or its structure where it has no text.
fn text(result: CallToolResult) -> String {
    let parts: Vec<String> = result.content.into_iter().map(part).collect();
    match result.structured_content {
        Some(structure) if parts.is_empty() => structure.to_string(),
        _ => parts.join("\n"),
    }
}

fn part(block: ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => left_out("image", &image.mime_type),
        ContentBlock::Audio(audio) => left_out("audio", &audio.mime_type),
        ContentBlock::ResourceLink(link) => format!("[{}: {}]", link.name, link.uri),
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            ResourceContents::BlobResourceContents { mime_type, .. } => {
                left_out("file", &mime_type.unwrap_or_default())
            }
            _ => left_out("file", ""),
        },
        _ => left_out("something", ""),
    }
}

/// What a model that reads text is told about what is none.
fn left_out(what: &str, form: &str) -> String {
    format!("[{what} {form} left out]")
}
