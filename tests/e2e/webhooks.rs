//! Webhooks: signed messages ask an agent, once, and answers come inline or are delivered.

mod delivered;

use base64::{Engine, engine::general_purpose::STANDARD};
use haithe_kernel::{Clock, FixedClock, Usdt};
use haithe_tests::{
    app::{App, Setup, Surroundings, Tenant, User, models},
    client::{Answer, Client},
    eventually,
    program::free_port,
    receiver::Receiver,
    signing::{now, signature},
    upstream::Script,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A webhook and its secrets, as they were shown once.
#[derive(Clone)]
struct Hook {
    id: String,
    secret: String,
    delivery_secret: String,
}

impl Hook {
    fn of(made: &Value) -> Self {
        let text = |name: &str| made[name].as_str().expect("text").to_owned();
        Self {
            id: text("id"),
            secret: text("secret"),
            delivery_secret: text("delivery_secret"),
        }
    }
}

struct Message<'a> {
    webhook: &'a str,
    secret: &'a str,
    id: &'a str,
    time: i64,
    body: &'a str,
}

impl Message<'_> {
    async fn send(&self, client: &Client) -> Answer {
        let signature = signature(self.secret, self.id, self.time, self.body.as_bytes());
        self.send_signed(client, &signature).await
    }

    async fn send_signed(&self, client: &Client, signature: &str) -> Answer {
        client
            .post(&format!("/v1beta/webhook/{}", self.webhook))
            .header("content-type", "application/json")
            .header("webhook-id", self.id)
            .header("webhook-timestamp", &self.time.to_string())
            .header("webhook-signature", signature)
            .body(self.body.to_owned())
            .send()
            .await
    }
}

fn message<'a>(hook: &'a Hook, id: &'a str) -> Message<'a> {
    Message {
        webhook: &hook.id,
        secret: &hook.secret,
        id,
        time: now(),
        body: "{\"order\": 12}",
    }
}

fn path(tenant: &Tenant, rest: &str) -> String {
    format!("/v1/projects/{}/webhooks{rest}", tenant.project_id)
}

/// An organization with 10 USDT whose project answers with the model priced per call.
async fn tenant(app: &App) -> Tenant {
    let tenant = app.funded("Acme", Usdt::whole(10)).await;
    per_call(&tenant).await;
    tenant
}

async fn per_call(tenant: &Tenant) {
    let model = json!({"default_model_id": models::PER_CALL.0});
    tenant.change_project(model).await;
}

