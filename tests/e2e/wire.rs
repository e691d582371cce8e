//! The shapes that the existing frontend and its SDK read, field by field.

use crate::shape::{MODEL, ORGANIZATION, PROJECT, assert_shape};
use haithe_kernel::Usdt;
use haithe_tests::app::App;
use http::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn every_object_has_the_fields_the_frontend_reads() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(3)).await;
    let owner = &tenant.owner.client;
    let org = format!("/v1/orgs/{}", tenant.org_id);
    let project = format!("/v1/projects/{}", tenant.project_id);
    let me = owner.get("/v1/me").data().await;
    assert_shape(&me, &[("address", "address"), ("registered", "time")]);
    assert_shape(&owner.get(&org).data().await, &ORGANIZATION);
    assert_shape(&owner.get("/v1/me/orgs").data().await[0], &ORGANIZATION);
    assert_shape(
        &owner.patch(&org).query(&[("name", "New")]).data().await,
        &ORGANIZATION,
    );
    assert_shape(&owner.get(&project).data().await, &PROJECT);
    assert_shape(&owner.get(&format!("{org}/projects")).data().await[0], &PROJECT);
    assert_shape(&owner.get("/v1/models").data().await[0], &MODEL);
    assert_shape(&owner.get(&format!("{org}/models")).data().await[0], &MODEL);
    let enabled = owner
        .post(&format!("{org}/models"))
        .query(&[("model_id", "2")])
        .data()
        .await;
    assert_shape(&enabled, &MODEL);
    let disabled = owner
        .delete(&format!("{org}/models"))
        .query(&[("model_id", "2")])
        .data()
        .await;
    assert_eq!(disabled, json!({"id": tenant.org_id}));
    let member = app.wallet(2).await;
    let body = json!({"wallet_address": member.address(), "role": "member"});
    let org_member = owner.post(&format!("{org}/members")).json(&body).data().await;
    let fields = [
        ("org_id", "int"),
        ("wallet_address", "address"),
        ("role", "text"),
        ("created_at", "time"),
    ];
    assert_shape(&org_member, &fields);
    let body = json!({"wallet_address": member.address(), "role": "viewer"});
    let project_member = owner.post(&format!("{project}/members")).json(&body).data().await;
    assert_shape(
        &project_member,
        &[
            ("project_id", "int"),
            ("wallet_address", "address"),
            ("role", "text"),
        ],
    );
    assert_shape(&member.client.get("/v1/me/projects").data().await[0], &PROJECT);
    let key = owner.get("/v1/me/api-key").data().await;
    assert_shape(
        &key,
        &[("api_key", "text"), ("message", "text"), ("issued_at", "int")],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_an_integer_of_base_units_beside_an_exact_decimal() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::from_nano(1_234_567_891)).await;
    let path = format!("/v1/orgs/{}/balance", tenant.org_id);
    let text = tenant.owner.client.get(&path).send().await.text();
    assert!(text.contains("\"balance\":1234567891000000000,"), "{text}");
    assert!(text.contains("\"balance_usdt\":\"1.234567891\""), "{text}");
    for field in ["available", "held", "unsettled", "onchain", "pending_withdrawal"] {
        assert!(
            text.contains(&format!("\"{field}\":")) && text.contains(&format!("\"{field}_usdt\":\"")),
            "{field}"
        );
    }
    let path = format!("/v1/orgs/{}/expenditure", tenant.org_id);
    let text = tenant.owner.client.get(&path).send().await.text();
    assert!(
        text.contains("\"expenditure\":0,\"expenditure_usdt\":\"0\""),
        "{text}"
    );
    let models = app.anonymous().get("/v1/models").send().await.text();
    assert!(
        models.contains("\"price_per_call\":100000000000000000,"),
        "{models}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_configuration_are_public() {
    let app = App::start().await;
    let health = app.anonymous().get("//health").send().await;
    assert_eq!(
        (health.status.as_u16(), health.json()["status"].clone()),
        (200, json!("ok"))
    );
    let ready = app.anonymous().get("//health/ready").send().await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    let config = app.anonymous().get("/v1/config").data().await;
    assert_eq!(config["chain_id"], app.chain.deployment.chain_id);
    assert_eq!(config["token_decimals"], 18);
    let text = config.to_string();
    assert!(
        text.contains(&app.chain.deployment.orchestrator.to_string()),
        "{text}"
    );
    for secret in [app.chain.server.key_hex(), "a secret of tests".into()] {
        assert!(!text.contains(&secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id_and_the_callers_own_is_kept_if_it_is_harmless() {
    let app = App::start().await;
    for path in [
        "//health",
        "/v1/models",
        "/v1/me",
        "/v1beta/openai/models",
        "/nowhere",
    ] {
        let answer = app.anonymous().get(path).send().await;
        assert!(
            answer.header("x-request-id").is_some_and(|id| !id.is_empty()),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let evil = app
        .anonymous()
        .with("x-request-id", "x".repeat(5_000))
        .get("/v1/me")
        .send()
        .await;
    assert!(evil.header("x-request-id").unwrap().len() < 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_of_our_sites_may_call_and_others_may_not() {
    let app = App::start().await;
    let preflight = |origin: &str| {
        let ask = app
            .anonymous()
            .ask(Method::OPTIONS, "/v1/me")
            .header("origin", origin);
        ask.header("access-control-request-method", "PATCH").header(
            "access-control-request-headers",
            "authorization, content-type, haithe-organization, openai-project, idempotency-key",
        )
    };
    let allowed = preflight("http://localhost:3000").send().await;
    assert!(allowed.status.is_success(), "{}", allowed.status);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    let methods = allowed.header("access-control-allow-methods").unwrap();
    assert!(
        ["GET", "POST", "PATCH", "DELETE", "PUT"]
            .iter()
            .all(|method| methods.contains(method)),
        "{methods}"
    );
    let foreign = preflight("https://evil.example").send().await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let refused = app
        .anonymous()
        .get("/v1/me")
        .header("origin", "http://localhost:3000")
        .send()
        .await;
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some("http://localhost:3000"),
        "errors too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_may_come_in_the_query_or_the_body_but_must_agree() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let owner = &tenant.owner.client;
    let path = format!("/v1/orgs/{}", tenant.org_id);
    let empty_json = owner
        .patch(&path)
        .query(&[("name", "A")])
        .header("content-type", "application/json");
    assert_eq!(empty_json.data().await["name"], "A");
    let body = owner.patch(&path).json(&json!({"name": "B"}));
    assert_eq!(body.data().await["name"], "B");
    let unknown = owner.patch(&path).json(&json!({"name": "B", "unknown": [1]}));
    unknown.refused(400, "unknown_field").await;
    let agreeing = owner
        .patch(&path)
        .query(&[("name", "C")])
        .json(&json!({"name": "C"}));
    assert_eq!(agreeing.data().await["name"], "C");
    let contradicting = owner
        .patch(&path)
        .query(&[("name", "D")])
        .json(&json!({"name": "E"}));
    contradicting.refused(400, "conflicting_parameter").await;
    assert_eq!(owner.get(&path).data().await["name"], "C");
}
