//! Loops, with a provider that plays the model and tools that remember what they were asked.

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
    async fn call(&self, arguments: Value) -> String {
        self.asked.lock().unwrap().push(arguments);
        match self.answer {
            Some(answer) => answer.into(),
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
        Ok(Equipment {
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

#[tokio::test]
async fn tools_run_between_turns_and_everything_is_charged_once() {
    let kit = Kit::with(&[("weather", Some("sunny")), ("clock", Some("noon"))]);
    let (asked, told) = (Arc::clone(&kit.asked), Arc::clone(&kit.told));
    let both = [call("a", "weather", r#"{"city":"Roma"}"#), call("b", "clock", "")];
    let stage = playing(kit, AgentLimits::default(), [calls(&both), said("Sol lucet.")]);
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": "Sol lucet."})
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 20);
    assert_eq!(answer["usage"]["total_cost"], 2 * STEP + 40);
    let about = json!({"steps": 2, "tools": ["weather", "clock"], "stopped": null,
        "sources": [{"number": 1, "product_id": 9, "name": "news", "locator": "page 1"}]});
    assert_eq!(answer["haithe"], about);
    let mut heard = asked.lock().unwrap().clone();
    heard.sort_by_key(Value::to_string);
    assert_eq!(heard, [json!({"city": "Roma"}), json!({})]);

    let sent: Vec<Value> = stage
        .asked()
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let roles = |body: &Value| -> Vec<String> {
        body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(roles(&sent[0]), ["system", "user", "user"]);
    assert_eq!(
        roles(&sent[1]),
        ["system", "user", "user", "assistant", "tool", "tool"]
    );
    assert_eq!(
        sent[1]["messages"][4],
        json!({"role": "tool", "tool_call_id": "a", "content": "sunny"})
    );
    assert_eq!(sent[0]["tools"].as_array().unwrap().len(), 2);

    let charge = stage.charge();
    let lines: Vec<_> = charge
        .lines
        .iter()
        .map(|line| (line.payee, line.item, line.amount.nano()))
        .collect();
    assert_eq!(
        lines,
        [
            (Payee::Platform, LineItem::ModelTokens, 2 * STEP),
            (Payee::Creator(CREATOR), LineItem::Product(ProductId(9)), 40),
        ]
    );
    let tokens = TokenUsage {
        input: 20,
        output: 8,
        ..TokenUsage::default()
    };
    assert_eq!(
        (charge.usage.tokens, charge.usage.outcome),
        (tokens, CallOutcome::Complete)
    );
    stage.assert_nothing_held();
    let exchange = Exchange {
        question: "Quid novi?".into(),
        answer: "Sol lucet.".into(),
    };
    while told.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*told.lock().unwrap(), [exchange]);
}

#[tokio::test]
async fn a_stream_says_the_same_and_hides_the_calls_of_our_tools() {
    let kit = Kit::with(&[("weather", Some("sunny"))]);
    let stage = playing(
        kit,
        AgentLimits::default(),
        [streamed_call("a", "weather", "{}"), streamed_text("Sol lucet.")],
    );
    let (chunks, done) = chunks(&stage.streamed(STREAM).await);
    assert!(done);
    assert_eq!(text_of(&chunks), "Sol lucet.");
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.pointer("/choices/0/delta/tool_calls").is_none())
    );
    let [.., last, usage] = chunks.as_slice() else {
        panic!("{chunks:?}")
    };
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["haithe"]["steps"]),
        (&json!("stop"), &json!(2))
    );
    assert_eq!(usage["usage"]["total_cost"], 2 * STEP + 40);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(stage.charge().cost().nano(), 2 * STEP + 40);
    assert!(stage.charge().usage.streamed);
}

#[tokio::test]
async fn the_callers_own_tools_come_back_to_it_and_ours_of_that_turn_do_not_run() {
    let body = r#"{"model":"tokens","tools":[{"type":"function","function":{"name":"mine"}}],"messages":[{"role":"user","content":"x"}]}"#;
    let kit = Kit::with(&[("weather", Some("sunny"))]);
    let asked = Arc::clone(&kit.asked);
    let mixed = [call("a", "weather", "{}"), call("b", "mine", "{}")];
    let stage = playing(kit, AgentLimits::default(), [calls(&mixed)]);
    let answer: Value = serde_json::from_str(&stage.json(body).await).unwrap();
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["tool_calls"]),
        (&json!("tool_calls"), &json!([call("b", "mine", "{}")]))
    );
    assert_eq!(*asked.lock().unwrap(), [] as [Value; 0]);
    assert_eq!(stage.charge().cost().nano(), STEP + 40);
}

