//! Where a wallet is logged in, and how that ends.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, Setup, User, question};
use serde_json::{Value, json};
use std::time::Duration;

const SESSIONS: &str = "/v1/me/sessions";

async fn sessions(user: &User) -> Vec<Value> {
    let listed = user.client.get(SESSIONS).data().await;
    listed.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_sees_its_own_sessions_and_which_one_asks() {
    let app = App::start().await;
    let phone = app.anonymous().with("user-agent", "a phone");
    let first = User::log_in(&phone, haithe_tests::wallets::Wallet::number(1)).await;
    let second = app.wallet(1).await;
    app.wallet(2).await;
    let listed = sessions(&first).await;
    assert_eq!(listed.len(), 2);
    let [newer, older] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (&older["current"], &newer["current"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(older["user_agent"], "a phone");
    assert_eq!(older["ip"], "127.0.0.1");
    for field in ["created_at", "last_seen_at", "expires_at"] {
        assert!(older[field].as_str().unwrap().ends_with('Z'), "{older}");
    }
    let text = Value::from(listed.clone()).to_string();
    assert!(!text.contains(&first.token) && !text.contains(&second.token));
    let page = first
        .client
        .get(SESSIONS)
        .query(&[("limit", "1"), ("offset", "1")]);
    let page = page.send().await;
    assert_eq!(page.header("x-total-count"), Some("2"));
    assert_eq!(page.data(), json!([older]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_is_dead_on_the_next_request_and_strangers_end_nothing() {
    let app = App::start().await;
    let (first, second) = (app.wallet(1).await, app.wallet(1).await);
    let stranger = app.wallet(2).await;
    second.client.get("/v1/me").data().await;
    let other = sessions(&first).await;
    let other = other.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("{SESSIONS}/{}", other["id"].as_str().unwrap());
    stranger.client.delete(&path).refused(404, "not_found").await;
    second.client.get("/v1/me").data().await;
    assert_eq!(first.client.delete(&path).data().await, json!({}));
    second.client.get("/v1/me").refused(401, "invalid_token").await;
    first.client.get("/v1/me").data().await;
    first.client.delete(&path).refused(404, "not_found").await;
    let unknown = format!("{SESSIONS}/{}", "0".repeat(64));
    first.client.delete(&unknown).refused(404, "not_found").await;
    for malformed in ["1", &"A".repeat(64), &"g".repeat(64)] {
        let path = format!("{SESSIONS}/{malformed}");
        first.client.delete(&path).refused(400, "invalid_path").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_end_at_once_or_all_but_the_one_that_asks() {
    let app = App::start().await;
    let mine = [app.wallet(1).await, app.wallet(1).await, app.wallet(1).await];
    let stranger = app.wallet(2).await;
    for user in &mine {
        user.client.get("/v1/me").data().await;
    }
    let ended = mine[0].client.delete(SESSIONS).query(&[("others", "true")]);
    assert_eq!(ended.data().await, json!({"revoked": 2}));
    mine[0].client.get("/v1/me").data().await;
    for user in &mine[1..] {
        user.client.get("/v1/me").refused(401, "invalid_token").await;
    }
    let again = app.wallet(1).await;
    let ended = again.client.delete(SESSIONS).data().await;
    assert_eq!(ended, json!({"revoked": 2}));
    for user in [&mine[0], &again] {
        user.client.get("/v1/me").refused(401, "invalid_token").await;
    }
    stranger.client.get("/v1/me").data().await;
    let app = app.restarted().await;
    let dead = app.anonymous().bearer(&again.token).get("/v1/me");
    dead.refused(401, "invalid_token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_is_seen_to_the_minute() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let user = app.wallet(1).await;
    let seen = async || {
        sessions(&user).await[0]["last_seen_at"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let opened = seen().await;
    clock.advance(Duration::from_secs(59));
    assert_eq!(seen().await, opened);
    clock.advance(Duration::from_secs(1));
    assert!(seen().await > opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_loses_what_its_wallet_loses_on_the_next_request() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let worker = app.wallet(2).await;
    let members = format!("/v1/projects/{}/members", tenant.project_id);
    let role = |role: &str| json!({"wallet_address": worker.address(), "role": role});
    tenant
        .owner
        .client
        .post(&members)
        .json(&role("developer"))
        .data()
        .await;
    let caller = worker
        .client
        .with("haithe-organization", tenant.org_uid.as_str())
        .with("haithe-project", tenant.project_uid.as_str());
    assert_eq!(caller.chat(&question("free")).send().await.status, 200);
    tenant
        .owner
        .client
        .patch(&members)
        .json(&role("viewer"))
        .data()
        .await;
    caller
        .chat(&question("free"))
        .openai_refused(403, "forbidden")
        .await;
    tenant
        .owner
        .client
        .patch(&members)
        .json(&role("developer"))
        .data()
        .await;
    assert_eq!(caller.chat(&question("free")).send().await.status, 200);
    let gone = json!({"wallet_address": worker.address()});
    tenant.owner.client.delete(&members).json(&gone).data().await;
    caller
        .chat(&question("free"))
        .openai_refused(404, "not_found")
        .await;
    worker.client.get("/v1/me").data().await;
}
