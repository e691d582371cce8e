//! What the security log says, and what it never says.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, User, models, question},
    logs::Lines,
    wallets::Wallet,
};
use serde_json::{Value, json};

/// The security events: name and outcome, and all of each.
fn events(lines: &Lines) -> Vec<Value> {
    let text = lines.text();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["target"] == "haithe::security")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_told_with_who_and_where_from_and_no_secret_is_in_any_line() {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(lines.clone())
        .init();
    let app = App::start().await;
    let mut secrets: Vec<String> = Vec::new();
    let anonymous = app.anonymous().with("user-agent", "a \"client\" of tests");

    // Challenges to excess; logins, refused and not.
    let wallet = Wallet::number(1);
    let address = wallet.address().to_string();
    let mut newest = Value::Null;
    for _ in 0..4 {
        newest = anonymous
            .get("/v1/auth/nonce")
            .query(&[("address", &address)])
            .data()
            .await;
        secrets.push(newest["siwe"]["nonce"].as_str().unwrap().into());
    }
    let text = newest["nonce"].as_str().unwrap();
    for signature in [Wallet::number(2).sign(text), wallet.sign(text)] {
        let body = json!({"address": address, "signature": signature});
        anonymous.post("/v1/auth/login").json(&body).send().await;
        secrets.push(signature[2..].into());
    }

    // Keys and sessions.
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let owner = User::log_in(&anonymous, wallet.clone()).await;
    let other = User::log_in(&anonymous, wallet).await;
    secrets.extend([owner.token.clone(), other.token.clone()]);
    let client = owner.client.with("user-agent", "a \"client\" of tests");
    let body = json!({"name": "k", "project_id": tenant.project_id, "routes": ["models"]});
    let key = client.post("/v1/me/api-keys").json(&body).data().await;
    let path = format!("/v1/me/api-keys/{}", key["id"]);
    let api_key = key["api_key"].as_str().unwrap().to_owned();
    let program = anonymous.bearer(&api_key);
    let scope = program.chat(&question("free"));
    scope.openai_refused(403, "key_scope").await;
    let narrow = json!({"name": "n", "project_id": tenant.project_id, "models": ["free"]});
    let narrow = client.post("/v1/me/api-keys").json(&narrow).data().await;
    let narrow = anonymous.bearer(narrow["api_key"].as_str().unwrap());
    tenant.enable(models::VECTORS).await;
    let vectors = narrow.post("/v1beta/openai/embeddings");
    let vectors = vectors.json(&json!({"model": "vectors", "input": "x"}));
    vectors.openai_refused(403, "key_scope").await;
    client.patch(&path).json(&json!({"name": "l"})).data().await;
    let rotated = client.post(&format!("{path}/rotate")).data().await;
    let dead = program.get("/v1beta/openai/models");
    dead.openai_refused(401, "invalid_api_key").await;
    program.get("/v1/me").refused(403, "session_required").await;
    client.delete(&path).data().await;
    let default = client.get("/v1/me/api-key").data().await;
    client.post("/v1/me/api-key/disable").data().await;
    for key in [
        &api_key,
        rotated["api_key"].as_str().unwrap(),
        default["api_key"].as_str().unwrap(),
    ] {
        secrets.push(key.to_owned());
        secrets.push(key.rsplit('.').next().unwrap().to_owned());
    }
    client
        .delete("/v1/me/sessions")
        .query(&[("others", "true")])
        .data()
        .await;
    client.post("/v1/auth/logout").data().await;

    let events = events(&lines);
    let find = |event: &str, outcome: &str| {
        let mut all = events.iter();
        let found = all.find(|line| line["event"] == event && line["outcome"] == outcome);
        found.unwrap_or_else(|| panic!("{event} {outcome} is in {events:#?}"))
    };
    let lower = address.to_lowercase();
    for (event, outcome) in [
        ("challenge_excess", "refused"),
        ("login", "refused"),
        ("login", "ok"),
        ("key_created", "ok"),
        ("key_scope", "refused"),
        ("key_changed", "ok"),
        ("key_rotated", "ok"),
        ("key_revoked", "ok"),
        ("default_key_created", "ok"),
        ("default_key_disabled", "ok"),
        ("session_revoked", "ok"),
        ("logout", "ok"),
    ] {
        let line = find(event, outcome);
        assert_eq!(line["wallet"], lower, "{line}");
    }
    let of_the_model = |line: &&Value| line["event"] == "key_scope" && line["reason"] == "the model";
    assert_eq!(
        events.iter().filter(of_the_model).count(),
        1,
        "embeddings are told, too"
    );
    let refused_key = find("key_used", "refused");
    assert_eq!(refused_key["wallet"], Value::Null, "nothing was established");
    assert_eq!(find("login", "refused")["reason"], "the wallet did not sign it");
    for line in &events {
        assert_eq!(line["ip"], "127.0.0.1", "{line}");
        assert!(line["request_id"].is_string(), "{line}");
    }
    let agent = find("key_rotated", "ok")["user_agent"].as_str().unwrap();
    assert_eq!(agent, r#""a \"client\" of tests""#);

    let text = lines.text();
    assert!(text.contains("haithe::request"), "other lines are looked at too");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in the log");
    }
}
