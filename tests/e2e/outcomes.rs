//! How a call can end, and what each end costs: the ledger is compared with what the provider metered.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, question, streamed_question, usdt},
    upstream::{Ending, Metered, Script, Stage, UsageReport},
};
use serde_json::{Value, json};

async fn tenant() -> (App, Tenant) {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    (app, tenant)
}

async fn assert_free(tenant: &Tenant) {
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
    assert_eq!(tenant.balance().await.available, Usdt::whole(5));
}

/// The price of what was metered, at the prices of the model per-token.
fn price(metered: Metered) -> Usdt {
    let nano = (metered.input - metered.cached) * 1_000 + metered.cached * 500 + metered.output * 3_000;
    Usdt::from_nano(i64::try_from(nano).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_before_its_first_token_costs_nothing() {
    let openai = r#"{"error":{"message":"no","type":"invalid_request_error","param":"top_p","code":"bad"}}"#;
    let googles = r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#;
    let cases = [
        (Script::status(400, openai), 400),
        (Script::status(400, googles), 400),
        (Script::status(404, openai), 404),
        (Script::status(413, openai), 413),
        (Script::status(422, openai), 422),
        (Script::status(401, openai), 502),
        (Script::status(403, openai), 502),
        (Script::status(429, openai).header("retry-after", "7"), 429),
        (Script::status(500, openai), 502),
        (Script::status(503, ""), 502),
        (
            Script::verbatim(502, "text/html", "<html>Bad Gateway</html>"),
            502,
        ),
        (Script::verbatim(200, "text/html", "<html>hello</html>"), 502),
        (Script::verbatim(200, "application/json", "{\"id\":"), 502),
        (Script::verbatim(200, "application/json", ""), 502),
        (Script::verbatim(200, "application/json", "[]"), 502),
        (Script::status(200, openai), 400),
        (Script::reset(), 502),
        (Script::hang(), 504),
    ];
    let (app, tenant) = tenant().await;
    for (script, status) in cases {
        for body in [question("per-token"), streamed_question("per-token")] {
            app.upstream.always(script.clone());
            let answer = tenant.caller.chat(&body).send().await;
            let (_, message) = answer.openai_failure();
            let found = answer.status.as_u16();
            let same = found == status || (status == 400 && found == 502);
            assert!(same, "{script:?} {body}: {found} {message}");
            assert!(!answer.text().contains(haithe_tests::app::PROVIDER_KEY));
            assert!(
                !answer.text().contains("127.0.0.1"),
                "addresses are ours alone: {}",
                answer.text()
            );
            if status == 429 {
                assert_eq!(answer.header("retry-after"), Some("7"));
            }
        }
    }
    assert_free(&tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_keeps_the_providers_words() {
    let (app, tenant) = tenant().await;
    let body =
        r#"{"error":{"message":"top_p is odd","type":"invalid_request_error","param":"top_p","code":"odd"}}"#;
    app.upstream.always(Script::status(400, body));
    let refused = tenant.caller.chat(&question("per-token")).send().await;
    assert_eq!(refused.openai_refused(400, "odd"), "top_p is odd");
    assert_eq!(refused.json()["error"]["param"], "top_p");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_answer_costs_what_the_provider_says() {
    let (app, tenant) = tenant().await;
    let mut expected = Usdt::ZERO;
    for (number, body) in [question("per-token"), streamed_question("per-token")]
        .into_iter()
        .enumerate()
    {
        app.upstream.always(Script {
            cached: 3,
            ..Script::tokens(17, 9)
        });
        let answer = tenant.caller.chat(&body).send().await;
        assert_eq!(answer.status, 200);
        let exchange = app.upstream.exchange(number).await;
        expected = expected.checked_add(price(exchange.metered())).unwrap();
        assert_eq!(tenant.expenditure().await, expected);
    }
    tenant.at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_reports_no_usage_is_counted_and_the_receipt_says_so() {
    let (app, tenant) = tenant().await;
    app.upstream
        .always(Script::tokens(10, 5).usage(UsageReport::Never));
    for body in [question("per-token"), streamed_question("per-token")] {
        let answer = tenant.caller.chat(&body).send().await;
        assert_eq!(answer.status, 200);
        let receipt = tenant.receipt(answer.header("x-haithe-call").unwrap()).await;
        assert!(usdt(&receipt["charged_usdt"]) > Usdt::ZERO);
        assert!(
            receipt["document"].to_string().contains("\"estimated\":true"),
            "{receipt}"
        );
    }
    tenant.at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_dies_in_the_middle_is_paid_for_what_arrived() {
    let (app, tenant) = tenant().await;
    let mut before = Usdt::ZERO;
    for ending in [
        Ending::CloseAfter(3),
        Ending::GarbageAfter(3),
        Ending::ErrorAfter(3),
        Ending::PauseAfter(3), // for ever: the idle limit ends it
    ] {
        app.upstream.always(Script::tokens(10, 9).ending(ending));
        let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
        let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
        let events = stream.rest().await.expect("our own stream ends cleanly");
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert!(
            last["error"]["message"].is_string(),
            "{ending:?}: the last event says so: {last}"
        );
        assert_eq!(events.len(), 4, "{ending:?}: {events:?}");
        let receipt = tenant.receipt(&call).await;
        let document = receipt["document"].to_string();
        assert!(document.contains("\"partial\""), "{ending:?}: {document}");
        let spent = tenant.expenditure().await;
        let cost = Usdt::from_nano(spent.nano() - before.nano());
        assert!(
            cost > Usdt::ZERO && cost <= Usdt::from_nano(200_000),
            "{ending:?}: {cost}"
        );
        before = spent;
    }
    tenant.at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_a_stream_stops_the_provider_and_pays_for_what_was_generated() {
    let (app, tenant) = tenant().await;
    app.upstream
        .always(Script::tokens(10, 500).ending(Ending::PauseAfter(3)));
    let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
    let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
    for _ in 0..3 {
        stream.next_json().await;
    }
    drop(stream);
    let exchange = app.upstream.exchange(0).await;
    assert_eq!(exchange.until_client_left().await.output, 3);
    tenant.at_rest().await;
    let receipt = tenant.receipt(&call).await;
    let document = receipt["document"].to_string();
    assert!(
        document.contains("\"aborted\"") && document.contains("\"estimated\":true"),
        "{document}"
    );
    let charged = usdt(&receipt["charged_usdt"]);
    assert!(
        charged > Usdt::ZERO && charged <= Usdt::from_nano(100_000),
        "{charged}"
    );
    assert_eq!(tenant.expenditure().await, charged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_before_a_head_that_never_comes_pays_nothing() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script::hang());
    let caller = tenant.caller.clone();
    let waiting =
        tokio::spawn(async move { caller.chat(&streamed_question("per-token")).stream().await.status });
    let exchange = app.upstream.exchange(0).await;
    waiting.abort();
    // The provider is given its time; then it is stopped.
    exchange.until_client_left().await;
    assert_free(&tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_a_document_pays_for_it_all_the_same() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script {
        wait_ms: 300,
        ..Script::tokens(10, 5)
    });
    let caller = tenant.caller.clone();
    let waiting = tokio::spawn(async move { caller.chat(&question("per-token")).send().await.status });
    let exchange = app.upstream.exchange(0).await;
    waiting.abort();
    exchange
        .until("the provider has answered", |metered| {
            metered.stage != Stage::Received
        })
        .await;
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, price(exchange.metered()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_per_call_is_due_with_the_first_content_and_not_before() {
    let (app, tenant) = tenant().await;
    app.upstream
        .always(Script::tokens(1, 9).ending(Ending::PauseAfter(1)));
    let mut stream = tenant.caller.chat(&streamed_question("per-call")).stream().await;
    stream.next_json().await;
    drop(stream);
    app.upstream.exchange(0).await.until_client_left().await;
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(100_000_000));
    app.upstream
        .always(Script::tokens(1, 9).ending(Ending::CloseAfter(0)));
    let failed = tenant.caller.chat(&streamed_question("per-call")).send().await;
    failed.openai_failure();
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(100_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_no_words_is_complete_and_costs_its_input() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script::tokens(10, 0));
    for body in [question("per-token"), streamed_question("per-token")] {
        assert_eq!(tenant.caller.chat(&body).send().await.status, 200);
    }
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(20_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_usage_is_never_charged_beyond_the_hold() {
    let (app, tenant) = tenant().await;
    for usage in [
        json!({"prompt_tokens": -5, "completion_tokens": -7}),
        json!({"prompt_tokens": 1e30, "completion_tokens": 1}),
        json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX}),
        json!({"prompt_tokens": "ten", "completion_tokens": null}),
        json!([]),
        json!("none"),
    ] {
        let document = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
        app.upstream.always(Script::status(200, &document.to_string()));
        let answer = tenant.caller.chat(&question("per-token")).send().await;
        assert!(
            answer.status.as_u16() < 500 || answer.status == 502,
            "{usage}: {}",
            answer.text()
        );
        tenant.at_rest().await;
        let balance = tenant.balance().await;
        assert!(!balance.available.is_negative(), "{usage}: {balance:?}");
    }
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}
