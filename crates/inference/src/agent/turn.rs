//! One turn of the model: what it says, and what it calls.

use serde_json::{Map, Value, json};

/// A call of a tool, as the model made it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ToolCall {
    /// The whole object: providers attach fields that they want to see again.
    pub raw: Value,
}

impl ToolCall {
    pub fn id(&self) -> &str {
        self.text("id")
    }

    pub fn name(&self) -> &str {
        let function = self.raw.get("function");
        function
            .and_then(|function| function.get("name")?.as_str())
            .unwrap_or_default()
    }

    /// The arguments, if they are an object. None at all are an empty one.
    pub fn arguments(&self) -> Option<Value> {
        let function = self.raw.get("function")?;
        match function.get("arguments") {
            None | Some(Value::Null) => Some(json!({})),
            Some(Value::String(text)) if text.trim().is_empty() => Some(json!({})),
            Some(Value::String(text)) => serde_json::from_str(text).ok().filter(Value::is_object),
            // Some servers of open models send the object itself.
            Some(object) => Some(object.clone()).filter(Value::is_object),
        }
    }

    fn text(&self, field: &str) -> &str {
        self.raw.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a tool answered to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolAnswer {
    pub id: String,
    pub text: String,
    /// The call was refused or failed.
    pub failed: bool,
}

/// A turn, complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Turn {
    pub content: String,
    /// Some models want their reasoning back while they use tools.
    pub reasoning: Option<String>,
    pub calls: Vec<ToolCall>,
}

impl Turn {
    /// The first choice of a document; nothing for any other shape.
    pub fn of(document: &Value) -> Self {
        let message = document
            .get("choices")
            .and_then(|choices| choices.get(0)?.get("message"));
        let text = |field| {
            message
                .and_then(|message| message.get(field)?.as_str())
                .map(str::to_owned)
        };
        let calls = message.and_then(|message| message.get("tool_calls")?.as_array());
        Self {
            content: text("content").unwrap_or_default(),
            reasoning: text("reasoning_content"),
            calls: calls
                .into_iter()
                .flatten()
                .cloned()
                .map(|raw| ToolCall { raw })
                .collect(),
        }
    }

    /// The message that shows the model its own turn again.
    pub fn message(&self) -> Value {
        let mut message = Map::new();
        message.insert("role".into(), "assistant".into());
        let content = Some(&self.content).filter(|text| !text.is_empty());
        message.insert(
            "content".into(),
            content.map_or(Value::Null, |text| text.as_str().into()),
        );
        if let Some(reasoning) = &self.reasoning {
            message.insert("reasoning_content".into(), reasoning.as_str().into());
        }
        let calls: Vec<Value> = self.calls.iter().map(|call| call.raw.clone()).collect();
        if !calls.is_empty() {
            message.insert("tool_calls".into(), calls.into());
        }
        Value::Object(message)
    }

    /// Gives calls that have no id one, so that answers can name them.
    pub fn number(&mut self, step: u32) {
        for (index, call) in self.calls.iter_mut().enumerate() {
            if call.id().is_empty()
                && let Some(raw) = call.raw.as_object_mut()
            {
                raw.insert("id".into(), format!("call_{step}_{index}").into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_shows_the_model_everything_it_attached_to_its_calls() {
        let call = json!({"id": "c1", "type": "function", "extra_content": {"google": {"thought_signature": "x"}},
            "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}});
        let turn = Turn::of(
            &json!({"choices": [{"message": {"role": "assistant", "content": null,
            "reasoning_content": "hm", "tool_calls": [call]}}]}),
        );
        assert_eq!(turn.calls[0].arguments(), Some(json!({"city": "Rome"})));
        let message =
            json!({"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [call]});
        assert_eq!(turn.message(), message);
    }

    #[test]
    fn arguments_are_an_object_or_nothing() {
        let arguments = |value: Value| {
            ToolCall {
                raw: json!({"function": {"name": "f", "arguments": value}}),
            }
            .arguments()
        };
        assert_eq!(arguments(json!("")), Some(json!({})));
        assert_eq!(arguments(Value::Null), Some(json!({})));
        assert_eq!(arguments(json!({"a": 1})), Some(json!({"a": 1})));
        assert_eq!(arguments(json!("[1]")), None);
        assert_eq!(arguments(json!("{")), None);
        assert_eq!(arguments(json!(7)), None);
    }

    #[test]
    fn calls_without_an_id_get_one() {
        let mut turn = Turn {
            calls: vec![
                ToolCall {
                    raw: json!({"function": {}}),
                },
                ToolCall {
                    raw: json!({"id": "x"}),
                },
            ],
            ..Turn::default()
        };
        turn.number(2);
        assert_eq!([turn.calls[0].id(), turn.calls[1].id()], ["call_2_0", "x"]);
    }

    #[test]
    fn any_other_shape_says_nothing() {
        for document in [
            json!(null),
            json!({"choices": 3}),
            json!({"choices": []}),
            json!({"choices": [{"message": []}]}),
        ] {
            assert_eq!(Turn::of(&document), Turn::default());
        }
    }
}
