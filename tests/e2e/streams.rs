//! Server-sent events: untouched, one write each, ended only when the charge is on disk.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, streamed_question, usdt},
    upstream::{Ending, Script},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn tenant() -> (App, Tenant) {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    (app, tenant)
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_always_asked_of_the_provider_and_shown_only_to_who_asked() {
    let (app, tenant) = tenant().await;
    for include in [None, Some(false), Some(true)] {
        let mut body = streamed_question("per-token");
        if let Some(include) = include {
            body["stream_options"] = json!({"include_usage": include});
        }
        let mut stream = tenant.caller.chat(&body).stream().await;
        let content_type = stream.headers["content-type"].to_str().unwrap().to_owned();
        assert!(content_type.starts_with("text/event-stream"), "{content_type}");
        let events = stream.rest().await.unwrap();
        assert_eq!(events.last().unwrap(), "[DONE]");
        let usage: Vec<Value> = events[..events.len() - 1]
            .iter()
            .map(|event| serde_json::from_str::<Value>(event).unwrap())
            .filter(|event| event["usage"].is_object())
            .collect();
        assert_eq!(usage.len(), usize::from(include == Some(true)), "{events:?}");
        if let Some(usage) = usage.first() {
            assert_eq!(usage["choices"], json!([]));
            assert_eq!(usage["usage"]["completion_tokens"], 5);
            assert_eq!(usage["usage"]["total_cost"].as_u64(), Some(25_000_000_000_000));
        }
    }
    for exchange in app.upstream.exchanges() {
        assert_eq!(exchange.json()["stream_options"]["include_usage"], true);
    }
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(3 * 25_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_untouched_and_as_soon_as_they_come() {
    let (app, tenant) = tenant().await;
    app.upstream
        .always(Script::tokens(10, 9).ending(Ending::PauseAfter(3)));
    let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
    for number in 0..3 {
        let event = stream.next_json().await;
        assert_eq!(event["choices"][0]["delta"]["content"], format!(" w{number}"));
        assert_eq!(event["x_unknown_field"]["kept"], true);
    }
    assert!(
        tenant.balance().await.held > Usdt::ZERO,
        "money is held while the answer is under way"
    );
    app.upstream.exchange(0).await.resume();
    assert_eq!(stream.rest().await.unwrap().last().unwrap(), "[DONE]");
    assert_eq!(tenant.balance().await.held, Usdt::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_comes_after_the_charge() {
    let (_app, tenant) = tenant().await;
    for round in 1..=20 {
        let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
        while stream.next().await.unwrap().unwrap() != "[DONE]" {}
        assert_eq!(tenant.expenditure().await, Usdt::from_nano(round * 25_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_events_are_not_held_back_by_the_network() {
    let (_app, tenant) = tenant().await;
    let mut body = streamed_question("per-call");
    body["x_script"] = json!({"output": 30, "pace_ms": 1});
    let warm = tenant.caller.chat(&body).stream().await.rest().await.unwrap();
    assert_eq!(warm.last().unwrap(), "[DONE]");
    let begin = Instant::now();
    for _ in 0..3 {
        tenant.caller.chat(&body).stream().await.rest().await.unwrap();
    }
    // A delayed acknowledgement would cost 40 ms for most of the ninety events.
    assert!(
        begin.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_with_other_habits_are_charged_right() {
    use haithe_tests::upstream::UsageReport;
    let (app, tenant) = tenant().await;
    let mut expected = 0;
    for script in [
        Script::tokens(10, 5).usage(UsageReport::OnLastEvent),
        Script::tokens(10, 5).ending(Ending::WithoutDone),
        Script {
            tokens_per_event: 5,
            ..Script::tokens(10, 5)
        },
    ] {
        app.upstream.always(script.clone());
        let events = tenant
            .caller
            .chat(&streamed_question("per-token"))
            .stream()
            .await
            .rest()
            .await
            .unwrap();
        assert_eq!(events.last().unwrap(), "[DONE]", "{script:?}");
        expected += 25_000;
        assert_eq!(
            tenant.expenditure().await,
            Usdt::from_nano(expected),
            "{script:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_tells_a_stream_from_a_document() {
    let (_app, tenant) = tenant().await;
    let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
    let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
    stream.rest().await.unwrap();
    let receipt = tenant.receipt(&call).await;
    assert_eq!(usdt(&receipt["charged_usdt"]), Usdt::from_nano(25_000));
    assert!(
        receipt["document"].to_string().contains("\"streamed\":true"),
        "{receipt}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_open_streams_with_a_last_event_and_keeps_their_charge() {
    let app = App::with(Setup::default().set("server.shutdown_seconds", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    app.upstream.always(Script::tokens(10, 900).paced(5));
    let mut stream = tenant.caller.chat(&streamed_question("both")).stream().await;
    let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
    stream.next_json().await;
    let listening = tokio::spawn(async move { stream.rest().await });
    let around = app.stop().await;
    let events = listening.await.unwrap().expect("a clean end");
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "service_stopping", "{last}");
    around.upstream.exchange(0).await.until_client_left().await;
    let app = App::over(around).await;
    let charged = usdt(&tenant.at(&app.base).receipt(&call).await["charged_usdt"]);
    assert!(charged > Usdt::from_nano(100_000_000), "{charged}");
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_a_document_that_is_under_way() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script {
        wait_ms: 500,
        ..Script::tokens(10, 5)
    });
    let caller = tenant.caller.clone();
    let asking = tokio::spawn(async move {
        caller
            .chat(&haithe_tests::app::question("per-token"))
            .send()
            .await
    });
    app.upstream.exchange(0).await;
    let around = app.stop().await;
    assert_eq!(asking.await.unwrap().status, 200);
    let app = App::over(around).await;
    assert_eq!(tenant.at(&app.base).expenditure().await, Usdt::from_nano(25_000));
}
