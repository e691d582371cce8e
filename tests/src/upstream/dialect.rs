//! OpenAI's dialect, as a provider speaks it: parsed loosely, written exactly.

use super::{
    saying::Saying,
    script::{Script, UsageReport},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the upstream reads of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChatRequest {
    pub model: String,
    pub stream: bool,
    pub stream_options: Option<StreamOptions>,
    pub n: Option<u64>,
    pub max_tokens: Option<u64>,
    pub max_completion_tokens: Option<u64>,
    pub logprobs: Option<bool>,
    pub seed: Option<i64>,
    pub x_script: Option<Script>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    pub include_usage: bool,
}

/// A request with its script: everything the answer depends on.
#[derive(Debug)]
pub struct Plan {
    pub script: Script,
    pub model: String,
    pub choices: u64,
    /// What each choice says.
    saying: Saying,
    finish_reason: &'static str,
    pub include_usage: bool,
    logprobs: bool,
    /// Sampling was made repeatable.
    seed: Option<i64>,
}

impl Plan {
    pub fn new(request: ChatRequest, whole: &Value, script: Script) -> Self {
        let bound = request.max_completion_tokens.or(request.max_tokens);
        let bound = bound.filter(|_| script.honours_bound).unwrap_or(u64::MAX);
        let asked = request
            .stream_options
            .is_some_and(|options| options.include_usage);
        let (mut saying, mut finish_reason) = match &script.says {
            Some(says) => Saying::of(says),
            None => Saying::to(whole, script.output),
        };
        let wanted = saying.tokens();
        saying.cut(bound);
        if saying.tokens() < wanted {
            finish_reason = "length";
        }
        Self {
            model: request.model,
            choices: request.n.unwrap_or(1),
            saying,
            finish_reason,
            include_usage: script.usage == UsageReport::AsAsked && asked,
            logprobs: request.logprobs == Some(true),
            seed: request.seed,
            script,
        }
    }

    /// Tokens of a choice.
    fn output(&self) -> u64 {
        self.saying.tokens()
    }

    /// All output tokens.
    pub fn total_output(&self) -> u64 {
        self.output() * self.choices
    }

    /// The `usage` object.
    pub fn usage(&self) -> Value {
        self.usage_up_to(self.total_output())
    }

    /// The same when so many tokens were generated.
    fn usage_up_to(&self, output: u64) -> Value {
        json!({
            "prompt_tokens": self.script.input,
            "completion_tokens": output,
            "total_tokens": self.script.input + output,
            "prompt_tokens_details": {"cached_tokens": self.script.cached},
            "completion_tokens_details": {"reasoning_tokens": self.script.reasoning},
        })
    }

    /// The whole answer as one document, with a field no standard knows.
    pub fn document(&self) -> Bytes {
        let choices: Vec<Value> = (0..self.choices)
            .map(|index| self.choice(index, "message", self.saying.message(), 0, self.output()))
            .collect();
        let mut document = json!({
            "id": "chatcmpl-upstream",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": self.model,
            "choices": choices,
            "x_unknown_field": {"kept": true},
        });
        if self.script.usage != UsageReport::Never {
            document["usage"] = self.usage();
        }
        self.sign(&mut document);
        Bytes::from(document.to_string())
    }

    /// Choice `index` that says these tokens, as a `message` or a `delta`.
    fn choice(&self, index: u64, form: &str, content: Value, from: u64, count: u64) -> Value {
        let reason = (form == "message").then_some(self.finish_reason);
        let mut choice = json!({"index": index, form: content, "finish_reason": reason});
        if self.logprobs {
            choice["logprobs"] = self.saying.logprobs(from, count);
        }
        choice
    }

    /// Says which backend answered, when sampling was made repeatable.
    fn sign(&self, document: &mut Value) {
        if let Some(seed) = self.seed {
            document["system_fingerprint"] = json!(format!("fp_{seed}"));
        }
    }

    /// Tokens of an event; deltas of tools come one by one.
    fn event_size(&self) -> u64 {
        match self.saying {
            Saying::Calls(_) => 1,
            _ => self.script.tokens_per_event.max(1),
        }
    }

    /// How many content events a stream of this answer has, per choice.
    pub fn events(&self) -> u64 {
        self.output().div_ceil(self.event_size())
    }

    /// Tokens in event `number` of a choice.
    pub fn tokens_of_event(&self, number: u64) -> u64 {
        let size = self.event_size();
        size.min(self.output() - number * size)
    }

    /// Content event `number` for choice `index`.
    pub fn content_event(&self, index: u64, number: u64) -> Bytes {
        let (from, count) = (number * self.event_size(), self.tokens_of_event(number));
        let mut delta = self.saying.delta(from, count);
        if number == 0 {
            delta["role"] = json!("assistant");
        }
        let choice = self.choice(index, "delta", delta, from, count);
        // Events come choice by choice, each choice as far as the others.
        let generated = self.choices * from + (index + 1) * count;
        let usage = (self.script.usage == UsageReport::OnEveryEvent).then(|| self.usage_up_to(generated));
        self.chunk(json!([choice]), usage)
    }

    /// The event that ends a choice.
    pub fn finish_event(&self, index: u64) -> Bytes {
        let choice = json!([{"index": index, "delta": {}, "finish_reason": self.finish_reason}]);
        let reports = matches!(
            self.script.usage,
            UsageReport::OnLastEvent | UsageReport::OnEveryEvent
        );
        let last = index + 1 == self.choices && reports;
        self.chunk(choice, last.then(|| self.usage()))
    }

    /// The event that carries usage only.
    pub fn usage_event(&self) -> Bytes {
        self.chunk(json!([]), Some(self.usage()))
    }

    fn chunk(&self, choices: Value, usage: Option<Value>) -> Bytes {
        let mut chunk = json!({
            "id": "chatcmpl-upstream",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": self.model,
            "choices": choices,
            "x_unknown_field": {"kept": true},
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        self.sign(&mut chunk);
        Bytes::from(format!("data: {chunk}\n\n"))
    }
}

/// Vectors `[0.5, -1.0, <number of the input>]`, as floats or as base64 of little-endian `f32`s.
pub fn embeddings(request: &Value, script: &Script) -> Bytes {
    let inputs = match &request["input"] {
        Value::Array(items) if !items.iter().all(Value::is_number) => items.len(),
        _ => 1,
    };
    let vector = |number: usize| -> Value {
        let values = [0.5, -1.0, number as f32];
        if request["encoding_format"] == "base64" {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            json!(base64(&bytes))
        } else {
            json!(values)
        }
    };
    let data: Vec<Value> = (0..inputs)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": vector(index)}))
        .collect();
    let mut answer = json!({"object": "list", "data": data, "model": request["model"], "x_unknown_field": 1});
    if script.usage != UsageReport::Never {
        answer["usage"] = json!({"prompt_tokens": script.input, "total_tokens": script.input});
    }
    Bytes::from(answer.to_string())
}

/// Base64 of whole groups of three bytes, which three `f32`s are.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift) as usize & 63]))
    });
    groups.collect()
}
