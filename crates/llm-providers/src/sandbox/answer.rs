//! What the sandbox says.

use super::{Message, Request};
use bytes::Bytes;
use serde_json::{Value, json};

const INTRODUCTION: &str = "This is Haithe's sandbox, not a language model.";
/// Characters of the question that are repeated.
const LONGEST_ECHO: usize = 400;
/// Choices at most; more than any server allows.
const MOST_CHOICES: u32 = 128;

/// An answer, before it is written down.
pub(super) struct Answer {
    id: String,
    created: i64,
    model: String,
    choices: u32,
    /// The text of every choice, token by token.
    tokens: Vec<String>,
    finish_reason: &'static str,
    prompt_tokens: usize,
}

impl Answer {
    pub fn new(request: &Request, id: &str, created: i64) -> Self {
        let texts: Vec<String> = request.messages.iter().map(Message::text).collect();
        let asked = request.messages.iter().zip(&texts).rev();
        let question = asked.into_iter().find(|(message, _)| message.role == "user");
        let mut tokens = tokens(&reply(question.map_or("", |(_, text)| text)));
        let limits = [request.max_tokens, request.max_completion_tokens];
        let limit = limits.into_iter().flatten().min();
        let limit = limit
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX);
        let finish_reason = if tokens.len() > limit { "length" } else { "stop" };
        tokens.truncate(limit);
        Self {
            id: format!("chatcmpl-{id}"),
            created,
            model: request.model.clone(),
            choices: request.n.unwrap_or(1).clamp(1, MOST_CHOICES),
            tokens,
            finish_reason,
            prompt_tokens: texts.iter().map(|text| self::tokens(text).len().max(1)).sum(),
        }
    }

    /// The whole answer as one document.
    pub fn document(&self) -> Bytes {
        let text = self.tokens.concat();
        let choice = |index| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": self.finish_reason,
            })
        };
        let mut document = self.head("chat.completion", (0..self.choices).map(choice).collect());
        document.insert("usage".to_owned(), self.usage());
        Bytes::from(Value::Object(document).to_string())
    }

    /// The answer as server-sent events, one token each.
    pub fn events(&self, with_usage: bool) -> Vec<Bytes> {
        let mut events = Vec::with_capacity(self.tokens.len() + 4);
        let mut chunk = |choices: Vec<Value>, usage: Option<Value>| {
            let mut chunk = self.head("chat.completion.chunk", choices);
            if let Some(usage) = usage {
                chunk.insert("usage".to_owned(), usage);
            }
            events.push(Bytes::from(format!("data: {}\n\n", Value::Object(chunk))));
        };
        let each = |delta: Value, finish: Option<&str>| -> Vec<Value> {
            let choice =
                |index| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
            (0..self.choices).map(choice).collect()
        };
        chunk(each(json!({"role": "assistant", "content": ""}), None), None);
        for token in &self.tokens {
            chunk(each(json!({ "content": token }), None), None);
        }
        chunk(each(json!({}), Some(self.finish_reason)), None);
        if with_usage {
            chunk(Vec::new(), Some(self.usage()));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    fn head(&self, object: &str, choices: Vec<Value>) -> serde_json::Map<String, Value> {
        let mut head = serde_json::Map::new();
        head.insert("id".to_owned(), json!(self.id));
        head.insert("object".to_owned(), json!(object));
        head.insert("created".to_owned(), json!(self.created));
        head.insert("model".to_owned(), json!(self.model));
        head.insert("choices".to_owned(), Value::Array(choices));
        head
    }

    fn usage(&self) -> Value {
        let completion = self.tokens.len() * usize::try_from(self.choices).unwrap_or(1);
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        })
    }
}

fn reply(question: &str) -> String {
    let echo: String = question.chars().take(LONGEST_ECHO).collect();
    match echo.trim() {
        "" => INTRODUCTION.to_owned(),
        echo => format!("{INTRODUCTION} You said: {echo}"),
    }
}

/// Words, each with the white space before it.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in text.chars() {
        let begins = c.is_whitespace() && in_word;
        in_word = !c.is_whitespace();
        match tokens.last_mut() {
            Some(token) if !begins => token.push(c),
            _ => tokens.push(c.to_string()),
        }
    }
    tokens
}
