//! Rates: by address, by key, by organization; and the figures that count it all.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, models, question},
    client::Client,
    upstream::Script,
};
use serde_json::json;
use std::time::Duration;

fn header<'a>(answer: &'a haithe_tests::client::Answer, name: &str) -> &'a str {
    answer
        .headers
        .get(name)
        .map_or("", |value| value.to_str().expect("plain text"))
}

#[tokio::test]
async fn an_address_has_its_share_a_minute_and_gets_it_back() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set("limits.requests_per_address", 6)).await;
    let client = app.anonymous();
    for _ in 0..6 {
        assert_eq!(client.get("/v1/models").send().await.status, 200);
    }
    let refused = client.get("/v1/models").send().await;
    assert_eq!(header(&refused, "retry-after"), "10");
    assert_eq!(header(&refused, "x-ratelimit-limit-requests"), "6");
    assert_eq!(header(&refused, "x-ratelimit-remaining-requests"), "0");
    refused.refused(429, "rate_limited");
    let openai = client.get("/v1beta/openai/models").send().await;
    openai.openai_refused(429, "rate_limited");
    assert_eq!(
        client.get("//health").send().await.status,
        200,
        "health is for probes"
    );
    clock.advance(Duration::from_secs(10));
    assert_eq!(client.get("/v1/models").send().await.status, 200);
}

#[tokio::test]
async fn guessing_at_logins_is_slower_than_reading() {
    let (setup, _) = Setup::on_a_clock();
    let app = App::with(setup.set("limits.logins_per_address", 2)).await;
    let client = app.anonymous();
    let guess = || async {
        let body = json!({"address": format!("0x{}", "11".repeat(20)), "signature": "0x00"});
        client.post("/v1/auth/login").json(&body).send().await.status
    };
    assert_eq!(guess().await, 401);
    assert_eq!(guess().await, 401);
    assert_eq!(guess().await, 429);
    assert_eq!(client.get("/v1/models").send().await.status, 200);
}

async fn key_with(limits: serde_json::Value) -> (App, Client, std::sync::Arc<haithe_kernel::FixedClock>) {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    let mut body = limits;
    body["project_id"] = json!(tenant.project_id);
    let key = tenant.api_key(body).await;
    let client = app.anonymous().bearer(&key);
    (app, client, clock)
}

#[tokio::test]
async fn a_key_keeps_to_its_requests_a_minute_and_is_told_where_it_stands() {
    let (app, client, clock) = key_with(json!({"requests_per_minute": 2})).await;
    let ask = || client.chat(&question(models::PER_CALL.1)).send();
    let first = ask().await;
    assert_eq!(first.status, 200);
    assert_eq!(header(&first, "x-ratelimit-limit-requests"), "2");
    assert_eq!(header(&first, "x-ratelimit-remaining-requests"), "1");
    assert_eq!(header(&first, "x-ratelimit-reset-requests"), "30s");
    assert_eq!(ask().await.status, 200);
    let calls = app.upstream.count();
    let refused = ask().await;
    assert_eq!(header(&refused, "retry-after"), "30");
    refused.openai_refused(429, "rate_limited");
    assert_eq!(app.upstream.count(), calls, "the provider never heard of it");
    clock.advance(Duration::from_secs(30));
    assert_eq!(ask().await.status, 200);
}

#[tokio::test]
async fn a_key_keeps_to_its_tokens_a_minute_as_they_were_really_used() {
    let (_app, client, clock) = key_with(json!({"tokens_per_minute": 60})).await;
    let mut long = question(models::PER_CALL.1);
    long["max_tokens"] = json!(1_000);
    // Nothing is in use, so even a large estimate is let through; then the real use counts.
    assert_eq!(client.chat(&long).send().await.status, 200);
    let refused = client.chat(&long).send().await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.openai_refused(429, "rate_limited");
    clock.advance(Duration::from_secs(61));
    let mut short = question(models::PER_CALL.1);
    short["max_tokens"] = json!(1);
    let answer = client.chat(&short).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "x-ratelimit-limit-tokens"), "60");
    let used = answer.json()["usage"]["total_tokens"].as_u64().expect("a number");
    assert_eq!(
        header(&answer, "x-ratelimit-remaining-tokens"),
        (60 - used).to_string()
    );
    assert_eq!(header(&answer, "x-ratelimit-reset-tokens"), "1m1s");
}

#[tokio::test]
async fn an_organization_has_its_number_of_calls_at_once() {
    let app = App::with(Setup::default().set("limits.concurrent_per_organization", 1)).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    app.upstream.next([Script::hang()]);
    let caller = tenant.caller.clone();
    let waiting = tokio::spawn(async move { caller.chat(&question(models::PER_CALL.1)).send().await });
    haithe_tests::eventually("the first call is with the provider", async || {
        (app.upstream.count() > 0).then_some(())
    })
    .await;
    let second = tenant.caller.chat(&question(models::PER_CALL.1)).send().await;
    second.openai_refused(429, "rate_limited");
    // The provider never answers; its place is free again once that is clear.
    assert_eq!(waiting.await.expect("the call ends").status, 504);
    let third = tenant.caller.chat(&question(models::PER_CALL.1)).send().await;
    assert_eq!(third.status, 200);
}
