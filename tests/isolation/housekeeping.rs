//! Stored rows are bounded, and one broken row does not stop the others.

use alloy::primitives::U256;
use haithe_identity::idempotency::MOST_KEYS_PER_WALLET;
use haithe_kernel::{Clock, FixedClock, Usdt};
use haithe_tests::{
    app::{App, Setup, Surroundings, Tenant, models, question},
    client::{Answer, Client},
    eventually,
    receiver::Receiver,
    signing,
};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;

/// The database of a service that does not run.
async fn database(around: &Surroundings) -> SqliteConnection {
    let url = format!("sqlite://{}/haithe.db", around.dir().display());
    SqliteConnection::connect(&url).await.expect("a database")
}

async fn under_a_key(client: &Client, key: &str) -> Answer {
    let ask = client.chat(&question("per-call"));
    ask.header("idempotency-key", key).send().await
}

/// Finding 19: a wallet that has as many Idempotency-Keys as it may have gets no further row; its earlier
/// answers, its calls without a key and all other wallets are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_has_used_all_its_idempotency_keys_is_refused_alone() {
    let app = App::start().await;
    let full = app.funded("Full", Usdt::whole(1)).await;
    let other = Tenant::found(&app.chain, app.wallet(2).await, "Other").await;
    other.deposit(&app.chain, Usdt::whole(1)).await;
    other.enable(models::PER_CALL).await;
    let first = under_a_key(&full.caller, "first").await;
    assert_eq!(first.status, 200, "{}", first.text());

    let around = app.stop().await;
    let mut connection = database(&around).await;
    let used = sqlx::query("UPDATE idempotency_wallets SET slots = ?")
        .bind(MOST_KEYS_PER_WALLET)
        .execute(&mut connection)
        .await
        .expect("a changed row");
    assert_eq!(used.rows_affected(), 1, "one wallet has used a key");
    connection.close().await.expect("a closed database");
    let app = App::over(around).await;
    let (full, other) = (full.at(&app.base), other.at(&app.base));
    let asked = app.upstream.count();

    for key in ["second", "third"] {
        let refused = under_a_key(&full.caller, key).await;
        assert!(refused.header("retry-after").is_some());
        refused.openai_refused(429, "idempotency_keys_exhausted");
    }
    let again = under_a_key(&full.caller, "first").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.text(), first.text());
    assert_eq!(app.upstream.count(), asked, "no provider was asked");
    let plain = full.caller.chat(&question("per-call")).send().await;
    assert_eq!(plain.status, 200, "{}", plain.text());
    let others = under_a_key(&other.caller, "second").await;
    assert_eq!(others.status, 200, "{}", others.text());
}

/// A webhook of the tenant's project that delivers to the receiver: its number and secret.
async fn webhook(tenant: &Tenant, receiver: &Receiver, name: &str) -> (String, String) {
    let path = format!("/v1/projects/{}/webhooks", tenant.project_id);
    let body = json!({"name": name, "delivery_url": receiver.url()});
    let made = tenant.owner.client.post(&path).json(&body).data().await;
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("secret"))
}

async fn send_message(app: &App, clock: &FixedClock, (id, secret): &(String, String), message: &str) {
    let body = b"{}";
    let ask = app.anonymous().post(&format!("/v1beta/webhook/{id}"));
    let mut ask = ask.header("content-type", "application/json");
    for (name, value) in signing::headers(secret, message, clock.now().seconds(), body) {
        ask = ask.header(name, &value);
    }
    let queued = ask.body(body.to_vec()).send().await;
    assert_eq!(queued.status, 202, "{}", queued.text());
}

/// The newest message of a webhook.
async fn newest(tenant: &Tenant, (id, _): &(String, String)) -> Value {
    let path = format!("/v1/projects/{}/webhooks/{id}/messages", tenant.project_id);
    tenant.owner.client.get(&path).data().await[0].clone()
}

