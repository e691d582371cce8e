//! [`ChatModel`] over HTTP: bytes pass untouched, keys stay, and every way a provider can fail has
//! its own name.

use crate::chat_model::{document, question, request, stream};
use haithe_inference::{
    catalogue::{ProviderKind, ProviderSettings, Timeouts},
    ports::{ChatModel, UpstreamAnswer, UpstreamError},
    routing::{CircuitPolicy, RetryPolicy},
};
use haithe_kernel::{Failure, Kind};
use haithe_llm_providers::OpenAiCompatible;
use haithe_tests::upstream::{Ending, Script, Stage, Upstream};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const KEY: &str = "sk-provider-secret";

pub fn model(upstream: &Upstream) -> Arc<dyn ChatModel> {
    model_at(&upstream.base_url())
}

fn model_at(base_url: &str) -> Arc<dyn ChatModel> {
    let settings = ProviderSettings {
        name: "test".into(),
        kind: ProviderKind::OpenAi,
        base_url: base_url.into(),
        api_key_env: None,
        active: true,
        timeouts: Timeouts {
            connect: Duration::from_millis(500),
            first_byte: Duration::from_millis(400),
            idle: Duration::from_millis(400),
            answer: Duration::from_millis(400),
        },
        retry: RetryPolicy::default(),
        circuit: CircuitPolicy::default(),
    };
    let key = SecretString::from(KEY);
    Arc::new(OpenAiCompatible::new(&settings, Some(&key)).unwrap())
}

fn streamed() -> Value {
    let mut body = question();
    body["stream"] = json!(true);
    body
}

