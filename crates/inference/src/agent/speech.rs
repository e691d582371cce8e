//! A turn that arrives in pieces: what of it the caller hears at once, and what is kept.
//!
//! Calls of the service's tools, usage, and the reason for stopping are kept from the caller;
//! everything else passes, under the identity of the stream's first chunk.

use super::turn::{ToolCall, Turn};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// Whose tool a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The name has not come yet.
    Unknown,
    Ours,
    /// The caller's, and how it is numbered for it.
    Callers(u64),
}

/// How names are told apart.
pub(super) struct Names {
    /// The service's tools of this call.
    pub ours: HashSet<String>,
    /// Whether the caller has tools of its own: a name that nobody knows is then its to judge.
    pub callers: bool,
}

impl Names {
    pub fn is_ours(&self, name: &str) -> bool {
        self.ours.contains(name) || !self.callers
    }
}

/// What the whole stream says of itself, from its first chunk.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity(Map<String, Value>);

impl Identity {
    /// Fields that every chunk of one stream shares.
    const FIELDS: [&'static str; 4] = ["id", "object", "created", "model"];

    fn learn(&mut self, chunk: &Map<String, Value>) {
        if self.0.is_empty() {
            let known = Self::FIELDS
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), chunk.get(*name)?.clone())));
            self.0 = known.collect();
        }
    }

    /// A chunk of ours, with one choice.
    pub fn chunk(&self, choice: Value) -> Value {
        let mut chunk = self.0.clone();
        chunk.insert("choices".into(), json!([choice]));
        Value::Object(chunk)
    }
}

/// Collects one streamed turn.
pub(super) struct Speech<'a> {
    names: &'a Names,
    identity: &'a mut Identity,
    /// Not the first turn: the role was said.
    goes_on: bool,
    content: String,
    reasoning: Option<String>,
    calls: BTreeMap<u64, (Whose, Map<String, Value>)>,
    for_caller: u64,
    /// The provider's reason for stopping.
    pub finish: Option<String>,
    /// The provider's error, as it is shown.
    pub failure: Option<Value>,
}

impl<'a> Speech<'a> {
    pub fn new(names: &'a Names, identity: &'a mut Identity, goes_on: bool) -> Self {
        Self {
            names,
            identity,
            goes_on,
            content: String::new(),
            reasoning: None,
            calls: BTreeMap::new(),
            for_caller: 0,
            finish: None,
            failure: None,
        }
    }

    /// Takes the data of an event; gives what of it the caller hears.
    pub fn hear(&mut self, data: &[u8]) -> Option<Value> {
        let Ok(Value::Object(mut chunk)) = serde_json::from_slice(data) else {
            return None;
        };
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            self.failure = Some(Value::Object(chunk));
            return None;
        }
        self.identity.learn(&chunk);
        chunk.remove("usage");
        let Some(Value::Array(choices)) = chunk.get_mut("choices") else {
            return None;
        };
        let choice = choices.first_mut()?.as_object_mut()?;
        if let Some(Value::String(reason)) = choice.get("finish_reason") {
            self.finish = Some(reason.clone());
            choice.insert("finish_reason".into(), Value::Null);
        }
        let Some(Value::Object(delta)) = choice.get_mut("delta") else {
            return None;
        };
        if let Some(Value::String(text)) = delta.get("content") {
            self.content.push_str(text);
        }
        if let Some(Value::String(text)) = delta.get("reasoning_content") {
            self.reasoning.get_or_insert_default().push_str(text);
        }
        if self.goes_on {
            delta.remove("role");
        }
        if let Some(Value::Array(calls)) = delta.remove("tool_calls") {
            let heard: Vec<Value> = calls.into_iter().filter_map(|call| self.call(call)).collect();
            if !heard.is_empty() {
                delta.insert("tool_calls".into(), heard.into());
            }
        }
        let says = |value: &Value| !value.is_null() && value != "";
        if !delta.values().any(says) {
            return None;
        }
        for name in Identity::FIELDS {
            if let Some(value) = self.identity.0.get(name) {
                chunk.insert(name.into(), value.clone());
            }
        }
        Some(Value::Object(chunk))
    }

    /// A piece of a call; gives what of it the caller hears.
    fn call(&mut self, piece: Value) -> Option<Value> {
        let Value::Object(mut piece) = piece else {
            return None;
        };
        let index = piece.remove("index").and_then(|index| index.as_u64());
        // A provider that numbers nothing sends each call whole.
        let index = index.unwrap_or_else(|| self.calls.len().try_into().unwrap_or(u64::MAX));
        let (whose, call) = self.calls.entry(index).or_insert((Whose::Unknown, Map::new()));
        merge(call, &piece);
        if let Whose::Callers(number) = whose {
            piece.insert("index".into(), (*number).into());
            return Some(Value::Object(piece));
        }
        let name = call
            .get("function")
            .and_then(|function| function.get("name")?.as_str());
        let name = name.filter(|name| !name.is_empty())?;
        if *whose == Whose::Ours || self.names.is_ours(name) {
            *whose = Whose::Ours;
            return None;
        }
        *whose = Whose::Callers(self.for_caller);
        let mut whole = call.clone();
        whole.insert("index".into(), self.for_caller.into());
        self.for_caller += 1;
        Some(Value::Object(whole))
    }

    /// The turn, complete.
    pub fn turn(self) -> Turn {
        let calls = self.calls.into_values();
        Turn {
            content: self.content,
            reasoning: self.reasoning,
            calls: calls
                .map(|(_, raw)| ToolCall {
                    raw: Value::Object(raw),
                })
                .collect(),
        }
    }
}

