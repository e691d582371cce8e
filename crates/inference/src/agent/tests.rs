//! Loops, with a provider that plays the model and tools that remember what they were asked.

mod ends;
mod turns;

use super::*;
use crate::{
    completions::{
        Answer,
        tests::stage::{Stage, document, reads, stage},
    },
    conversations::ConversationId,
    ports::{UpstreamAnswer, UpstreamError, UpstreamRequest},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, channel::mpsc, future, stream::BoxStream};
use haithe_billing::capture::{CallOutcome, LineItem, Payee, TokenUsage};
use haithe_kernel::{Failure, ProductId, Timer, Usdt, WalletAddress};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

const CREATOR: WalletAddress = WalletAddress::new([5; 20]);

/// Time that stands still, or is over at once.
struct Time {
    over: bool,
}

impl Timer for Time {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if self.over {
            return Box::pin(future::ready(()));
        }
        Box::pin(future::pending())
    }
}

/// Answers `answer` and remembers its arguments; `None` never answers.
struct Tool {
    name: &'static str,
    answer: Option<&'static str>,
    asked: Arc<Mutex<Vec<Value>>>,
}

#[async_trait]
impl ServerTool for Tool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: self.name.into(),
            description: "A tool".into(),
            parameters: json!({"type": "object"}),
        }
    }
    async fn call(&self, arguments: Value) -> ToolOutcome {
        self.asked.lock().unwrap().push(arguments);
        match self.answer {
            Some(answer) if answer.starts_with("error") => ToolOutcome::failed(answer),
            Some(answer) => ToolOutcome::answered(answer),
            None => future::pending().await,
        }
    }
}

/// A gear with tools, prompts and data at a price.
struct Kit {
    tools: Vec<(&'static str, Option<&'static str>)>,
    asked: Arc<Mutex<Vec<Value>>>,
    told: Arc<Mutex<Vec<Exchange>>>,
    fee: i64,
    broken: bool,
}

impl Kit {
    fn with(tools: &[(&'static str, Option<&'static str>)]) -> Self {
        Self {
            tools: tools.to_vec(),
            asked: Arc::default(),
            told: Arc::default(),
            fee: 40,
            broken: false,
        }
    }
}

#[async_trait]
impl Gear for Kit {
    fn wanted(&self, _: &crate::Caller, _: Option<ConversationId>) -> bool {
        true
    }
    async fn equip(&self, wish: &Wish) -> Result<Equipment, GearError> {
        if self.broken {
            let (name, reason) = ("news".into(), "it cannot be fetched".into());
            return Err(GearError::Product { name, reason });
        }
        let tools = self.tools.iter().filter(|_| wish.tools).map(|(name, answer)| {
            let asked = Arc::clone(&self.asked);
            Arc::new(Tool {
                name,
                answer: *answer,
                asked,
            }) as Arc<dyn ServerTool>
        });
        let named = self
            .tools
            .iter()
            .map(|(name, _)| ((*name).to_owned(), ProductId(9)));
        Ok(Equipment {
            tool_products: named.collect(),
            instructions: vec!["Speak Latin.".into()],
            data: vec!["<data>[1] salve</data>".into()],
            tools: tools.collect(),
            fees: vec![ProductFee {
                product: ProductId(9),
                creator: CREATOR,
                amount: Usdt::from_nano(self.fee),
            }],
            sources: vec![Source {
                number: 1,
                product: Some(ProductId(9)),
                name: "news".into(),
                locator: "page 1".into(),
            }],
            ..Equipment::default()
        })
    }
    async fn answered(&self, _: &Wish, exchange: &Exchange) {
        self.told.lock().unwrap().push(exchange.clone());
    }
}

type Script = VecDeque<Result<UpstreamAnswer, UpstreamError>>;

/// A stage whose provider gives these answers in turn.
fn playing(
    kit: Kit,
    limits: AgentLimits,
    answers: impl IntoIterator<Item = Result<UpstreamAnswer, UpstreamError>>,
) -> Stage {
    let mut script: Script = answers.into_iter().collect();
    let mut stage = stage(move |_: &UpstreamRequest| script.pop_front().expect("one more turn than planned"));
    let time = Arc::new(Time { over: false });
    stage.completions = stage.completions.equipped(vec![Arc::new(kit)], limits, time);
    stage
}

fn said(text: &str) -> Result<UpstreamAnswer, UpstreamError> {
    turn(json!({"role": "assistant", "content": text}), "stop")
}

fn turn(message: Value, finish: &str) -> Result<UpstreamAnswer, UpstreamError> {
    let whole = json!({"id": "c", "object": "chat.completion", "created": 7, "model": "up",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4}});
    document(&whole.to_string())
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn calls(calls: &[Value]) -> Result<UpstreamAnswer, UpstreamError> {
    turn(
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        "tool_calls",
    )
}

fn stream_of(chunks: &[Value]) -> Result<UpstreamAnswer, UpstreamError> {
    let mut events: Vec<Result<Bytes, UpstreamError>> = chunks
        .iter()
        .map(|chunk| Ok(Bytes::from(format!("data: {chunk}\n\n"))))
        .collect();
    events.push(Ok(Bytes::from_static(b"data: [DONE]\n\n")));
    Ok(UpstreamAnswer::Stream(futures::stream::iter(events).boxed()))
}

fn delta(delta: Value, finish: Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "up",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn usage() -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "up", "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4}})
}

fn streamed_call(id: &str, name: &str, arguments: &str) -> Result<UpstreamAnswer, UpstreamError> {
    let mut whole = call(id, name, arguments);
    whole["index"] = json!(0);
    stream_of(&[
        delta(
            json!({"role": "assistant", "content": null, "tool_calls": [whole]}),
            Value::Null,
        ),
        delta(json!({}), json!("tool_calls")),
        usage(),
    ])
}

fn streamed_text(text: &str) -> Result<UpstreamAnswer, UpstreamError> {
    stream_of(&[
        delta(json!({"role": "assistant", "content": text}), Value::Null),
        delta(json!({}), json!("stop")),
        usage(),
    ])
}

const ASK: &str = r#"{"model":"tokens","messages":[{"role":"user","content":"Quid novi?"}]}"#;
const STREAM: &str = r#"{"model":"tokens","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Quid novi?"}]}"#;

/// The chunks of a stream, and whether `[DONE]` was the last event.
fn chunks(stream: &str) -> (Vec<Value>, bool) {
    let data: Vec<&str> = stream
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .collect();
    let done = data.last() == Some(&"[DONE]");
    let chunks = data.iter().filter(|data| **data != "[DONE]");
    (
        chunks.map(|data| serde_json::from_str(data).unwrap()).collect(),
        done,
    )
}

fn text_of(chunks: &[Value]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str())
        .collect()
}

/// Nano-USDT of a step of 10 input and 4 output tokens.
const STEP: i64 = 10 + 8;
