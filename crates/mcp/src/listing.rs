//! Reads tool lists leniently: one tool that violates the protocol does not hide the others.

use rmcp::model::Tool;
use serde_json::{Value, json};

/// Replaces a missing or null `inputSchema` by that of a tool without arguments, and removes the tools
/// that still do not match the protocol's `Tool`. Returns messages that hold no tool list unchanged.
pub(crate) fn lenient(message: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(message) else {
        return message.to_vec();
    };
    let Some(tools) = value.pointer_mut("/result/tools").and_then(Value::as_array_mut) else {
        return message.to_vec();
    };
    tools.retain_mut(|tool| {
        if let Some(tool) = tool.as_object_mut()
            && tool.get("inputSchema").is_none_or(Value::is_null)
        {
            tool.insert("inputSchema".to_owned(), json!({"type": "object"}));
        }
        serde_json::from_value::<Tool>(tool.clone()).is_ok()
    });
    serde_json::to_vec(&value).unwrap_or_else(|_| message.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tools: &Value) -> Vec<String> {
        let message = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string();
        let read: Value = serde_json::from_slice(&lenient(message.as_bytes())).unwrap();
        let tools = read["result"]["tools"].as_array().unwrap().clone();
        tools
            .into_iter()
            .map(|tool| serde_json::from_value::<Tool>(tool).unwrap().name.into_owned())
            .collect()
    }

    #[test]
    fn a_tool_without_a_schema_takes_no_arguments() {
        let tools =
            json!([{"name": "a", "inputSchema": null}, {"name": "b"}, {"name": "c", "inputSchema": {}}]);
        assert_eq!(names(&tools), ["a", "b", "c"]);
    }

    #[test]
    fn an_invalid_tool_does_not_hide_the_others() {
        let tools =
            json!([{"name": 7}, null, {"name": "b", "inputSchema": []}, {"name": "c", "inputSchema": {}}]);
        assert_eq!(names(&tools), ["c"]);
    }

    #[test]
    fn other_messages_are_unchanged() {
        for message in [&b"not json"[..], b"{\"result\": {\"tools\": 3}}", b"[ ]"] {
            assert_eq!(lenient(message), message);
        }
    }
}