#[tokio::test]
async fn what_goes_wrong_with_a_tool_is_told_to_the_model() {
    let kit = Kit::with(&[("weather", Some("sunny")), ("slow", None)]);
    let wrong = [
        call("a", "weather", "[1]"),
        call("b", "nobody", "{}"),
        call("c", "weather", "{}"),
        call("d", "weather", "{}"),
    ];
    let limits = AgentLimits {
        calls_per_turn: 3,
        tool_bytes: 3,
        ..AgentLimits::default()
    };
    let stage = playing(kit, limits, [calls(&wrong), said("ok")]);
    stage.json(ASK).await;
    let sent: Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    let answers: Vec<_> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect();
    let cut = "\n[cut here: the answer is longer]";
    assert_eq!(
        answers,
        [
            format!("err{cut}"),
            format!("err{cut}"),
            format!("sun{cut}"),
            format!("err{cut}")
        ]
    );
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_given_up_and_the_loop_goes_on() {
    struct Soon;
    impl Timer for Soon {
        fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            if span == AgentLimits::default().tool_time {
                Box::pin(future::ready(()))
            } else {
                Box::pin(future::pending())
            }
        }
    }
    let mut script: Script = [calls(&[call("a", "slow", "{}")]), said("ok")].into();
    let mut stage = stage(move |_: &UpstreamRequest| script.pop_front().unwrap());
    let kit = Arc::new(Kit::with(&[("slow", None)]));
    stage.completions = stage
        .completions
        .equipped(vec![kit], AgentLimits::default(), Arc::new(Soon));
    stage.json(ASK).await;
    let sent: Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    assert_eq!(
        sent["messages"][4]["content"],
        "error: the tool did not answer in time"
    );
}

#[tokio::test]
async fn the_last_step_may_call_nothing_and_says_so_when_it_does() {
    let limits = AgentLimits {
        steps: 2,
        ..AgentLimits::default()
    };
    let again = || calls(&[call("a", "weather", "{}")]);
    let stage = playing(
        Kit::with(&[("weather", Some("sunny"))]),
        limits,
        [again(), again()],
    );
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    let sent: Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    assert_eq!(sent["tool_choice"], "none");
    assert_eq!(
        (
            &answer["haithe"]["stopped"],
            &answer["choices"][0]["finish_reason"]
        ),
        (&json!("step_limit"), &json!("length"))
    );
    assert!(answer["choices"][0]["message"].get("tool_calls").is_none());
    assert_eq!(stage.charge().usage.outcome, CallOutcome::Complete);
}

