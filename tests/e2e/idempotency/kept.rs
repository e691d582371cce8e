//! What is kept of an answer, for how long, and what is left of it by a restart or a crash.

use super::{PRICE, assert_replayed, is_replay, keyed, tenant};
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, PROVIDER_KEY, Setup, Surroundings, Tenant, User, on_sqlite, question, usdt},
    program::free_port,
    upstream::Script,
    wallets::Wallet,
};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn answers_outlive_a_restart_and_cannot_be_read_in_the_database() {
    if !on_sqlite() {
        return;
    }
    let (app, tenant) = tenant().await;
    let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "the treasure is buried"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    app.upstream.always(Script::status(200, &answer.to_string()));
    let name = "a rather unusual name of a request";
    let caller = keyed(&tenant.caller, name);
    let first = caller.chat(&question("per-token")).send().await;
    assert!(first.text().contains("treasure"), "{}", first.text());
    let around = app.stop().await;
    let mut stored = Vec::new();
    for file in std::fs::read_dir(around.dir()).unwrap() {
        let path = file.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("haithe.db")
        {
            stored.extend(std::fs::read(path).unwrap());
        }
    }
    assert!(
        stored.windows(5).any(|part| part == b"agent"),
        "the database was read"
    );
    for secret in ["treasure", name, PROVIDER_KEY] {
        let found = stored.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    let app = App::over(around).await;
    let again = caller.at(&app.base).chat(&question("per-token")).send().await;
    assert_replayed(&again, &first);
    assert_eq!(app.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_a_call_frees_its_key() {
    let around = Surroundings::prepare(Setup::default()).await;
    let port = free_port();
    let server = around.serve(port).await;
    let owner = User::log_in(&server.anonymous(), Wallet::number(1)).await;
    let tenant = Tenant::found(&around.chain, owner, "Acme").await;
    tenant.deposit(&around.chain, Usdt::whole(1)).await;
    around.upstream.always(Script::hang());
    let caller = keyed(&tenant.caller, "k");
    let waiting = {
        let caller = caller.clone();
        tokio::spawn(async move { caller.chat(&question("per-token")).try_send().await.is_err() })
    };
    around.upstream.exchange(0).await;
    caller
        .chat(&question("per-token"))
        .openai_refused(409, "idempotency_in_flight")
        .await;
    server.kill().await;
    assert!(waiting.await.unwrap(), "nobody answered");
    around.upstream.always(Script::tokens(10, 5));
    let server = around.serve(port).await;
    let first = caller.chat(&question("per-token")).send().await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_replayed(&caller.chat(&question("per-token")).send().await, &first);
    assert_eq!(tenant.expenditure().await, PRICE);
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_charge_outlived_its_answer_is_never_charged_again() {
    if !on_sqlite() {
        return;
    }
    let (app, tenant) = tenant().await;
    let caller = keyed(&tenant.caller, "k");
    let first = caller.chat(&question("per-token")).send().await;
    let call = first.header("x-haithe-call").unwrap().to_owned();
    let around = app.stop().await;
    // What a crash leaves between the charge and the answer.
    let url = format!("sqlite://{}/haithe.db", around.dir().display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let forget = "UPDATE idempotency_slots SET state = 'in_flight', answer = NULL, bytes = 0";
    assert_eq!(
        sqlx::query(forget)
            .execute(&mut database)
            .await
            .unwrap()
            .rows_affected(),
        1
    );
    database.close().await.unwrap();
    let app = App::over(around).await;
    let (tenant, caller) = (tenant.at(&app.base), caller.at(&app.base));
    let lost = caller.chat(&question("per-token")).send().await;
    let message = lost.openai_refused(409, "idempotency_answer_lost");
    assert!(message.contains(&call), "it names the receipt: {message}");
    assert_eq!(lost.header("x-should-retry"), Some("false"));
    assert_eq!(app.upstream.count(), 1);
    let receipt = tenant.receipt(&call).await;
    assert_eq!(usdt(&receipt["charged_usdt"]), PRICE);
    let other = keyed(&tenant.caller, "another")
        .chat(&question("per-token"))
        .send()
        .await;
    assert_eq!(other.status, 200);
    assert_eq!(tenant.at_rest().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_for_72_hours() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let caller = keyed(&app.anonymous().bearer(&tenant.project_key().await), "k");
    let ask = async || caller.post("/v1beta/chat/conversations").send().await;
    let first = ask().await;
    clock.advance(Duration::from_secs(72 * 3600 - 1));
    assert_replayed(&ask().await, &first);
    clock.advance(Duration::from_secs(1));
    let anew = ask().await;
    assert!(!is_replay(&anew));
    assert_ne!(anew.data()["id"], first.data()["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_given_once() {
    let (app, tenant) = tenant().await;
    let answer = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "w".repeat(1 << 20)}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    app.upstream.always(Script::status(200, &answer.to_string()));
    let caller = keyed(&tenant.caller, "k");
    let first = caller.chat(&question("per-token")).send().await;
    assert_eq!(first.status, 200);
    let again = caller.chat(&question("per-token")).send().await;
    again.openai_refused(409, "idempotency_answer_too_large");
    assert_eq!(again.header("retry-after"), None);
    assert_eq!(tenant.expenditure().await, PRICE);
}
