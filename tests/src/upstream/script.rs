//! What a scripted upstream does with a request.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One request's fate. A request chooses it with an unknown field `x_script` in its body (which
/// the gateway must pass on untouched); otherwise the test queued it, or it is the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Script {
    /// What is answered.
    pub answer: Answer,
    /// Milliseconds before the first byte.
    pub wait_ms: u64,
    /// Nothing is answered until the test calls [`Exchange::resume`](super::Exchange::resume).
    pub gated: bool,
    /// Input tokens the provider claims; `cached` of them came from its cache.
    pub input: u64,
    /// See `input`.
    pub cached: u64,
    /// Output tokens per choice, unless the request allows fewer.
    pub output: u64,
    /// How many of all output tokens are reasoning.
    pub reasoning: u64,
    /// Does the provider honour the request's bound on output? Some don't.
    pub honours_bound: bool,
    /// When usage is reported.
    pub usage: UsageReport,
    /// Tokens per stream event.
    pub tokens_per_event: u64,
    /// Milliseconds between stream events.
    pub pace_ms: u64,
    /// How a stream ends.
    pub ending: Ending,
    /// What the model says, in place of words. Its tokens are metered as they are made.
    pub says: Option<Says>,
}

/// What a model says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// This text.
    Text(String),
    /// Calls of tools, side by side: names, and arguments as they are written.
    Calls(Vec<(String, String)>),
}

/// The kinds of answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A chat completion, JSON or streamed as the request says.
    Completion,
    /// Nothing at all: the request is read and the connection stays open.
    Hang,
    /// The connection closes before the first byte.
    Reset,
    /// This status, these headers and this body.
    Verbatim {
        /// HTTP status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
}

/// When token usage is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// Like OpenAI: in JSON always; in a stream when `stream_options.include_usage` asks for it.
    AsAsked,
    /// Never: the gateway must count.
    Never,
    /// In a stream, on the last content event instead of an event of its own (some providers).
    OnLastEvent,
    /// In a stream, on every content event, counted up to there (Gemini and others).
    OnEveryEvent,
}

/// How a stream ends. The number says after how many events it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// `data: [DONE]`.
    Done,
    /// The body ends cleanly without `[DONE]`.
    WithoutDone,
    /// The connection breaks.
    CloseAfter(u64),
    /// Nothing more comes until the test calls [`Exchange::resume`](super::Exchange::resume).
    PauseAfter(u64),
    /// Bytes that are no event, then a clean end.
    GarbageAfter(u64),
    /// An error event, then a clean end (what OpenAI does when its backend dies mid-stream).
    ErrorAfter(u64),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            answer: Answer::Completion,
            wait_ms: 0,
            gated: false,
            input: 10,
            cached: 0,
            output: 5,
            reasoning: 0,
            honours_bound: true,
            usage: UsageReport::AsAsked,
            tokens_per_event: 1,
            pace_ms: 0,
            ending: Ending::Done,
            says: None,
        }
    }
}

impl Script {
    /// A completion of so many tokens.
    pub fn tokens(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            ..Self::default()
        }
    }

    /// A completion that says this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            says: Some(Says::Text(text.into())),
            ..Self::default()
        }
    }

    /// A completion that calls these tools with these arguments.
    pub fn calls<N: Into<String>, A: Into<String>>(calls: impl IntoIterator<Item = (N, A)>) -> Self {
        let calls = calls
            .into_iter()
            .map(|(name, arguments)| (name.into(), arguments.into()));
        Self {
            says: Some(Says::Calls(calls.collect())),
            ..Self::default()
        }
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self {
            answer: Answer::Hang,
            ..Self::default()
        }
    }

    /// Closes the connection before the first byte.
    pub fn reset() -> Self {
        Self {
            answer: Answer::Reset,
            ..Self::default()
        }
    }

    /// This status and JSON body.
    pub fn status(status: u16, body: &str) -> Self {
        Self::verbatim(status, "application/json", body)
    }

    /// Vectors for the texts of an embeddings request, by this rule.
    pub fn vectors(request: &Value, of: impl Fn(&str) -> Vec<f32>) -> Self {
        let texts = request["input"].as_array().expect("a list of texts").iter();
        let texts = texts.map(|text| of(text.as_str().expect("a text")));
        let data: Vec<Value> = (0..)
            .zip(texts)
            .map(|(index, vector): (u32, _)| json!({"object": "embedding", "index": index, "embedding": vector}))
            .collect();
        let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
        let answer = json!({"object": "list", "model": request["model"], "data": data, "usage": usage});
        Self::status(200, &answer.to_string())
    }

    /// This status, content type and body.
    pub fn verbatim(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            answer: Answer::Verbatim {
                status,
                headers: vec![("content-type".into(), content_type.into())],
                body: body.into(),
            },
            ..Self::default()
        }
    }

    /// With one more header on a verbatim answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Answer::Verbatim { headers, .. } = &mut self.answer {
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// Which answers nothing until the test calls [`Exchange::resume`](super::Exchange::resume).
    #[must_use]
    pub fn gated(mut self) -> Self {
        self.gated = true;
        self
    }

    /// With this ending of its stream.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// With so many tokens of input, some of them from the cache.
    #[must_use]
    pub fn of_input(mut self, input: u64, cached: u64) -> Self {
        (self.input, self.cached) = (input, cached);
        self
    }

    /// With this habit of reporting usage.
    #[must_use]
    pub fn usage(mut self, usage: UsageReport) -> Self {
        self.usage = usage;
        self
    }

    /// With so many milliseconds between its stream events.
    #[must_use]
    pub fn paced(mut self, pace_ms: u64) -> Self {
        self.pace_ms = pace_ms;
        self
    }
}
