//! `Idempotency-Key`: the same request twice has one effect, one charge and one answer.

mod kept;

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, User, question, streamed_question},
    client::{Answer, Client},
    eventually,
    upstream::{Ending, Script},
    wallets::Wallet,
};
use serde_json::{Value, json};

/// What `Script::tokens(10, 5)` costs with the model `per-token`.
const PRICE: Usdt = Usdt::from_nano(25_000);

async fn tenant() -> (App, Tenant) {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    app.upstream.always(Script::tokens(10, 5));
    (app, tenant)
}

fn keyed(caller: &Client, key: &str) -> Client {
    caller.with("idempotency-key", key)
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// The same answer, byte for byte, and said to be one that was given before.
fn assert_replayed(again: &Answer, first: &Answer) {
    assert!(!is_replay(first) && is_replay(again), "{}", again.text());
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    for name in [
        "content-type",
        "x-haithe-call",
        "x-haithe-cost",
        "x-haithe-cost-limit",
    ] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
}

/// Asks until the first request is not under way any more.
async fn once_ended(mut ask: impl AsyncFnMut() -> Answer) -> Answer {
    eventually("the first request has ended", async || {
        let answer = ask().await;
        if answer.status == 409 {
            answer.openai_refused(409, "idempotency_in_flight");
            return None;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        Some(answer)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_streams_and_vectors_are_replayed_byte_for_byte_and_charged_once() {
    let (app, tenant) = tenant().await;
    tenant.enable(haithe_tests::app::models::VECTORS).await;
    let mut with_usage = streamed_question("per-token");
    with_usage["stream_options"] = json!({"include_usage": true});
    let vectors = json!({"model": haithe_tests::app::models::VECTORS.1, "input": "hello"});
    for (number, (path, body)) in [
        ("chat/completions", question("per-token")),
        ("chat/completions", streamed_question("per-token")),
        ("chat/completions", with_usage),
        ("embeddings", vectors),
    ]
    .into_iter()
    .enumerate()
    {
        let caller = keyed(&tenant.caller, &format!("key {number}"));
        let ask = async || {
            caller
                .post(&format!("/v1beta/openai/{path}"))
                .json(&body)
                .send()
                .await
        };
        let first = ask().await;
        assert_eq!(first.status, 200, "{}", first.text());
        let spent = tenant.expenditure().await;
        for _ in 0..3 {
            assert_replayed(&ask().await, &first);
        }
        assert_eq!(tenant.expenditure().await, spent);
        assert_eq!(app.upstream.count(), number + 1);
    }
    assert_eq!(tenant.at_rest().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_names_one_request_of_one_caller_at_one_route() {
    let (app, tenant) = tenant().await;
    let caller = keyed(&tenant.caller, "k");
    let first = caller.chat(&question("per-token")).send().await;
    caller
        .chat(&question("per-call"))
        .openai_refused(422, "idempotency_key_reused")
        .await;
    let query = caller.chat(&question("per-token")).query(&[("a", "1")]);
    query.openai_refused(422, "idempotency_key_reused").await;
    let conversation = caller
        .chat(&question("per-token"))
        .header("haithe-conversation", "7");
    conversation.openai_refused(422, "idempotency_key_reused").await;
    assert_eq!(app.upstream.count(), 1);
    // Another name, another caller or another route is another request.
    let key = keyed(&app.anonymous().bearer(&tenant.project_key().await), "k");
    let other_key = keyed(&app.anonymous().bearer(&tenant.project_key().await), "k");
    for (number, caller) in [keyed(&tenant.caller, "K"), key.clone(), other_key]
        .iter()
        .enumerate()
    {
        let answer = caller.chat(&question("per-token")).send().await;
        assert!(!is_replay(&answer), "{}", answer.text());
        assert_eq!(app.upstream.count(), number + 2);
    }
    let begin = async || caller.post("/v1beta/chat/conversations").send().await;
    let begun = begin().await;
    assert_replayed(&begin().await, &begun);
    // A new login is the same wallet.
    let again = User::log_in(&app.anonymous(), Wallet::number(1)).await;
    let again = again
        .client
        .with("openai-organization", tenant.org_uid.clone())
        .with("openai-project", tenant.project_uid.clone());
    assert_replayed(
        &keyed(&again, "k").chat(&question("per-token")).send().await,
        &first,
    );
    // Another project is another request.
    let body = json!({"org_id": tenant.org_id, "name": "other"});
    let other = tenant.owner.client.post("/v1/projects").json(&body).data().await;
    let elsewhere = tenant
        .owner
        .client
        .with("haithe-organization", tenant.org_uid.clone())
        .with("haithe-project", other["project_uid"].as_str().unwrap());
    keyed(&elsewhere, "k")
        .chat(&question("per-token"))
        .openai_refused(422, "idempotency_key_reused")
        .await;
    for key in ["", "k\u{e9}", &"k".repeat(256)] {
        let ask = tenant.caller.chat(&question("per-token"));
        ask.header_bytes("idempotency-key", key.as_bytes())
            .openai_refused(400, "invalid_idempotency_key")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_first_is_under_way_the_same_again_is_told_to_wait() {
    let (app, tenant) = tenant().await;
    app.upstream
        .always(Script::tokens(10, 5).ending(Ending::PauseAfter(2)));
    let caller = keyed(&tenant.caller, "k");
    let mut first = caller.chat(&streamed_question("per-token")).stream().await;
    first.next_json().await;
    for _ in 0..2 {
        let early = caller.chat(&streamed_question("per-token")).send().await;
        early.openai_refused(409, "idempotency_in_flight");
        assert_eq!(early.header("retry-after"), Some("1"));
    }
    caller
        .chat(&question("per-token"))
        .openai_refused(422, "idempotency_key_reused")
        .await;
    app.upstream.exchange(0).await.resume();
    assert_eq!(first.rest().await.unwrap().last().unwrap(), "[DONE]");
    let again = caller.chat(&streamed_question("per-token")).send().await;
    assert!(is_replay(&again) && again.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(tenant.expenditure().await, PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_at_once_one_is_carried_out() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script {
        wait_ms: 200,
        ..Script::tokens(10, 5)
    });
    let asking = (0..50).map(|number| {
        let caller = keyed(&tenant.caller, "k");
        tokio::spawn(async move { (number, caller.chat(&question("per-token")).send().await) })
    });
    let mut bodies = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        let (number, answer) = asked.await.unwrap();
        if answer.status == 200 {
            bodies.push(answer.body);
        } else {
            answer.openai_refused(409, "idempotency_in_flight");
            assert_eq!(answer.header("retry-after"), Some("1"), "{number}");
        }
    }
    assert!(!bodies.is_empty());
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "every answer is the same");
    assert_eq!(app.upstream.count(), 1);
    assert_eq!(tenant.at_rest().await.len(), 1);
    assert_eq!(tenant.expenditure().await, PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_created_once_is_not_created_again() {
    let (_app, tenant) = tenant().await;
    let owner = keyed(&tenant.owner.client, "k");
    let project = json!({"org_id": tenant.org_id, "name": "agent two"});
    let first = owner.post("/v1/projects").json(&project).send().await;
    assert_replayed(&owner.post("/v1/projects").json(&project).send().await, &first);
    let path = format!("/v1/orgs/{}/projects", tenant.org_id);
    assert_eq!(
        tenant
            .owner
            .client
            .get(&path)
            .data()
            .await
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let key = json!({"name": "robot"});
    let first = owner.post("/v1/me/api-keys").json(&key).send().await;
    let again = owner.post("/v1/me/api-keys").json(&key).send().await;
    assert_replayed(&again, &first);
    assert!(again.data()["api_key"].as_str().unwrap().starts_with("sk-"));
    let keys = tenant.owner.client.get("/v1/me/api-keys").data().await;
    assert_eq!(keys.as_array().unwrap().len(), 1);
    // A refusal of the request itself is an answer, too, under the name of the request it answers.
    let wrong = json!({"org_id": tenant.org_id, "name": ""});
    let owner = keyed(&tenant.owner.client, "wrong");
    let first = owner.post("/v1/projects").json(&wrong).send().await;
    let again = owner.post("/v1/projects").json(&wrong).send().await;
    assert!(is_replay(&again) && !is_replay(&first));
    assert_eq!(again.status, first.status);
    assert_eq!(again.rest_failure(), first.rest_failure());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_no_effect_may_be_tried_again_under_its_name() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    app.upstream.always(Script::tokens(10, 5));
    let caller = keyed(&tenant.caller, "k");
    caller
        .chat(&question("per-token"))
        .openai_refused(402, "insufficient_quota")
        .await;
    tenant.deposit(&app.chain, Usdt::whole(1)).await;
    let ask = async || caller.chat(&question("per-token")).send().await;
    app.upstream.always(Script::status(500, "{}"));
    let failed = ask().await;
    assert!(failed.status.is_server_error(), "{}", failed.text());
    app.upstream.always(Script::tokens(10, 5));
    let carried_out = ask().await;
    assert_eq!(carried_out.status, 200, "{}", carried_out.text());
    assert_replayed(&ask().await, &carried_out);
    assert_eq!(tenant.expenditure().await, PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_needs_the_right_that_the_request_needed() {
    let (app, tenant) = tenant().await;
    let other = app.wallet(2).await;
    let (org, project) = (tenant.org_id, tenant.project_id);
    let owner = &tenant.owner.client;
    let member = |role: &str| json!({"wallet_address": other.address(), "role": role});
    let members = [
        format!("/v1/orgs/{org}/members"),
        format!("/v1/projects/{project}/members"),
    ];
    for (path, role) in members.iter().zip(["admin", "developer"]) {
        owner.post(path).json(&member(role)).data().await;
    }
    let caller = other
        .client
        .with("haithe-organization", tenant.org_uid.clone())
        .with("haithe-project", tenant.project_uid.clone());
    let caller = keyed(&caller, "k");
    let chat = async || caller.chat(&question("per-token")).send().await;
    let create = async || {
        let body = json!({"org_id": org, "name": "mine"});
        keyed(&other.client, "k")
            .post("/v1/projects")
            .json(&body)
            .send()
            .await
    };
    let enable = async || {
        let body = json!({"model_id": haithe_tests::app::models::VECTORS.0});
        let path = format!("/v1/orgs/{org}/models");
        keyed(&other.client, "k").post(&path).json(&body).send().await
    };
    for first in [chat().await, create().await, enable().await] {
        assert_eq!(first.status, 200, "{}", first.text());
    }
    for again in [chat().await, create().await, enable().await] {
        assert!(is_replay(&again));
    }
    for path in members.iter().rev() {
        let wallet = json!({"wallet_address": member("member")["wallet_address"]});
        owner.delete(path).json(&wallet).data().await;
    }
    for refused in [chat().await, create().await, enable().await] {
        assert!(matches!(refused.status.as_u16(), 403 | 404), "{}", refused.text());
        assert!(!is_replay(&refused));
    }
    let path = "/v1/auth/logout";
    other.client.post(path).data().await;
    assert_eq!(create().await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_a_stream_in_the_middle_is_replayed_what_it_heard() {
    let (app, tenant) = tenant().await;
    app.upstream
        .always(Script::tokens(10, 500).ending(Ending::PauseAfter(3)));
    let caller = keyed(&tenant.caller, "k");
    let mut stream = caller.chat(&streamed_question("per-token")).stream().await;
    let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
    for _ in 0..3 {
        stream.next_json().await;
    }
    drop(stream);
    app.upstream.exchange(0).await.until_client_left().await;
    let receipts = tenant.at_rest().await;
    let again = once_ended(async || caller.chat(&streamed_question("per-token")).send().await).await;
    assert!(is_replay(&again));
    assert_eq!(again.header("x-haithe-call"), Some(&*call));
    let text = again.text();
    for word in [" w0", " w1", " w2", "idempotency_stream_cut_off"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains("[DONE]"), "{text}");
    assert_eq!(app.upstream.count(), 1);
    assert_eq!(tenant.at_rest().await, receipts);
    assert_eq!(receipts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_before_the_answer_begins_finds_all_of_it() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script {
        wait_ms: 300,
        ..Script::tokens(10, 5)
    });
    for (number, body) in [question("per-token"), streamed_question("per-token")]
        .into_iter()
        .enumerate()
    {
        let caller = keyed(&tenant.caller, &format!("key {number}"));
        let waiting = {
            let (caller, body) = (caller.clone(), body.clone());
            tokio::spawn(async move { caller.chat(&body).send().await.status })
        };
        app.upstream.exchange(number).await;
        waiting.abort();
        let again = once_ended(async || caller.chat(&body).send().await).await;
        assert!(is_replay(&again), "{}", again.text());
        assert!(again.text().contains(" w4"), "all of it: {}", again.text());
        assert_eq!(app.upstream.count(), number + 1);
    }
    assert_eq!(tenant.at_rest().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_names_the_header_where_it_is_taken() {
    let (app, _tenant) = tenant().await;
    let document: Value = app.anonymous().get("//api/openapi.json").send().await.json();
    let header = &document["components"]["parameters"]["IdempotencyKey"];
    assert_eq!(header["name"], "Idempotency-Key");
    let operation = &document["paths"]["/api/v1beta/openai/chat/completions"]["post"];
    assert!(operation["parameters"].to_string().contains("IdempotencyKey"));
}
