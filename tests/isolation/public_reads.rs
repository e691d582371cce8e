//! What anonymous clients read does not run where logins and paid calls read.

use haithe_kernel::Usdt;
use haithe_server::http::public_reads::PUBLIC_READS;
use haithe_tests::{
    app::{App, Setup, Tenant, models, question},
    eventually,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::net::TcpListener;

/// A free port of loopback for the metrics.
fn metrics_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// How many reads ran so far, on the core and on the public readers.
async fn reads(metrics: &str) -> (u64, u64) {
    let text = reqwest::get(format!("http://{metrics}/metrics")).await.unwrap();
    let text = text.text().await.unwrap();
    let of = |readers: &str| {
        let name = format!("haithe_database_reads_total{{readers=\"{readers}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("it is shown").parse().unwrap()
    };
    (of("core"), of("public"))
}

/// The operations without a credential: method, path.
fn public_operations(document: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let security = operation["security"].as_array();
            let open = |required: &Value| required.as_object().is_some_and(serde_json::Map::is_empty);
            if security.is_some_and(|security| security.is_empty() || security.iter().any(open)) {
                found.push((method.clone(), path.clone()));
            }
        }
    }
    found
}

/// Public operations that are logins, whose reads are the reads that others must not disturb; their rate is bounded
/// per client network (`limits.logins_per_address`).
const LOGINS: [&str; 2] = ["/api/v1/auth/nonce", "/api/v1/auth/login"];

/// Finding 6: every operation without a credential reads on connections of its own, and those that read are
/// bounded in number.
#[tokio::test(flavor = "multi_thread")]
async fn no_public_operation_reads_where_logins_and_paid_calls_read() {
    let metrics = metrics_address();
    let setup = Setup::default().set("metrics.address", metrics.clone());
    let app = App::with(setup).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    let creator = tenant.owner.address();
    let document = app.anonymous().get("/openapi.json").send().await.json();
    let operations = public_operations(&document);
    assert!(operations.len() >= 20, "{operations:?}");
    let mut readers = Vec::new();
    for (method, template) in operations {
        if LOGINS.contains(&template.as_str()) {
            continue;
        }
        let path = template
            .replace("{address}", &creator)
            .replace("{sha256}", &"0".repeat(64))
            .replace("{file}", "index.css")
            .replace(
                "{id}",
                if template.contains("webhook") {
                    "0190a0b0-c0d0-7000-8000-102030405060"
                } else {
                    "1"
                },
            );
        let before = reads(&metrics).await;
        let request = match path.strip_prefix("/api") {
            Some(path) => app.anonymous().ask(method.to_uppercase().parse().unwrap(), path),
            None => app
                .anonymous()
                .ask(method.to_uppercase().parse().unwrap(), &format!("/{path}")),
        };
        let request = if template.contains("webhook") {
            let now = time::OffsetDateTime::now_utc().unix_timestamp().to_string();
            let request = request
                .header("webhook-id", "m-1")
                .header("webhook-timestamp", &now);
            request
                .header(
                    "webhook-signature",
                    "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                )
                .body("hello")
        } else if method == "post" {
            request.json(&json!({"email": "someone@example.com"}))
        } else {
            request
        };
        let answer = request.send().await;
        assert!(
            answer.status.as_u16() < 500,
            "{method} {template}: {}",
            answer.status
        );
        let after = reads(&metrics).await;
        assert_eq!(after.0, before.0, "{method} {template} read on the core readers");
        if after.1 > before.1 {
            readers.push(template);
        }
    }
    for template in &readers {
        let bounded = PUBLIC_READS.contains(&template.as_str());
        // The probe reads one row; a message of a webhook is bounded like the calls that it makes.
        let own_bound = ["/health/ready", "/api/v1beta/webhook/{id}"].contains(&template.as_str());
        assert!(
            bounded || own_bound,
            "{template} reads and is not in `PUBLIC_READS`"
        );
    }
    for expected in [
        "/api/v1/products",
        "/api/v1/creator",
        "/api/v1/stats",
        "/api/v1/content/{sha256}",
        "/health/ready",
    ] {
        assert!(
            readers.iter().any(|template| template == expected),
            "{expected} is not in {readers:?}"
        );
    }
    // What it is for: a login and a paid call read on the core readers alone.
    let before = reads(&metrics).await;
    app.wallet(7).await;
    let call = tenant.caller.chat(&question(models::PER_CALL.1)).send().await;
    assert_eq!(call.status, 200);
    let after = reads(&metrics).await;
    assert!(after.0 > before.0);
    assert_eq!(after.1, before.1);
}

/// Finding 6: the statistics are read once in a while, however many ask.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_read_once_for_many_anonymous_clients() {
    let metrics = metrics_address();
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set("metrics.address", metrics.clone())).await;
    let stats = || async { app.anonymous().get("/v1/stats").send().await.status };
    assert_eq!(stats().await, 200);
    let (_, once) = reads(&metrics).await;
    assert!((1..=4).contains(&once), "{once} statements");
    let clients = (0..16).map(|_| async {
        for _ in 0..20 {
            assert_eq!(stats().await, 200);
        }
    });
    futures::future::join_all(clients).await;
    assert_eq!(reads(&metrics).await.1, once, "320 requests read nothing");
    clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(stats().await, 200);
    assert_eq!(reads(&metrics).await.1, 2 * once);
}

/// Finding 6: what the statistics show is at most a second old, and within that second it does not change.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_show_nothing_new_within_their_second() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    app.funded("Acme", Usdt::whole(1)).await;
    app.indexed().await;
    let stats = async || app.anonymous().get("/v1/stats").data().await;
    let before = stats().await;
    let other = Tenant::found(&app.chain, app.wallet(2).await, "Other").await;
    app.indexed().await;
    let path = format!("/v1/orgs/{}", other.org_id);
    let shown = other.owner.client.get(&path).data().await;
    assert_eq!(shown["name"], "Other", "the index has it");
    assert_eq!(stats().await, before, "they are not read again");
    clock.advance(std::time::Duration::from_secs(1));
    assert_ne!(stats().await, before);
}

/// A read that fails answers each of the clients that wait for it, and not only the first.
#[tokio::test(flavor = "multi_thread")]
async fn every_anonymous_client_gets_the_404_of_a_read_that_others_wait_for() {
    let app = App::start().await;
    let path = format!("/v1/creator/{}", Wallet::number(99).wallet_address());
    let clients = (0..16).map(|_| {
        let (client, path) = (app.anonymous(), path.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                let answer = client.get(&path).send().await;
                assert_eq!(answer.status, 404, "{}", answer.text());
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

/// Finding 6: background tasks have readers of their own, too.
#[tokio::test(flavor = "multi_thread")]
async fn background_tasks_read_on_connections_of_their_own() {
    let metrics = metrics_address();
    let app = App::with(Setup::default().set("metrics.address", metrics.clone())).await;
    let idle = reads(&metrics).await;
    eventually("the background has read", async || {
        let text = reqwest::get(format!("http://{metrics}/metrics"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let name = "haithe_database_reads_total{readers=\"background\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        (line.parse::<u64>().unwrap() > 20).then_some(())
    })
    .await;
    assert_eq!(
        reads(&metrics).await,
        idle,
        "an idle service reads in the background only"
    );
    drop(app);
}
