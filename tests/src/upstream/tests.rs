//! The fixture keeps its own promises: a test that trusts it must be able to.

use super::*;
use serde_json::{Value, json};

async fn ask(upstream: &Upstream, body: Value) -> reqwest::Result<reqwest::Response> {
    let url = format!("{}/chat/completions", upstream.base_url());
    reqwest::Client::builder()
        .build()
        .unwrap()
        .post(url)
        .json(&body)
        .send()
        .await
}

#[tokio::test]
async fn a_completion_is_metered_as_the_script_says_and_bounded_as_the_request_says() {
    let upstream = Upstream::start().await;
    upstream.always(Script::tokens(11, 7));
    let answer: Value = ask(&upstream, json!({"model": "m", "max_tokens": 3, "n": 2}))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["usage"]["prompt_tokens"], 11);
    assert_eq!(answer["usage"]["completion_tokens"], 6);
    assert_eq!(answer["choices"][1]["message"]["content"], " w0 w1 w2");
    assert_eq!(answer["choices"][1]["finish_reason"], "length");
    let metered = upstream.exchange(0).await.metered();
    assert_eq!((metered.input, metered.output), (11, 6));
    assert_eq!(metered.stage, Stage::Finished);
}

#[tokio::test]
async fn a_stream_reports_usage_only_when_it_is_asked_to() {
    let upstream = Upstream::start().await;
    for asked in [true, false] {
        let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": asked}});
        let text = ask(&upstream, body).await.unwrap().text().await.unwrap();
        assert_eq!(text.contains("completion_tokens"), asked);
        assert!(text.ends_with("data: [DONE]\n\n"));
        assert_eq!(text.matches("\"content\"").count(), 5);
    }
}

#[tokio::test]
async fn a_paused_stream_has_delivered_what_was_metered_and_notices_who_leaves() {
    let upstream = Upstream::start().await;
    upstream.always(Script::tokens(1, 9).ending(Ending::PauseAfter(2)));
    let mut answer = ask(&upstream, json!({"model": "m", "stream": true}))
        .await
        .unwrap();
    let mut text = String::new();
    while text.matches("\n\n").count() < 2 {
        let bytes = answer.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    let exchange = upstream.exchange(0).await;
    assert_eq!(exchange.metered().output, 2);
    drop(answer);
    assert_eq!(exchange.until_client_left().await.output, 2);
}

#[tokio::test]
async fn a_broken_stream_delivers_what_came_before() {
    let upstream = Upstream::start().await;
    upstream.always(Script::tokens(1, 9).ending(Ending::CloseAfter(3)));
    let mut answer = ask(&upstream, json!({"model": "m", "stream": true}))
        .await
        .unwrap();
    let mut text = String::new();
    let failure = loop {
        match answer.chunk().await {
            Ok(Some(bytes)) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Ok(None) => panic!("the stream ended cleanly after {text}"),
            Err(failure) => break failure,
        }
    };
    assert!(failure.is_body() || failure.is_decode(), "{failure:?}");
    assert_eq!(text.matches("\"content\"").count(), 3);
    assert_eq!(upstream.exchange(0).await.metered().stage, Stage::BrokenOff);
}

#[tokio::test]
async fn scripts_come_from_the_request_then_the_queue_then_the_default() {
    let upstream = Upstream::start().await;
    upstream.next([Script::status(500, "{}"), Script::reset()]);
    let own = json!({"model": "m", "x_script": {"output": 1}});
    assert_eq!(ask(&upstream, own).await.unwrap().status(), 200);
    assert_eq!(ask(&upstream, json!({})).await.unwrap().status(), 500);
    assert!(ask(&upstream, json!({})).await.is_err());
    assert_eq!(ask(&upstream, json!({})).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_hanging_answer_notices_who_leaves() {
    let upstream = Upstream::start().await;
    upstream.always(Script::hang());
    let waiting = tokio::spawn({
        let url = format!("{}/chat/completions", upstream.base_url());
        async move {
            reqwest::Client::builder()
                .build()
                .unwrap()
                .post(url)
                .body("{}")
                .send()
                .await
        }
    });
    let exchange = upstream.exchange(0).await;
    assert_eq!(exchange.metered().stage, Stage::Received);
    waiting.abort();
    exchange.until_client_left().await;
}
