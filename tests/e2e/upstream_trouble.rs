//! Killing a provider, or making it slow, busy or garbled, costs callers nothing while another lives.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, models, question, streamed_question},
    upstream::{Ending, Script, Upstream},
};
use serde_json::Value;
use std::time::Duration;

async fn tenant(app: &App) -> Tenant {
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    tenant.enable(models::STURDY).await;
    tenant.enable(models::SPARE).await;
    tenant
}

/// A call that must succeed: its words, and its id.
async fn answered(tenant: &Tenant, body: &Value) -> (String, String) {
    let answer = tenant.caller.chat(body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let call = answer.header("x-haithe-call").unwrap().to_owned();
    assert!(answer.text().contains("w4"), "{}", answer.text());
    (answer.text().to_owned(), call)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_one_provider_does_another_answers_and_each_call_is_charged_once() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let troubles = [
        Script::reset(),
        Script::hang(),
        Script::status(500, r#"{"error":{"message":"boom","code":500}}"#),
        Script::status(503, "").header("retry-after", "30"),
        Script::status(429, "{}").header("retry-after", "30"),
        Script::status(401, "{}"),
        Script::verbatim(200, "text/html", "<html>hello</html>"),
        Script::verbatim(200, "application/json", "{\"id\":"),
        Script::default().ending(Ending::CloseAfter(0)),
        Script::default().ending(Ending::GarbageAfter(0)),
        Script::default().ending(Ending::ErrorAfter(0)),
    ];
    let mut calls = 0;
    for trouble in troubles {
        // Six faults in a row would open the circuit: a good answer in between keeps it closed.
        app.upstream.always(Script::default());
        answered(&tenant, &question("sturdy")).await;
        app.upstream.always(trouble.clone());
        answered(&tenant, &streamed_question("sturdy")).await;
        calls += 2;
    }
    let receipts = tenant.at_rest().await;
    assert_eq!(receipts.len(), calls);
    assert!(
        receipts.values().all(|nano| *nano == 25_000),
        "the price of the model asked for, once a call: {receipts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_dies_under_load_costs_no_caller_an_answer() {
    let mut app = App::start().await;
    let tenant = tenant(&app).await;
    app.upstream.always(Script {
        wait_ms: 20,
        ..Script::default()
    });
    let callers: Vec<_> = (0..8)
        .map(|number| {
            let tenant = tenant.clone();
            tokio::spawn(async move {
                for round in 0..12 {
                    let body = if (number + round) % 2 == 0 {
                        question("sturdy")
                    } else {
                        streamed_question("sturdy")
                    };
                    answered(&tenant, &body).await;
                }
            })
        })
        .collect();
    app.upstream.exchange(30).await;
    // Its port closes, and with it every connection.
    app.around.upstream = Upstream::start().await;
    for caller in callers {
        caller.await.unwrap();
    }
    let receipts = tenant.at_rest().await;
    assert_eq!(receipts.len(), 96);
    assert!(receipts.values().all(|nano| *nano == 25_000), "{receipts:?}");
    let around = app.stop().await;
    assert!(around.spare.count() >= 30);
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_fault_is_tried_again_at_the_same_provider() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    for body in [question("sturdy"), streamed_question("stout")] {
        app.upstream
            .next([Script::reset(), Script::status(500, "{}"), Script::default()]);
        answered(&tenant, &body).await;
    }
    assert_eq!((app.upstream.count(), app.spare.count()), (6, 0));
    let sent = app.upstream.exchange(5).await.json();
    assert_eq!(sent["model"], "sturdy", "an alias stands for the model");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_provider_is_left_alone_until_a_probe_finds_it_well() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let tenant = tenant(&app).await;
    app.upstream.always(Script::status(500, "{}"));
    for _ in 0..8 {
        answered(&tenant, &question("sturdy")).await;
    }
    // Five calls that tried three times each, and the first try of the sixth.
    assert_eq!(
        app.upstream.count(),
        16,
        "six calls that failed open the circuit for their payer"
    );
    clock.advance(Duration::from_secs(5));
    answered(&tenant, &question("sturdy")).await;
    assert_eq!(app.upstream.count(), 17, "one probe, which failed");

    app.upstream.always(Script::default());
    answered(&tenant, &question("sturdy")).await;
    assert_eq!(app.upstream.count(), 17, "still left alone");
    clock.advance(Duration::from_secs(5));
    for _ in 0..3 {
        answered(&tenant, &question("sturdy")).await;
    }
    assert_eq!(app.upstream.count(), 20);
    assert_eq!(app.spare.count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_everybody_is_left_alone_the_caller_learns_when_to_come_back() {
    let (setup, _clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let tenant = tenant(&app).await;
    app.upstream.always(Script::status(500, "{}"));
    app.spare.always(Script::status(500, "{}"));
    for _ in 0..6 {
        tenant
            .caller
            .chat(&question("sturdy"))
            .openai_refused(502, "upstream_failed")
            .await;
    }
    let asked = (app.upstream.count(), app.spare.count());
    let resting = tenant.caller.chat(&streamed_question("sturdy")).send().await;
    resting.openai_refused(503, "upstream_resting");
    assert_eq!(resting.header("retry-after"), Some("5"));
    assert_eq!((app.upstream.count(), app.spare.count()), asked);
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_mistakes_and_departures_never_close_a_provider_to_others() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    app.upstream
        .always(Script::status(400, r#"{"error":{"message":"no","code":"odd"}}"#));
    for _ in 0..12 {
        tenant
            .caller
            .chat(&question("sturdy"))
            .openai_refused(400, "odd")
            .await;
    }
    app.upstream
        .always(Script::tokens(10, 9).ending(Ending::PauseAfter(1)));
    for number in 12..24 {
        let mut stream = tenant.caller.chat(&streamed_question("sturdy")).stream().await;
        stream.next_json().await;
        drop(stream);
        app.upstream.exchange(number).await.until_client_left().await;
    }
    app.upstream.always(Script::default());
    answered(&tenant, &question("sturdy")).await;
    assert_eq!((app.upstream.count(), app.spare.count()), (25, 0));
    tenant.at_rest().await;
}