async fn hook(tenant: &Tenant, body: Value) -> Hook {
    Hook::of(
        &tenant
            .owner
            .client
            .post(&path(tenant, ""))
            .json(&body)
            .data()
            .await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_message_is_answered_inline_and_charged_once() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let hook = hook(&tenant, json!({"name": "orders"})).await;
    let client = app.anonymous();
    let answer = message(&hook, "msg_1").send(&client).await;
    let data = answer.data();
    let asked = app.upstream.exchange(0).await.json();
    assert_eq!(
        asked["messages"],
        json!([{"role": "user", "content": "{\"order\": 12}"}])
    );
    assert_eq!(data["event_id"], "msg_1");
    assert_eq!(data["webhook_id"], hook.id);
    assert_eq!(
        data["answer"],
        data["completion"]["choices"][0]["message"]["content"]
    );
    let spent = tenant.expenditure().await;
    assert!(spent > Usdt::ZERO);
    let receipt = tenant.receipt(data["call_id"].as_str().unwrap()).await;
    assert_eq!(receipt["document"]["project"], tenant.project_id.to_string());

    // The same message, signed anew as its sender's next try is: the same answer, and no charge.
    let again = message(&hook, "msg_1").send(&client).await.data();
    assert_eq!(again, data);
    assert_eq!(app.upstream.count(), 1);
    assert_eq!(tenant.expenditure().await, spent);
    // Also after a restart.
    let app = app.restarted().await;
    let tenant = tenant.at(&app.base);
    let again = message(&hook, "msg_1").send(&app.anonymous()).await.data();
    assert_eq!(again, data);
    assert_eq!(tenant.expenditure().await, spent);
    // Another message is another call.
    message(&hook, "msg_2").send(&app.anonymous()).await.data();
    assert_eq!(app.upstream.count(), 2);
    assert_eq!(
        tenant.expenditure().await.nano(),
        spent.nano() * 2,
        "the price of two calls"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_right_is_refused_before_anything_happens() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let hook = hook(&tenant, json!({"name": "orders"})).await;
    let client = app.anonymous();
    let good = message(&hook, "msg_1");
    let right = signature(&hook.secret, "msg_1", good.time, good.body.as_bytes());
    let wrong = signature(&hook.delivery_secret, "msg_1", good.time, good.body.as_bytes());
    let stale = Message {
        time: now() - 301,
        ..message(&hook, "msg_1")
    };
    let unknown = Message {
        webhook: "01900000-0000-7000-8000-000000000000",
        ..message(&hook, "msg_1")
    };
    stale.send(&client).await.refused(401, "webhook_stale");
    let nothing = unknown.send(&client).await.refused(401, "webhook_refused");
    let forged = good
        .send_signed(&client, &wrong)
        .await
        .refused(401, "webhook_refused");
    assert_eq!(nothing, forged, "an unknown webhook is not told from a known one");
    let tampered = Message {
        body: "{\"order\": 13}",
        ..message(&hook, "msg_1")
    };
    tampered
        .send_signed(&client, &right)
        .await
        .refused(401, "webhook_refused");
    let renamed = Message {
        id: "msg_2",
        ..message(&hook, "msg_1")
    };
    renamed
        .send_signed(&client, &right)
        .await
        .refused(401, "webhook_refused");
    good.send_signed(&client, "v1,")
        .await
        .refused(401, "webhook_refused");
    good.send_signed(&client, "")
        .await
        .refused(401, "webhook_unsigned");
    let bare = client.post(&format!("/v1beta/webhook/{}", hook.id)).body("x");
    bare.refused(401, "webhook_unsigned").await;
    let large = "x".repeat(65_537);
    let large = Message {
        body: &large,
        ..message(&hook, "msg_3")
    };
    large.send(&client).await.refused(413, "request_too_large");
    assert_eq!(app.upstream.count(), 0);
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
    // One right signature among wrong ones is enough.
    let several = format!("{wrong} v1a,AAAA {right}");
    good.send_signed(&client, &several).await.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_costs_nothing_and_may_be_sent_again() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let hook = hook(&tenant, json!({"name": "orders"})).await;
    let client = app.anonymous();
    app.upstream
        .next([Script::status(400, "{\"error\": {\"message\": \"no\"}}")]);
    let failed = message(&hook, "msg_1").send(&client).await;
    assert_eq!(failed.status, 400, "{}", failed.text());
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
    message(&hook, "msg_1").send(&client).await.data();
    assert_eq!(app.upstream.count(), 2);

    let poor = app.wallet(2).await;
    let poor = Tenant::found(&app.chain, poor, "Poor").await;
    per_call(&poor).await;
    let hook = self::hook(&poor, json!({"name": "orders"})).await;
    message(&hook, "msg_1")
        .send(&client)
        .await
        .refused(402, "insufficient_quota");
    assert_eq!(app.upstream.count(), 2, "it never heard of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_at_the_same_time_is_asked_once() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let hook = hook(&tenant, json!({"name": "orders"})).await;
    let client = app.anonymous();
    let message = message(&hook, "msg_1");
    let all = futures::future::join_all((0..8).map(|_| message.send(&client))).await;
    let answered = all.iter().filter(|answer| answer.status == 200).count();
    assert!(answered >= 1);
    for answer in &all {
        if answer.status != 200 {
            answer.refused(409, "webhook_in_flight");
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert_eq!(app.upstream.count(), 1);
    assert_eq!(tenant.at_rest().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shown_once_rotated_at_once_and_kept_sealed() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let owner = &tenant.owner.client;
    let first = hook(&tenant, json!({"name": "orders"})).await;
    let one = path(&tenant, &format!("/{}", first.id));
    let shown = owner.get(&one).send().await;
    let listed = owner.get(&path(&tenant, "")).send().await;
    for answer in [&shown, &listed] {
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("whsec_") && !answer.text().contains("secret"));
    }
    assert_eq!(listed.data()[0], shown.data());
    assert_eq!(shown.data()["path"], format!("/v1beta/webhook/{}", first.id));
    let rotated = Hook::of(&owner.post(&format!("{one}/rotate")).data().await);
    assert_ne!((&rotated.secret, rotated.id.as_str()), (&first.secret, "x"));
    let client = app.anonymous();
    message(&first, "msg_1")
        .send(&client)
        .await
        .refused(401, "webhook_refused");
    message(&rotated, "msg_1").send(&client).await.data();

    let off = json!({"enabled": false, "name": "later"});
    let changed = owner.patch(&one).json(&off).data().await;
    assert_eq!(
        (&changed["enabled"], &changed["name"]),
        (&json!(false), &json!("later"))
    );
    message(&rotated, "msg_2")
        .send(&client)
        .await
        .refused(403, "webhook_disabled");
    owner.delete(&one).data().await;
    message(&rotated, "msg_2")
        .send(&client)
        .await
        .refused(401, "webhook_refused");
    owner.get(&one).refused(404, "not_found").await;

    let audit = format!("/v1/orgs/{}/audit", tenant.org_id);
    let audit = owner.get(&audit).data().await;
    let actions: Vec<&str> = audit
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|line| line["action"].as_str())
        .filter(|action| action.starts_with("webhook."))
        .collect();
    assert_eq!(
        actions,
        [
            "webhook.deleted",
            "webhook.changed",
            "webhook.rotated",
            "webhook.created"
        ]
    );

    let around = app.stop().await;
    for entry in std::fs::read_dir(around.dir()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [&first.secret, &rotated.secret, &rotated.delivery_secret] {
            let encoded = secret.strip_prefix("whsec_").unwrap();
            let key = STANDARD.decode(encoded).unwrap();
            for form in [encoded.as_bytes(), &key] {
                assert!(!bytes.windows(form.len()).any(|window| window == form));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_acts_for_its_wallet_as_long_as_that_may_call() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let developer = app.wallet(2).await;
    let members = format!("/v1/projects/{}/members", tenant.project_id);
    let member = json!({"wallet_address": developer.address(), "role": "developer"});
    tenant.owner.client.post(&members).json(&member).data().await;
    let made = developer
        .client
        .post(&path(&tenant, ""))
        .json(&json!({"name": "mine"}))
        .data()
        .await;
    assert_eq!(made["wallet_address"], developer.address());
    let hook = Hook::of(&made);
    let client = app.anonymous();
    message(&hook, "msg_1").send(&client).await.data();
    let removed = json!({"wallet_address": developer.address()});
    tenant.owner.client.delete(&members).json(&removed).data().await;
    let refused = message(&hook, "msg_2").send(&client).await;
    assert!(matches!(refused.status.as_u16(), 403 | 404), "{}", refused.text());
    assert_eq!(app.upstream.count(), 1);
    // Whoever may configure the project can take it over.
    let rotate = path(&tenant, &format!("/{}/rotate", hook.id));
    let taken = Hook::of(&tenant.owner.client.post(&rotate).data().await);
    message(&taken, "msg_2").send(&client).await.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_and_too_many_are_refused_and_a_webhook_is_its_project_s() {
    let app = App::with(Setup::default().set("webhooks.max_per_project", 2)).await;
    let tenant = tenant(&app).await;
    let owner = &tenant.owner.client;
    let create = |body: Value| owner.post(&path(&tenant, "")).json(&body);
    create(json!({"name": " "})).refused(400, "invalid_name").await;
    create(json!({})).refused(400, "missing_parameter").await;
    for url in ["ftp://a.example/", "https://me:secret@a.example/", "a.example"] {
        let told = create(json!({"name": "x", "delivery_url": url}))
            .refused(400, "invalid_url")
            .await;
        assert!(!told.contains("secret"), "{told}");
    }
    let hook = hook(&tenant, json!({"name": "one"})).await;
    create(json!({"name": "two"})).data().await;
    create(json!({"name": "three"}))
        .refused(409, "too_many_webhooks")
        .await;
    let one = path(&tenant, &format!("/{}", hook.id));
    owner
        .patch(&one)
        .json(&json!({}))
        .refused(400, "nothing_to_change")
        .await;
    // Under another project of the same owner it is not found.
    let other = json!({"org_id": tenant.org_id, "name": "other"});
    let other = owner.post("/v1/projects").json(&other).data().await;
    let elsewhere = format!("/v1/projects/{}/webhooks/{}", other["id"], hook.id);
    owner.get(&elsewhere).refused(404, "not_found").await;
    owner.delete(&elsewhere).refused(404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_has_a_rate() {
    let app = App::with(Setup::default().set("limits.requests_per_webhook", 2)).await;
    let tenant = tenant(&app).await;
    let hook = hook(&tenant, json!({"name": "orders"})).await;
    let client = app.anonymous();
    for id in ["msg_1", "msg_2"] {
        message(&hook, id).send(&client).await.data();
    }
    message(&hook, "msg_3")
        .send(&client)
        .await
        .refused(429, "rate_limited");
    // Who cannot sign uses nothing up.
    let forged = message(&hook, "msg_4").send_signed(&client, "v1,AAAA").await;
    forged.refused(401, "webhook_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_and_a_stranger_manage_nothing() {
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let stranger = User::log_in(&app.anonymous(), Wallet::number(3)).await;
    stranger
        .client
        .get(&path(&tenant, ""))
        .refused(404, "not_found")
        .await;
    app.anonymous()
        .get(&path(&tenant, ""))
        .send()
        .await
        .rest_failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_cuts_off_is_not_asked_again() {
    let around = Surroundings::prepare(Setup::default()).await;
    let server = around.serve(free_port()).await;
    let owner = User::log_in(&server.anonymous(), Wallet::number(1)).await;
    let tenant = Tenant::found(&around.chain, owner, "Acme").await;
    tenant.deposit(&around.chain, Usdt::whole(10)).await;
    per_call(&tenant).await;
    let hook = hook(&tenant, json!({"name": "orders"})).await;
    around.upstream.next([Script::hang()]);
    let (sender, client) = (hook.clone(), server.anonymous());
    let sending = tokio::spawn(async move { message(&sender, "msg_1").send(&client).await.status });
    around.upstream.exchange(0).await;
    server.kill().await;
    assert!(sending.await.is_err(), "nobody answers");
    let again = around.serve(free_port()).await;
    let tenant = tenant.at(&again.base);
    let client = again.anonymous();
    message(&hook, "msg_1")
        .send(&client)
        .await
        .refused(409, "webhook_answer_lost");
    assert_eq!(around.upstream.count(), 1);
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
    message(&hook, "msg_2").send(&client).await.data();
    assert_eq!(tenant.at_rest().await.len(), 1);
}