#[tokio::test]
async fn a_loop_spends_no_more_than_it_set_aside() {
    let limits = AgentLimits {
        cost: Usdt::from_nano(2_000),
        steps: 100,
        ..AgentLimits::default()
    };
    let turns = (0..100).map(|_| calls(&[call("a", "weather", "{}")]));
    let stage = playing(Kit::with(&[("weather", Some("sunny"))]), limits, turns);
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    assert_eq!(answer["haithe"]["stopped"], "cost_limit");
    let held = stage.ledger.asked.lock().unwrap()[0].most.nano();
    assert_eq!(held, 2_000 + 40);
    let cost = stage.charge().cost().nano();
    assert!((3 * STEP + 40..=held).contains(&cost), "{cost}");
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_product_that_cannot_be_loaded_costs_nothing() {
    let kit = Kit {
        broken: true,
        ..Kit::with(&[])
    };
    let stage = playing(kit, AgentLimits::default(), []);
    let error = stage.run(ASK).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retry_after()),
        ("product_unavailable", Some(5))
    );
    stage.assert_free();
    assert_eq!(stage.ledger.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_provider_that_fails_at_first_costs_nothing_and_later_the_finished_steps() {
    let dead = || Err(UpstreamError::Failed("dead".into()));
    for body in [ASK, STREAM] {
        let stage = playing(Kit::with(&[]), AgentLimits::default(), [dead()]);
        assert_eq!(stage.run(body).await.unwrap_err().code(), "upstream_failed");
        stage.assert_free();
    }
    let stage = playing(
        Kit::with(&[("weather", Some("sunny"))]),
        AgentLimits::default(),
        [calls(&[call("a", "weather", "{}")]), dead()],
    );
    assert_eq!(stage.run(ASK).await.unwrap_err().code(), "upstream_failed");
    assert_eq!(
        (stage.charge().cost().nano(), stage.charge().usage.outcome),
        (STEP, CallOutcome::Partial)
    );
    let stage = playing(
        Kit::with(&[("weather", Some("sunny"))]),
        AgentLimits::default(),
        [streamed_call("a", "weather", "{}"), dead()],
    );
    let (said, done) = chunks(&stage.streamed(STREAM).await);
    assert!(
        !done && said.last().unwrap()["error"]["code"] == "upstream_failed",
        "{said:?}"
    );
    assert_eq!(stage.charge().cost().nano(), STEP);
}

#[tokio::test]
async fn a_stream_that_breaks_is_charged_for_what_came_and_says_so() {
    let broken = || {
        let half = delta(json!({"role": "assistant", "content": "Sol"}), Value::Null);
        let events: Vec<Result<Bytes, UpstreamError>> = vec![
            Ok(Bytes::from(format!("data: {half}\n\n"))),
            Err(UpstreamError::Failed("gone".into())),
        ];
        Ok(UpstreamAnswer::Stream(futures::stream::iter(events).boxed()))
    };
    let stage = playing(Kit::with(&[]), AgentLimits::default(), [broken()]);
    let (said, done) = chunks(&stage.streamed(STREAM).await);
    assert_eq!(text_of(&said), "Sol");
    assert!(!done && said.last().unwrap().get("error").is_some());
    let charge = stage.charge();
    assert_eq!(
        (charge.usage.outcome, charge.usage.estimated),
        (CallOutcome::Partial, true)
    );
    assert!(
        charge
            .lines
            .iter()
            .any(|line| line.item == LineItem::Product(ProductId(9)))
    );
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_caller_who_leaves_a_stream_stops_the_loop_and_pays_what_was_generated() {
    let (feed, upstream) = mpsc::unbounded::<Result<Bytes, UpstreamError>>();
    let stage = playing(
        Kit::with(&[]),
        AgentLimits::default(),
        [Ok(UpstreamAnswer::Stream(upstream.boxed()))],
    );
    let half = delta(json!({"role": "assistant", "content": "Sol"}), Value::Null);
    feed.unbounded_send(Ok(Bytes::from(format!("data: {half}\n\n"))))
        .unwrap();
    let mut events: BoxStream<'static, Bytes> = stage.stream(STREAM).await;
    assert!(events.next().await.unwrap().starts_with(b"data: "));
    assert!(events.next().now_or_never().is_none());
    drop(events);
    stage.charged(1).await;
    assert!(feed.is_closed(), "the provider was not stopped");
    let charge = stage.charge();
    assert_eq!(charge.usage.outcome, CallOutcome::Aborted);
    assert_eq!(charge.usage.tokens.output, 3);
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_caller_who_leaves_while_a_tool_runs_stops_the_loop_too() {
    let stage = playing(
        Kit::with(&[("slow", None)]),
        AgentLimits::default(),
        [streamed_call("a", "slow", "{}")],
    );
    let mut events = stage.stream(STREAM).await;
    while events.next().await.unwrap() != ": working\n\n" {}
    drop(events);
    stage.charged(1).await;
    let charge = stage.charge();
    assert_eq!(
        (charge.usage.outcome, charge.cost().nano()),
        (CallOutcome::Aborted, STEP)
    );
}

#[tokio::test]
async fn time_ends_a_loop_with_what_there_is() {
    let mut script: Script = [calls(&[call("a", "slow", "{}")])].into();
    let mut stage = stage(move |_: &UpstreamRequest| script.pop_front().unwrap());
    let limits = AgentLimits {
        time: Duration::from_secs(7),
        ..AgentLimits::default()
    };
    struct Seven;
    impl Timer for Seven {
        fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            if span == Duration::from_secs(7) {
                Box::pin(future::ready(()))
            } else {
                Box::pin(future::pending())
            }
        }
    }
    let kit = Arc::new(Kit::with(&[("slow", None)]));
    stage.completions = stage.completions.equipped(vec![kit], limits, Arc::new(Seven));
    let answer: Value = serde_json::from_str(&stage.json(ASK).await).unwrap();
    assert_eq!(answer["haithe"]["stopped"], "time_limit");
    assert_eq!(stage.charge().cost().nano(), STEP);
}

#[tokio::test]
async fn what_is_said_before_a_tool_runs_is_a_paragraph_of_its_own_unless_a_format_is_asked_for() {
    let first = || {
        let mut whole = call("a", "weather", "{}");
        whole["index"] = json!(0);
        stream_of(&[
            delta(
                json!({"role": "assistant", "content": "Let me look."}),
                Value::Null,
            ),
            delta(json!({"tool_calls": [whole]}), Value::Null),
            delta(json!({}), json!("tool_calls")),
            usage(),
        ])
    };
    let kit = || Kit::with(&[("weather", Some("sunny"))]);
    let stage = playing(kit(), AgentLimits::default(), [first(), streamed_text("Sunny.")]);
    assert_eq!(
        text_of(&chunks(&stage.streamed(STREAM).await).0),
        "Let me look.\n\nSunny."
    );
    let formatted = STREAM.replace(
        "\"stream\":true",
        "\"stream\":true,\"response_format\":{\"type\":\"json_object\"}",
    );
    let stage = playing(kit(), AgentLimits::default(), [first(), streamed_text("{}")]);
    assert_eq!(text_of(&chunks(&stage.streamed(&formatted).await).0), "{}");
    assert_eq!(stage.charge().lines.len(), 2);
}

#[tokio::test]
async fn several_choices_and_names_of_ours_are_refused_before_anything_is_held() {
    for (body, param) in [
        (ASK.replace("\"messages\"", "\"n\":2,\"messages\""), "n"),
        (
            ASK.replace(
                "\"messages\"",
                "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\"}}],\"messages\"",
            ),
            "tools",
        ),
    ] {
        let stage = playing(Kit::with(&[("weather", Some(""))]), AgentLimits::default(), []);
        assert_eq!(stage.run(&body).await.unwrap_err().param(), Some(param));
        stage.assert_free();
    }
}

#[tokio::test]
async fn a_project_that_brings_nothing_takes_the_short_way() {
    let stage = stage(reads(&[
        &format!("data: {}\n\n", delta(json!({"content": "x"}), json!("stop"))),
        "data: [DONE]\n\n",
    ]));
    assert!(matches!(stage.run(STREAM).await.unwrap(), Answer::Stream { .. }));
}
