//! Answers that are delivered.

use super::*;

/// A receiver, and a service that may call it, on a clock that the test moves.
async fn delivering() -> (Receiver, App, Tenant, std::sync::Arc<FixedClock>) {
    let receiver = Receiver::start().await;
    let (mut setup, clock) = Setup::on_a_clock();
    setup.receivers.push(receiver.address());
    let app = App::with(setup).await;
    let tenant = tenant(&app).await;
    (receiver, app, tenant, clock)
}

/// Waits until the webhook's messages are these, the newest first.
async fn states(tenant: &Tenant, hook: &Hook, expected: &[&str]) {
    let messages = path(tenant, &format!("/{}/messages", hook.id));
    eventually(&format!("the messages are {expected:?}"), async || {
        let listed = tenant.owner.client.get(&messages).data().await;
        let listed = listed.as_array().unwrap().iter();
        let states: Vec<_> = listed.map(|message| message["state"].as_str().unwrap()).collect();
        (states == expected).then_some(())
    })
    .await;
}

/// Waits until so many failed tries of the newest message are written down: only then is the next one due.
async fn failed(tenant: &Tenant, hook: &Hook, tries: u64) {
    let messages = path(tenant, &format!("/{}/messages", hook.id));
    eventually(&format!("{tries} tries have failed"), async || {
        let listed = tenant.owner.client.get(&messages).data().await;
        (listed[0]["attempts"] == tries).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_delivered_signed_until_it_is_taken() {
    let (receiver, app, tenant, clock) = delivering().await;
    let hook = hook(&tenant, json!({"name": "orders", "delivery_url": receiver.url()})).await;
    receiver.next([500, 503]);
    let sent = Message {
        time: clock.now().seconds(),
        ..message(&hook, "msg_1")
    };
    let queued = sent.send(&app.anonymous()).await;
    assert_eq!(queued.status, 202, "{}", queued.text());
    assert_eq!(queued.json()["data"], json!({"status": "queued"}));
    let first = receiver.delivered(0).await;
    let mut bodies = vec![first.clone()];
    states(&tenant, &hook, &["waiting"]).await;
    failed(&tenant, &hook, 1).await;
    // Not before its pause is over, and still there after a restart.
    let app = app.restarted().await;
    let tenant = tenant.at(&app.base);
    assert_eq!(receiver.count(), 1);
    clock.advance(Duration::from_secs(121));
    bodies.push(receiver.delivered(1).await);
    failed(&tenant, &hook, 2).await;
    clock.advance(Duration::from_secs(121));
    bodies.push(receiver.delivered(2).await);
    for delivered in &bodies {
        let time: i64 = delivered.header("webhook-timestamp").parse().unwrap();
        let id = delivered.header("webhook-id");
        let expected = signature(&hook.delivery_secret, id, time, &delivered.body);
        assert_eq!(delivered.header("webhook-signature"), expected);
        assert_eq!(id, first.header("webhook-id"), "each try has the same name");
        assert_eq!(delivered.body, first.body);
    }
    let body = first.json();
    assert_eq!(body["type"], "webhook.answered");
    assert_eq!(body["data"]["event_id"], "msg_1");
    assert_eq!(
        body["data"]["answer"],
        body["data"]["completion"]["choices"][0]["message"]["content"]
    );
    // The sender's further try asks nobody, and the receiver hears of it once.
    let again = Message {
        time: clock.now().seconds(),
        ..message(&hook, "msg_1")
    };
    assert_eq!(again.send(&app.anonymous()).await.status, 202);
    let other = Message {
        time: clock.now().seconds(),
        ..message(&hook, "msg_2")
    };
    assert_eq!(other.send(&app.anonymous()).await.status, 202);
    assert_eq!(receiver.delivered(3).await.json()["data"]["event_id"], "msg_2");
    states(&tenant, &hook, &["delivered", "delivered"]).await;
    assert_eq!(app.upstream.count(), 2);
    assert_eq!(tenant.at_rest().await.len(), 2, "two calls, two charges");
    // What is delivered cannot be handed back as a message.
    let reflected = Message {
        webhook: &hook.id,
        secret: &hook.delivery_secret,
        id: "msg_3",
        time: clock.now().seconds(),
        body: std::str::from_utf8(&first.body).unwrap(),
    };
    reflected
        .send(&app.anonymous())
        .await
        .refused(401, "webhook_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_delivered_too() {
    let (receiver, app, tenant, clock) = delivering().await;
    let hook = hook(&tenant, json!({"name": "orders", "delivery_url": receiver.url()})).await;
    app.upstream
        .next([Script::status(400, "{\"error\": {\"message\": \"no\"}}")]);
    let sent = Message {
        time: clock.now().seconds(),
        ..message(&hook, "msg_1")
    };
    assert_eq!(sent.send(&app.anonymous()).await.status, 202);
    let body = receiver.delivered(0).await.json();
    assert_eq!(body["type"], "webhook.failed");
    assert_eq!(body["data"]["event_id"], "msg_1");
    assert!(body["data"]["error"]["message"].is_string());
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_inside_our_network_is_called() {
    // The provider's own address on loopback, which the service can reach and must not call for a user.
    let (receiver, app, tenant, clock) = delivering().await;
    let inside = app.upstream.base_url().replace("/v1", "/inside");
    let numeric = receiver.url().replace(haithe_tests::app::RECEIVER, "127.0.0.1");
    let good = hook(&tenant, json!({"name": "good", "delivery_url": receiver.url()})).await;
    for (name, url) in [
        ("one", inside.as_str()),
        ("two", "http://169.254.169.254/latest/meta-data/"),
        ("three", "http://localhost:8080/"),
        ("four", &numeric),
    ] {
        let hook = hook(&tenant, json!({"name": name, "delivery_url": url})).await;
        let sent = Message {
            time: clock.now().seconds(),
            ..message(&hook, "msg_1")
        };
        assert_eq!(sent.send(&app.anonymous()).await.status, 202);
        states(&tenant, &hook, &["undelivered"]).await;
    }
    let sent = Message {
        time: clock.now().seconds(),
        ..message(&good, "msg_1")
    };
    assert_eq!(sent.send(&app.anonymous()).await.status, 202);
    states(&tenant, &good, &["delivered"]).await;
    assert_eq!(receiver.count(), 1);
    let asked = app.upstream.exchanges();
    assert!(asked.iter().all(|asked| asked.json()["messages"].is_array()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_tests_own_client_a_receiver_on_loopback_is_never_called() {
    let receiver = Receiver::start().await;
    let app = App::start().await;
    let tenant = tenant(&app).await;
    let url = receiver.url().replace(haithe_tests::app::RECEIVER, "127.0.0.1");
    let hook = hook(&tenant, json!({"name": "orders", "delivery_url": url})).await;
    assert_eq!(message(&hook, "msg_1").send(&app.anonymous()).await.status, 202);
    states(&tenant, &hook, &["undelivered"]).await;
    assert_eq!(receiver.count(), 0);
    assert_eq!(
        tenant.at_rest().await.len(),
        1,
        "the agent was asked all the same"
    );
}
