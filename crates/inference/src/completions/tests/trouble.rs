//! What is tried again and who is left alone, when providers fail for a while.

use super::{
    routes::{HEL, SAID, STOP, ask, whom},
    stage::*,
};
use crate::ports::{UpstreamAnswer, UpstreamError, UpstreamRequest};
use futures::StreamExt;
use haithe_billing::capture::CallOutcome;
use haithe_kernel::{Clock, Failure};
use std::time::Duration;

type Said = Result<UpstreamAnswer, UpstreamError>;

fn failed() -> Said {
    Err(UpstreamError::Failed("status 500".into()))
}

fn limited(seconds: u64) -> Said {
    let retry_after = Some(seconds);
    Err(UpstreamError::RateLimited { retry_after })
}

/// A provider `r` that answers its first requests so and then well; all others always answer.
fn first(mut answers: Vec<Said>) -> impl FnMut(&UpstreamRequest) -> Said + Send {
    answers.reverse();
    move |request: &UpstreamRequest| {
        let failing = if request.provider == "r" {
            answers.pop()
        } else {
            None
        };
        failing.unwrap_or_else(|| document(SAID))
    }
}

/// A provider `r` that always fails.
fn without_r(request: &UpstreamRequest) -> Said {
    if request.provider == "r" {
        failed()
    } else {
        document(SAID)
    }
}

fn spent(stage: &Stage) -> Duration {
    stage.clock.now().since(NOW)
}

#[tokio::test]
async fn a_fault_is_tried_again_after_a_short_pause_and_the_caller_notices_nothing() {
    let stage = stage(first(vec![failed(), document("<html>"), document(SAID)]));
    assert!(stage.json(&ask("sturdy", "")).await.contains("hello"));
    assert_eq!(whom(&stage), ["r", "r", "r"]);
    let spent = spent(&stage);
    assert!(
        (Duration::from_millis(150)..=Duration::from_millis(300)).contains(&spent),
        "{spent:?}"
    );
    assert_eq!(stage.charges().len(), 1);
    stage.assert_nothing_held();
}

#[tokio::test]
async fn who_keeps_failing_is_replaced() {
    let stage = stage(without_r);
    assert!(stage.json(&ask("sturdy", "")).await.contains("hello"));
    assert_eq!(whom(&stage), ["r", "r", "r", "p"]);
}

#[tokio::test]
async fn a_limit_is_waited_for_only_when_nobody_else_can_answer() {
    let alone = stage(first(vec![limited(3)]));
    assert!(alone.json(&ask("lonely", "")).await.contains("hello"));
    assert_eq!(whom(&alone), ["r", "r"]);
    assert!(spent(&alone) >= Duration::from_secs(3));

    let accompanied = stage(first(vec![limited(3)]));
    accompanied.json(&ask("sturdy", "")).await;
    assert_eq!(whom(&accompanied), ["r", "p"]);
    assert_eq!(spent(&accompanied), Duration::ZERO);
}

#[tokio::test]
async fn a_limit_longer_than_the_calls_time_is_told_at_once() {
    let stage = stage(first(vec![limited(60)]));
    let error = stage.run(&ask("lonely", "")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retry_after()),
        ("upstream_rate_limited", Some(60))
    );
    assert_eq!(whom(&stage), ["r"]);
    stage.assert_free();
}

#[tokio::test]
async fn a_refused_request_is_never_tried_again_nor_held_against_the_provider() {
    let stage = stage(|_| {
        Err(UpstreamError::Refused {
            status: 400,
            message: "no".into(),
            code: None,
            kind: None,
            param: None,
        })
    });
    for _ in 0..20 {
        let error = stage.run(&ask("sturdy", "")).await.unwrap_err();
        assert_eq!(error.code(), "upstream_refused");
    }
    assert_eq!(whom(&stage), ["r"; 20]);
}

#[tokio::test]
async fn calls_without_money_say_nothing_about_the_provider() {
    let stage = stage(first(vec![]));
    stage.set_balance(0);
    for _ in 0..20 {
        stage.run(&ask("lonely", "")).await.unwrap_err();
    }
    stage.set_balance(1_000_000);
    stage.json(&ask("lonely", "")).await;
    assert_eq!(whom(&stage), ["r"]);
}