/// Adds a piece of a call to what came before: texts of the function grow, everything else is set.
fn merge(call: &mut Map<String, Value>, piece: &Map<String, Value>) {
    for (name, value) in piece {
        match (name.as_str(), call.get_mut(name), value) {
            ("function", Some(Value::Object(function)), Value::Object(more)) => {
                for (name, value) in more {
                    match (function.get_mut(name), value) {
                        (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
                        (_, Value::Null) => {}
                        _ => {
                            function.insert(name.clone(), value.clone());
                        }
                    }
                }
            }
            (_, Some(_), Value::Null) => {}
            ("id" | "type", Some(Value::String(known)), _) if !known.is_empty() => {}
            _ => {
                call.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(callers: bool) -> Names {
        Names {
            ours: HashSet::from(["weather".to_owned()]),
            callers,
        }
    }

    fn chunk(delta: Value, finish: Value) -> Vec<u8> {
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m", "usage": null,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn text_passes_and_the_reason_to_stop_is_kept() {
        let (names, mut identity) = (names(false), Identity::default());
        let mut speech = Speech::new(&names, &mut identity, false);
        let heard = speech
            .hear(&chunk(json!({"role": "assistant", "content": "Hi"}), Value::Null))
            .unwrap();
        assert_eq!(
            heard["choices"][0]["delta"],
            json!({"role": "assistant", "content": "Hi"})
        );
        assert_eq!(heard["id"], "c1");
        assert_eq!(speech.hear(&chunk(json!({}), json!("stop"))), None);
        assert_eq!(speech.finish.as_deref(), Some("stop"));
        assert_eq!(speech.turn().content, "Hi");
    }

    #[test]
    fn our_calls_are_kept_and_the_callers_pass_renumbered() {
        let (names, mut identity) = (names(true), Identity::default());
        let mut speech = Speech::new(&names, &mut identity, false);
        let call = |index: u64, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
        let more = |index: u64, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
        assert_eq!(speech.hear(&chunk(call(0, "a", "weather"), Value::Null)), None);
        assert_eq!(speech.hear(&chunk(more(0, "{\"city\":"), Value::Null)), None);
        let heard = speech.hear(&chunk(call(1, "b", "mine"), Value::Null)).unwrap();
        assert_eq!(heard["choices"][0]["delta"]["tool_calls"][0]["index"], 0);
        let heard = speech.hear(&chunk(more(1, "{}"), Value::Null)).unwrap();
        assert_eq!(
            heard["choices"][0]["delta"]["tool_calls"][0],
            json!({"index": 0, "function": {"arguments": "{}"}})
        );
        assert_eq!(speech.hear(&chunk(more(0, "\"Rome\"}"), Value::Null)), None);
        let turn = speech.turn();
        assert_eq!(turn.calls[0].arguments(), Some(json!({"city": "Rome"})));
        assert_eq!((turn.calls[0].id(), turn.calls[1].name()), ("a", "mine"));
    }

    #[test]
    fn a_name_that_comes_late_is_told_with_all_that_came_before_it() {
        let (names, mut identity) = (names(true), Identity::default());
        let mut speech = Speech::new(&names, &mut identity, false);
        assert_eq!(
            speech.hear(&chunk(
                json!({"tool_calls": [{"index": 0, "id": "a"}]}),
                Value::Null
            )),
            None
        );
        let named = json!({"tool_calls": [{"index": 0, "function": {"name": "mine", "arguments": "{"}}]});
        let heard = speech.hear(&chunk(named, Value::Null)).unwrap();
        let whole = json!({"id": "a", "function": {"name": "mine", "arguments": "{"}, "index": 0});
        assert_eq!(heard["choices"][0]["delta"]["tool_calls"][0], whole);
    }

    #[test]
    fn later_turns_bear_the_first_ones_identity_and_no_role() {
        let names = names(false);
        let mut identity = Identity::default();
        Speech::new(&names, &mut identity, false).hear(&chunk(json!({"content": "a"}), Value::Null));
        let later = json!({"id": "other", "object": "chat.completion.chunk", "created": 9, "model": "m2",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": "b"}}]})
        .to_string();
        let heard = Speech::new(&names, &mut identity, true)
            .hear(later.as_bytes())
            .unwrap();
        assert_eq!((&heard["id"], &heard["created"]), (&json!("c1"), &json!(5)));
        assert_eq!(heard["choices"][0]["delta"], json!({"content": "b"}));
    }

    #[test]
    fn an_error_is_kept_and_nothing_else_breaks_it() {
        let (names, mut identity) = (names(false), Identity::default());
        let mut speech = Speech::new(&names, &mut identity, false);
        for odd in [
            "",
            "[]",
            "{\"choices\":null}",
            "{\"choices\":[1]}",
            "{\"choices\":[{\"delta\":[]}]}",
            "{\"choices\":[{\"delta\":{\"tool_calls\":[3]}}]}",
        ] {
            assert_eq!(speech.hear(odd.as_bytes()), None);
        }
        assert_eq!(speech.hear(br#"{"error":{"message":"no"}}"#), None);
        assert_eq!(speech.failure, Some(json!({"error": {"message": "no"}})));
    }
}
