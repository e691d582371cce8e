//! What the scripted model says: words by default, calls of tools or JSON where the request leads there.
//!
//! It decides as a reader of a test would: a tool is called when the request forces it, or when the
//! last message is a user's that names it; a schema is answered by the smallest document that fits.

use super::script::Says;
use serde_json::{Map, Value, json};

/// Characters of a tool's arguments, or of a document, that count as one token.
const TOKEN: usize = 6;
/// Tokens at most that a text or arguments of a script are cut into: theirs grow with them.
const MOST_TOKENS: usize = 100;

/// What one choice says.
#[derive(Debug, Clone, PartialEq)]
pub enum Saying {
    /// So many words, each one token.
    Words(u64),
    /// A text, token by token.
    Text(Vec<String>),
    /// Calls of tools.
    Calls(Vec<Call>),
}

/// A call of a tool: its name is one token, its arguments are the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub name: String,
    pub arguments: Vec<String>,
}

impl Saying {
    /// What a request is answered with, were there no bound, and why it ends.
    pub fn to(request: &Value, words: u64) -> (Self, &'static str) {
        if let Some((calls, reason)) = calls(request) {
            return (Self::Calls(calls), reason);
        }
        let document = match request["response_format"]["type"].as_str() {
            Some("json_schema") => {
                let schema = &request["response_format"]["json_schema"]["schema"];
                Some(example(schema, schema))
            }
            Some("json_object") => Some(json!({"w0": 1})),
            _ => None,
        };
        match document {
            Some(document) => (Self::Text(tokens(&document.to_string())), "stop"),
            None => (Self::Words(words.min(stops_at(&request["stop"]))), "stop"),
        }
    }

    /// What a script says, and why it ends.
    pub fn of(says: &Says) -> (Self, &'static str) {
        match says {
            Says::Text(text) => (Self::Text(tokens(text)), "stop"),
            Says::Calls(calls) => {
                let call = |(name, arguments): &(String, String)| Call {
                    name: name.clone(),
                    arguments: tokens(arguments),
                };
                (Self::Calls(calls.iter().map(call).collect()), "tool_calls")
            }
        }
    }

    /// Its tokens.
    pub fn tokens(&self) -> u64 {
        let count = match self {
            Self::Words(words) => return *words,
            Self::Text(tokens) => tokens.len(),
            Self::Calls(calls) => calls.iter().map(|call| 1 + call.arguments.len()).sum(),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// At most so many tokens of it. A call of a tool is never cut.
    pub fn cut(&mut self, most: u64) {
        match self {
            Self::Words(words) => *words = (*words).min(most),
            Self::Text(tokens) => tokens.truncate(usize::try_from(most).unwrap_or(usize::MAX)),
            Self::Calls(_) => {}
        }
    }

    /// The text of `count` tokens from number `from`.
    pub fn text(&self, from: u64, count: u64) -> String {
        match self {
            Self::Words(_) => (from..from + count).map(|number| format!(" w{number}")).collect(),
            Self::Text(tokens) => {
                let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(tokens.len());
                tokens[place(from)..place(from + count)].concat()
            }
            Self::Calls(_) => String::new(),
        }
    }

    /// The whole message.
    pub fn message(&self) -> Value {
        let Self::Calls(calls) = self else {
            return json!({"role": "assistant", "content": self.text(0, self.tokens()), "refusal": null});
        };
        let calls = calls.iter().enumerate().map(|(index, call)| {
            let function = json!({"name": call.name, "arguments": call.arguments.concat()});
            json!({"id": id(index), "type": "function", "function": function})
        });
        json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()})
    }

    /// The delta of `count` tokens from number `from`; a delta of a tool's call is one token.
    pub fn delta(&self, from: u64, count: u64) -> Value {
        let Self::Calls(calls) = self else {
            return json!({"content": self.text(from, count)});
        };
        let mut left = usize::try_from(from).unwrap_or(usize::MAX);
        for (index, call) in calls.iter().enumerate() {
            if left == 0 {
                let function = json!({"name": call.name, "arguments": ""});
                let begin =
                    json!({"index": index, "id": id(index), "type": "function", "function": function});
                return json!({"content": null, "tool_calls": [begin]});
            }
            if let Some(arguments) = call.arguments.get(left - 1) {
                return json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
            }
            left -= 1 + call.arguments.len();
        }
        json!({})
    }

    /// The log probabilities of `count` tokens from number `from`.
    pub fn logprobs(&self, from: u64, count: u64) -> Value {
        let tokens = (from..from + count).map(|number| {
            let token = self.text(number, 1);
            json!({"token": token, "logprob": -0.25, "bytes": token.as_bytes(),
                "top_logprobs": [{"token": token, "logprob": -0.25, "bytes": token.as_bytes()}]})
        });
        json!({"content": tokens.collect::<Vec<_>>(), "refusal": null})
    }
}

fn id(index: usize) -> String {
    format!("call_{index}")
}

/// The tools that the request makes the model call, and why it ends then.
fn calls(request: &Value) -> Option<(Vec<Call>, &'static str)> {
    let functions = request["tools"].as_array()?.iter().map(|tool| &tool["function"]);
    let functions: Vec<&Value> = functions
        .filter(|function| function["name"].is_string())
        .collect();
    let choice = &request["tool_choice"];
    let call = |function: &&Value| {
        let schema = &function["parameters"];
        Call {
            name: function["name"].as_str().unwrap_or_default().into(),
            arguments: tokens(&example(schema, schema).to_string()),
        }
    };
    if let Some(forced) = choice["function"]["name"].as_str() {
        let forced = functions.iter().find(|function| function["name"] == forced)?;
        return Some((vec![call(forced)], "stop"));
    }
    let asked = last_question(request);
    let named = |function: &&&Value| asked.contains(function["name"].as_str().unwrap_or_default());
    let mut called: Vec<&Value> = functions.iter().filter(named).copied().collect();
    if called.is_empty() && choice == "required" {
        called.extend(functions.first());
    }
    if request["parallel_tool_calls"] == false {
        called.truncate(1);
    }
    let calls: Vec<Call> = called.iter().map(call).collect();
    (!calls.is_empty() && choice != "none").then_some((calls, "tool_calls"))
}

/// The text of the last message, if a user wrote it.
fn last_question(request: &Value) -> String {
    let messages = request["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    match last {
        Some(last) if last["role"] == "user" => last["content"].to_string(),
        _ => String::new(),
    }
}

/// How many words come before one that contains a stop sequence.
fn stops_at(stop: &Value) -> u64 {
    let one = std::slice::from_ref(stop);
    let sequences = stop.as_array().map_or(one, Vec::as_slice);
    let number = |stop: &Value| stop.as_str()?.trim().strip_prefix('w')?.parse().ok();
    sequences.iter().filter_map(number).min().unwrap_or(u64::MAX)
}

/// The smallest value that satisfies a JSON schema, `root` being the document that it is part of.
fn example(schema: &Value, root: &Value) -> Value {
    if let Some(path) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        return example(root.pointer(path).unwrap_or(&Value::Null), root);
    }
    if let Some(first) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return first.clone();
    }
    if let Some(first) = schema["anyOf"].get(0) {
        return example(first, root);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("string") => json!("w0"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([example(&schema["items"], root)]),
        Some("null") => Value::Null,
        _ => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields: Map<String, Value> = fields
                .map(|(name, schema)| (name.clone(), example(schema, root)))
                .collect();
            Value::Object(fields)
        }
    }
}

fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(TOKEN.max(characters.len() / MOST_TOKENS))
        .map(|token| token.iter().collect())
        .collect()
}