#[tokio::test]
async fn a_failing_model_is_left_alone_and_its_fallback_answers_at_once() {
    let stage = stage(without_r);
    for _ in 0..10 {
        stage.json(&ask("sturdy", "")).await;
    }
    let asked = whom(&stage);
    // Each call is one fault, however often it is tried: three calls, and the first try of the fourth.
    assert_eq!(asked.iter().filter(|name| *name == "r").count(), 3 * 3 + 1);
    let before = stage.clock.now();
    stage.json(&ask("sturdy", "")).await;
    assert_eq!(stage.clock.now(), before, "no pause, no try");
    let asked = stage.asked().len();
    stage.run(&ask("lonely", "")).await.unwrap_err();
    assert!(
        stage.asked().len() > asked,
        "another model of its provider has its own circuit"
    );
}

#[tokio::test]
async fn a_model_without_a_fallback_says_when_to_come_back() {
    let stage = stage(without_r);
    for _ in 0..4 {
        stage.run(&ask("lonely", "")).await.unwrap_err();
    }
    let tries = stage.asked().len();
    let error = stage.run(&ask("lonely", "")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retry_after()),
        ("upstream_resting", Some(10))
    );
    assert_eq!(stage.asked().len(), tries);
    stage.assert_free();
}

#[tokio::test]
async fn a_recovered_model_answers_again_after_the_pause() {
    let stage = stage(first((0..10).map(|_| failed()).collect()));
    for _ in 0..5 {
        stage.json(&ask("sturdy", "")).await;
    }
    let four = ["r", "r", "r", "p"].repeat(3);
    assert_eq!(whom(&stage), [four, vec!["r", "p", "p"]].concat());
    stage.clock.advance(Duration::from_secs(10));
    stage.json(&ask("sturdy", "")).await;
    stage.json(&ask("sturdy", "")).await;
    assert_eq!(whom(&stage)[15..], ["r", "r"]);
}

#[tokio::test]
async fn streams_that_break_count_and_those_that_callers_leave_do_not() {
    let left = stage(|_: &UpstreamRequest| {
        let events = [HEL, HEL].map(|event| Ok(bytes::Bytes::from_static(event.as_bytes())));
        let endless = futures::stream::iter(events).chain(futures::stream::pending());
        Ok(UpstreamAnswer::Stream(endless.boxed()))
    });
    for _ in 0..20 {
        let mut stream = left.stream(&ask("lonely", r#","stream":true"#)).await;
        stream.next().await.unwrap();
        drop(stream);
    }
    assert_eq!(left.asked().len(), 20);
    left.charged(20).await;

    let broken = stage(|request: &UpstreamRequest| reads(&[HEL])(request));
    for _ in 0..4 {
        broken.streamed(&ask("lonely", r#","stream":true"#)).await;
    }
    let error = broken.run(&ask("lonely", r#","stream":true"#)).await.unwrap_err();
    assert_eq!(error.code(), "upstream_resting");
    assert_eq!(
        broken
            .charges()
            .iter()
            .map(|charge| charge.usage.outcome)
            .collect::<Vec<_>>(),
        [CallOutcome::Partial; 4]
    );
}

#[tokio::test]
async fn a_stream_is_tried_again_until_its_first_event() {
    let mut said = vec![
        vec![HEL, STOP],
        vec!["data: {\"error\":{\"message\":\"busy\"}}\n\n"],
        vec![],
    ];
    let stage = stage(move |request: &UpstreamRequest| reads(&said.pop().unwrap())(request));
    let text = stage.streamed(&ask("lonely", r#","stream":true"#)).await;
    assert_eq!(text, [HEL, STOP, "data: [DONE]\n\n"].concat());
    assert_eq!(stage.charge().usage.outcome, CallOutcome::Complete);
}

#[tokio::test]
async fn an_alias_is_the_model_in_requests_prices_and_scopes() {
    let mut stage = stage(first(vec![]));
    let mut key = key();
    key.scope.models = Some(vec!["stout".to_owned()]);
    stage.api_key = Some(key);
    for name in ["sturdy", "stout", "sturdy-latest"] {
        stage.json(&ask(name, "")).await;
    }
    for charge in stage.charges() {
        assert_eq!(charge.usage.model_name, "sturdy");
    }
    let sent: serde_json::Value = serde_json::from_slice(&stage.asked()[1].body).unwrap();
    assert_eq!(sent["model"], "sturdy");
    assert_eq!(stage.charges().len(), 3);
}