/// Finding 19: an answer that cannot be opened is not delivered, and holds up no other delivery.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_opened_holds_up_no_other_delivery() {
    let receiver = Receiver::start().await;
    let (mut setup, clock) = Setup::on_a_clock();
    setup.receivers.push(receiver.address());
    let app = App::with(setup).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let model = json!({"default_model_id": models::PER_CALL.0});
    tenant.change_project(model).await;
    let (broken, whole) = (
        webhook(&tenant, &receiver, "broken").await,
        webhook(&tenant, &receiver, "whole").await,
    );
    // Both answers wait for their second try.
    receiver.next([500, 500]);
    for (hook, message) in [(&broken, "msg_broken"), (&whole, "msg_whole")] {
        send_message(&app, &clock, hook, message).await;
        eventually("the first try has failed", async || {
            (newest(&tenant, hook).await["attempts"] == 1).then_some(())
        })
        .await;
    }

    let around = app.stop().await;
    let mut connection = database(&around).await;
    let spoil = "UPDATE webhook_events SET content = x'00' WHERE id = (SELECT min(id) FROM webhook_events)";
    let spoilt = sqlx::query(spoil)
        .execute(&mut connection)
        .await
        .expect("a changed row");
    assert_eq!(spoilt.rows_affected(), 1);
    connection.close().await.expect("a closed database");
    let app = App::over(around).await;
    let tenant = tenant.at(&app.base);

    clock.advance(Duration::from_secs(121));
    let delivered = receiver.delivered(2).await.json();
    assert_eq!(delivered["data"]["event_id"], "msg_whole");
    eventually("the whole answer is delivered", async || {
        (newest(&tenant, &whole).await["state"] == "delivered").then_some(())
    })
    .await;
    assert_ne!(newest(&tenant, &broken).await["state"], "delivered");
    assert_eq!(receiver.count(), 3);
}

/// Finding 19: names and addresses that can deceive are refused where they come in over the API.
#[tokio::test(flavor = "multi_thread")]
async fn deceptive_names_are_refused_by_the_api() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner.client;
    let project = format!("/v1/projects/{}", tenant.project_id);
    let org = format!("/v1/orgs/{}", tenant.org_id);
    for (name, reason) in [
        ("Ac\u{200b}me", "U+200B"),
        ("Acme\u{feff}", "U+FEFF"),
        ("\u{202e}emcA", "U+202E"),
        ("p\u{0430}ypal", "mixes Latin and Cyrillic"),
    ] {
        for asked in [
            owner.patch(&org).json(&json!({"name": name})),
            owner.patch(&project).json(&json!({"name": name})),
            owner
                .post("/v1/projects")
                .json(&json!({"org_id": tenant.org_id, "name": name})),
            owner.post("/v1/orgs").json(&json!({"name": name})),
        ] {
            let message = asked.refused(400, "invalid_name").await;
            assert!(message.contains(reason), "{message}");
        }
        let uri = format!("https://{name}.example");
        let register = json!({"uri": uri, "pub_key": "04ab"});
        let message = owner.post("/v1/creator").json(&register);
        let message = message.refused(400, "invalid_text").await;
        assert!(message.contains(reason), "{message}");
    }
    for honest in ["Агент", "東京Tower", "Acme Москва", "École ❤\u{fe0f}"] {
        let renamed = owner.patch(&project).json(&json!({"name": honest})).data().await;
        assert_eq!(renamed["name"], honest);
    }
}

/// Finding 19: names that stand on chain, where nobody can refuse them, are flagged wherever they are listed.
#[tokio::test(flavor = "multi_thread")]
async fn deceptive_names_on_chain_are_flagged_in_listings() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = &tenant.owner;
    app.chain
        .create_organization(&owner.wallet, "p\u{0430}ypal")
        .await;
    owner.client.post("/v1/orgs").data().await;
    let orgs = owner.client.get("/v1/me/orgs").data().await;
    let warning = |list: &Value, name: &str| {
        let found = list.as_array().unwrap().iter().find(|one| one["name"] == name);
        found
            .unwrap_or_else(|| panic!("{name}: {list}"))
            .get("name_warning")
            .cloned()
    };
    let warned = warning(&orgs, "p\u{0430}ypal").unwrap();
    assert!(
        warned.as_str().unwrap().contains("mixes Latin and Cyrillic"),
        "{warned}"
    );
    assert_eq!(warning(&orgs, "Acme"), None);

    let creator = app.wallet(2).await;
    let register = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    creator.client.post("/v1/creator").json(&register).data().await;
    for name in ["Best\u{200b} prompts", "Best prompts"] {
        app.chain
            .add_product(&creator.wallet, name, "promptset", U256::ZERO)
            .await;
    }
    creator.client.post("/v1/products").data().await;
    let listed = app.anonymous().get("/v1/products").data().await;
    let warned = warning(&listed["products"], "Best\u{200b} prompts").unwrap();
    assert!(warned.as_str().unwrap().contains("U+200B"), "{warned}");
    assert_eq!(warning(&listed["products"], "Best prompts"), None);
}
