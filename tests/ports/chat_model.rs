//! [`ChatModel`]: what every provider of models must do.

use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use haithe_inference::ports::{ChatModel, Endpoint, UpstreamAnswer, UpstreamError, UpstreamRequest};
use haithe_kernel::FixedClock;
use haithe_llm_providers::Sandbox;
use haithe_tests::upstream::Upstream;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::{chat_over_http, database::NOON};

/// A provider that answers, ready to be asked.
#[async_trait]
pub trait Provider: Sync {
    async fn start() -> Self;
    fn model(&self) -> Arc<dyn ChatModel>;
}

struct InProcess;

#[async_trait]
impl Provider for InProcess {
    async fn start() -> Self {
        Self
    }
    fn model(&self) -> Arc<dyn ChatModel> {
        Arc::new(Sandbox::new(Arc::new(FixedClock::at(NOON))))
    }
}

struct OverHttp(Upstream);

#[async_trait]
impl Provider for OverHttp {
    async fn start() -> Self {
        Self(Upstream::start().await)
    }
    fn model(&self) -> Arc<dyn ChatModel> {
        chat_over_http::model(&self.0)
    }
}

pub fn request(body: &Value) -> UpstreamRequest {
    UpstreamRequest {
        provider: "test".into(),
        endpoint: Endpoint::Chat,
        stream: body["stream"] == true,
        body: Bytes::from(body.to_string()),
        request_id: "call-1".into(),
    }
}

pub fn question() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "say something"}]})
}

pub async fn document(model: &dyn ChatModel, body: &Value) -> Bytes {
    match model.send(request(body)).await.unwrap() {
        UpstreamAnswer::Json(body) => body,
        UpstreamAnswer::Stream(_) => panic!("a stream was not asked for"),
    }
}

/// Every byte of a stream, and the error it ended with.
pub async fn stream(model: &dyn ChatModel, body: &Value) -> (String, Option<UpstreamError>) {
    let UpstreamAnswer::Stream(mut events) = model.send(request(body)).await.unwrap() else {
        panic!("a stream was asked for");
    };
    let mut text = Vec::new();
    while let Some(read) = events.next().await {
        match read {
            Ok(bytes) => text.extend_from_slice(&bytes),
            Err(error) => return (String::from_utf8(text).unwrap(), Some(error)),
        }
    }
    (String::from_utf8(text).unwrap(), None)
}

fn streamed(mut body: Value, include_usage: bool) -> Value {
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": include_usage});
    body
}

fn chunks(text: &str) -> Vec<CreateChatCompletionStreamResponse> {
    let data = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "));
    let data = data.filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

async fn an_answer_is_what_the_dialects_own_types_read(provider: impl Provider) {
    let body = document(provider.model().as_ref(), &question()).await;
    let answer: CreateChatCompletionResponse = serde_json::from_slice(&body).unwrap();
    let [choice] = answer.choices.as_slice() else {
        panic!("one choice")
    };
    assert!(!choice.message.content.as_ref().unwrap().is_empty());
    let usage = answer.usage.unwrap();
    assert!(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
}

async fn a_stream_says_the_same_and_ends_with_done(provider: impl Provider) {
    let model = provider.model();
    let whole: Value = serde_json::from_slice(&document(model.as_ref(), &question()).await).unwrap();
    let (text, error) = stream(model.as_ref(), &streamed(question(), true)).await;
    assert!(error.is_none());
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let chunks = chunks(&text);
    let said: String = chunks
        .iter()
        .flat_map(|chunk| &chunk.choices)
        .filter_map(|choice| choice.delta.content.as_deref())
        .collect();
    assert_eq!(said, whole["choices"][0]["message"]["content"]);
    let ended = chunks.iter().flat_map(|chunk| &chunk.choices);
    assert_eq!(ended.filter(|choice| choice.finish_reason.is_some()).count(), 1);
    let usage = chunks.last().unwrap().usage.as_ref().unwrap();
    assert_eq!(
        u64::from(usage.completion_tokens),
        whole["usage"]["completion_tokens"].as_u64().unwrap()
    );
}

async fn usage_is_streamed_only_when_it_is_asked_for(provider: impl Provider) {
    let (text, _) = stream(provider.model().as_ref(), &streamed(question(), false)).await;
    assert!(chunks(&text).iter().all(|chunk| chunk.usage.is_none()), "{text}");
}

async fn the_bound_on_output_is_honoured(provider: impl Provider) {
    for field in ["max_tokens", "max_completion_tokens"] {
        let mut body = question();
        body[field] = json!(1);
        let answer: Value =
            serde_json::from_slice(&document(provider.model().as_ref(), &body).await).unwrap();
        assert_eq!(answer["usage"]["completion_tokens"], 1, "{answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "length", "{answer}");
    }
}

async fn several_choices_are_several_answers(provider: impl Provider) {
    let mut body = question();
    body["n"] = json!(3);
    let answer: Value = serde_json::from_slice(&document(provider.model().as_ref(), &body).await).unwrap();
    let indices: Vec<&Value> = answer["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["index"])
        .collect();
    assert_eq!(indices, [0, 1, 2]);
}

async fn many_are_answered_at_once(provider: impl Provider) {
    let asks = (0..32).map(|number| {
        let model = provider.model();
        async move {
            let body = if number % 2 == 0 {
                question()
            } else {
                streamed(question(), true)
            };
            model.send(request(&body)).await.map(|answer| match answer {
                UpstreamAnswer::Json(body) => !body.is_empty(),
                UpstreamAnswer::Stream(_) => true,
            })
        }
    });
    let answered = futures::future::join_all(asks).await;
    assert!(answered.into_iter().all(|answer| answer.unwrap()));
}

macro_rules! of_every_provider {
    ($($test:ident),+ $(,)?) => {
        mod sandbox {
            $(#[tokio::test] async fn $test() { super::$test(<super::InProcess as super::Provider>::start().await).await })+
        }
        mod openai_compatible {
            $(#[tokio::test] async fn $test() { super::$test(<super::OverHttp as super::Provider>::start().await).await })+
        }
    };
}

of_every_provider!(
    an_answer_is_what_the_dialects_own_types_read,
    a_stream_says_the_same_and_ends_with_done,
    usage_is_streamed_only_when_it_is_asked_for,
    the_bound_on_output_is_honoured,
    several_choices_are_several_answers,
    many_are_answered_at_once,
);
