//! Texts as vectors, held and charged like every call.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, models, question, usdt},
    client::Ask,
    upstream::{Script, UsageReport},
};
use serde_json::{Value, json};

async fn tenant() -> (App, Tenant) {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    tenant.enable(models::VECTORS).await;
    (app, tenant)
}

fn embed(tenant: &Tenant, body: &Value) -> Ask {
    tenant.caller.post("/v1beta/openai/embeddings").json(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_input_is_answered_and_charged_by_its_tokens() {
    let (app, tenant) = tenant().await;
    for (number, (input, count)) in [
        (json!("hello"), 1),
        (json!(["a", "b", "c"]), 3),
        (json!([15339, 11]), 1),
        (json!([[15339], [11, 12]]), 2),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"model": "vectors", "input": input, "dimensions": 3, "x_odd": [1.50]});
        let answer = embed(&tenant, &body).send().await;
        assert_eq!(answer.status, 200, "{input}: {}", answer.text());
        assert_eq!(answer.header("x-haithe-cost"), Some("10000000000000"), "{input}");
        let said = answer.json();
        assert_eq!(said["data"].as_array().unwrap().len(), count, "{input}");
        assert_eq!(said["usage"]["prompt_tokens"], 10);
        assert_eq!(said["usage"]["total_cost"].as_u64(), Some(10_000_000_000_000));
        assert_eq!(said["x_unknown_field"], 1);
        let exchange = app.upstream.exchange(number).await;
        assert_eq!(exchange.path, "/v1/embeddings");
        let mut expected = body.clone();
        expected["model"] = json!("the-provider-s-vectors");
        assert_eq!(exchange.json(), expected, "nothing else is changed or added");
        let receipt = tenant.receipt(answer.header("x-haithe-call").unwrap()).await;
        assert_eq!(
            usdt(&receipt["charged_usdt"]),
            Usdt::from_nano(10_000),
            "{receipt}"
        );
    }
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(40_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn base64_passes_as_the_provider_wrote_it() {
    let (_app, tenant) = tenant().await;
    let body = json!({"model": "vectors", "input": "hello", "encoding_format": "base64"});
    let said = embed(&tenant, &body).send().await.json();
    assert_eq!(said["data"][0]["embedding"], "AAAAPwAAgL8AAAAA");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_nobody_reports_are_counted() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script::default().usage(UsageReport::Never));
    let body = json!({"model": "vectors", "input": [[1, 2, 3], [4]]});
    let answer = embed(&tenant, &body).send().await;
    assert_eq!(answer.json()["usage"]["prompt_tokens"], 4);
    let receipt = tenant.receipt(answer.header("x-haithe-call").unwrap()).await;
    assert!(receipt["document"].to_string().contains("\"estimated\":true"));
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(4_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_and_costs_nothing() {
    let (app, tenant) = tenant().await;
    for (body, status, code) in [
        (json!({"model": "vectors"}), 400, "invalid_request"),
        (json!({"model": "vectors", "input": []}), 400, "invalid_request"),
        (
            json!({"model": "per-token", "input": "x"}),
            400,
            "invalid_request",
        ),
        (json!({"model": "nobody", "input": "x"}), 404, "model_not_found"),
        (
            json!({"model": "vectors", "input": "x", "service_tier": "flex"}),
            400,
            "unsupported_parameter",
        ),
    ] {
        embed(&tenant, &body).openai_refused(status, code).await;
    }
    tenant
        .caller
        .chat(&question("vectors"))
        .openai_refused(400, "invalid_request")
        .await;
    assert_eq!(app.upstream.count(), 0);
    app.upstream.always(Script::status(
        200,
        r#"{"object":"list","data":[],"usage":{"prompt_tokens":1,"total_tokens":1}}"#,
    ));
    let body = json!({"model": "vectors", "input": "x"});
    embed(&tenant, &body).openai_refused(502, "upstream_failed").await;
    let poor = Tenant::found(&app.chain, app.wallet(2).await, "Poor").await;
    poor.enable(models::VECTORS).await;
    embed(&poor, &body)
        .openai_refused(402, "insufficient_quota")
        .await;
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
}