async fn failure(script: Script, body: &Value) -> UpstreamError {
    let upstream = Upstream::start().await;
    upstream.always(script);
    let sent = model(&upstream).send(request(body)).await;
    assert_eq!(upstream.count(), 1, "an adapter never retries by itself");
    match sent {
        Err(error) => {
            assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
            error
        }
        Ok(answer) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn the_callers_bytes_arrive_as_they_are_with_the_providers_own_key() {
    let upstream = Upstream::start().await;
    let body = json!({"zz": 1, "model": "m", "messages": [], "unknown": {"b": 1, "a": [1e3, "\u{7f}"]}});
    document(model(&upstream).as_ref(), &body).await;
    let exchange = upstream.exchange(0).await;
    assert_eq!(exchange.body, body.to_string());
    assert_eq!(
        exchange.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(exchange.header("content-type"), Some("application/json"));
    assert_eq!(exchange.header("x-request-id"), Some("call-1"));
    assert_eq!(exchange.path, "/v1/chat/completions");
}

#[tokio::test]
async fn unknown_fields_of_answers_and_events_survive() {
    let upstream = Upstream::start().await;
    let model = model(&upstream);
    let answer = document(model.as_ref(), &question()).await;
    assert!(
        String::from_utf8(answer.to_vec())
            .unwrap()
            .contains("x_unknown_field")
    );
    let (text, _) = stream(model.as_ref(), &streamed()).await;
    assert!(text.contains("x_unknown_field"));
}

#[tokio::test]
async fn connections_are_used_again() {
    let upstream = Upstream::start().await;
    let model = model(&upstream);
    for _ in 0..3 {
        document(model.as_ref(), &question()).await;
        stream(model.as_ref(), &streamed()).await;
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_request_the_provider_refuses_is_passed_on_in_its_words() {
    let body = r#"{"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":"oops"}}"#;
    for status in [400, 404, 413, 422] {
        match failure(Script::status(status, body), &question()).await {
            UpstreamError::Refused {
                status: found,
                message,
                code,
                kind,
                param,
            } => {
                assert_eq!((found, message.as_str()), (status, "bad temperature"));
                assert_eq!(code.as_deref(), Some("oops"));
                assert_eq!(kind.as_deref(), Some("invalid_request_error"));
                assert_eq!(param.as_deref(), Some("temperature"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn errors_of_other_shapes_are_read_too() {
    let googles = r#"[{"error":{"code":400,"message":"API key expired","status":"INVALID_ARGUMENT"}}]"#;
    match failure(Script::status(400, googles), &question()).await {
        UpstreamError::Refused {
            status: 400, message, ..
        } => assert_eq!(message, "API key expired"),
        other => panic!("{other:?}"),
    }
    let numbered = r#"{"error":{"message":"too long","code":413}}"#;
    match failure(Script::status(413, numbered), &question()).await {
        UpstreamError::Refused {
            status: 413, message, ..
        } => assert_eq!(message, "too long"),
        other => panic!("{other:?}"),
    }
    let vast = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(50_000));
    match failure(Script::status(400, &vast), &question()).await {
        UpstreamError::Refused { message, .. } => assert!(message.chars().count() <= 2_000),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn limits_credentials_and_failures_are_told_apart() {
    let limited = Script::status(429, r#"{"error":{"message":"slow down"}}"#).header("retry-after", "7");
    assert_eq!(failure(limited, &question()).await.retry_after(), Some(7));
    let limited = Script::status(429, "{}");
    assert_eq!(failure(limited, &question()).await.kind(), Kind::RateLimited);
    for status in [401, 403] {
        let leaking = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
        let error = failure(Script::status(status, &leaking), &question()).await;
        assert!(matches!(error, UpstreamError::Credentials), "{error:?}");
    }
    for script in [
        Script::status(500, r#"{"error":{"message":"boom"}}"#),
        Script::verbatim(502, "text/html", "<html>Bad Gateway</html>"),
        Script::status(503, ""),
        Script::reset(),
    ] {
        let error = failure(script, &question()).await;
        assert_eq!(error.kind(), Kind::Upstream, "{error:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure() {
    let model = model_at("http://127.0.0.1:9/v1");
    let error = model.send(request(&question())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Upstream);
}

#[tokio::test]
async fn a_provider_that_never_begins_times_out() {
    for body in [question(), streamed()] {
        let error = failure(Script::hang(), &body).await;
        assert!(matches!(error, UpstreamError::TimedOut), "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_that_stalls_or_breaks_gives_what_came_and_then_the_error() {
    for (ending, kind) in [
        (Ending::PauseAfter(2), Kind::UpstreamTimeout),
        (Ending::CloseAfter(2), Kind::Upstream),
    ] {
        let upstream = Upstream::start().await;
        upstream.always(Script::tokens(1, 9).ending(ending));
        let (text, error) = stream(model(&upstream).as_ref(), &streamed()).await;
        assert_eq!(text.matches("\"content\"").count(), 2, "{ending:?}");
        assert_eq!(error.unwrap().kind(), kind, "{ending:?}");
    }
}

#[tokio::test]
async fn dropping_the_call_or_the_stream_stops_the_provider() {
    let upstream = Upstream::start().await;
    upstream.next([Script::hang(), Script::tokens(1, 9).ending(Ending::PauseAfter(1))]);
    let model = model(&upstream);
    let waiting = tokio::spawn({
        let model = Arc::clone(&model);
        async move { model.send(request(&question())).await.map(|_| ()) }
    });
    let hanging = upstream.exchange(0).await;
    waiting.abort();
    hanging.until_client_left().await;
    let answer = model.send(request(&streamed())).await.unwrap();
    let streaming = upstream.exchange(1).await;
    assert_eq!(streaming.metered().stage, Stage::Answering);
    assert!(matches!(answer, UpstreamAnswer::Stream(_)));
    drop(answer);
    streaming.until_client_left().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_our_key() {
    let elsewhere = Upstream::start().await;
    let location = format!("{}/chat/completions", elsewhere.base_url());
    let error = failure(Script::status(307, "").header("location", &location), &question()).await;
    assert_eq!(error.kind(), Kind::Upstream);
    assert_eq!(elsewhere.count(), 0);
}
