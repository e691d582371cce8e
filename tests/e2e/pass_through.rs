//! What the gateway leaves alone, and the little it changes.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, PROVIDER_KEY, Tenant, question, streamed_question},
    upstream::Script,
};
use serde_json::{Value, json};

async fn tenant() -> (App, Tenant) {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    (app, tenant)
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_no_standard_knows_pass_both_ways() {
    let (app, tenant) = tenant().await;
    let mut body = question("per-token");
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 12});
    body["messages"][0]["x_custom"] = json!([1.50, "é", null]);
    body["reasoning_effort"] = json!("ultra");
    let answer = tenant.caller.chat(&body).send().await.json();
    assert_eq!(answer["x_unknown_field"]["kept"], true, "{answer}");
    let sent = app.upstream.exchange(0).await.json();
    for field in ["thinking", "messages", "reasoning_effort"] {
        assert_eq!(sent[field], body[field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_model_and_the_bound_are_rewritten_and_the_order_of_fields_stays() {
    let (app, tenant) = tenant().await;
    let body = r#"{"zeta":1e2,  "messages":[{"role":"user","content":"h\u0069"}], "model":"per-token","alpha":0.10}"#;
    let ask = tenant.caller.post("/v1beta/openai/chat/completions");
    let answer = ask
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let exchange = app.upstream.exchange(0).await;
    let sent = std::str::from_utf8(&exchange.body).unwrap();
    for kept in [r#""zeta":1e2"#, r#""content":"h\u0069""#, r#""alpha":0.10"#] {
        assert!(sent.contains(kept), "{kept} in {sent}");
    }
    assert!(sent.contains(r#""model":"the-provider-s-name""#), "{sent}");
    assert!(sent.contains(r#""max_tokens":1000"#), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_never_sees_the_callers_credentials_nor_the_caller_the_providers() {
    let (app, tenant) = tenant().await;
    let key = tenant.project_key().await;
    let program = app
        .anonymous()
        .bearer(&key)
        .with("cookie", "secret=1")
        .with("x-custom", "mine");
    let answer = program.chat(&question("per-token")).send().await;
    let exchange = app.upstream.exchange(0).await;
    assert_eq!(
        exchange.header("authorization"),
        Some(format!("Bearer {PROVIDER_KEY}").as_str())
    );
    for absent in [
        "cookie",
        "x-custom",
        "haithe-organization",
        "haithe-project",
        "openai-organization",
    ] {
        assert_eq!(exchange.header(absent), None, "{absent}");
    }
    let seen = format!(
        "{:?} {}",
        exchange.headers,
        String::from_utf8_lossy(&exchange.body)
    );
    assert!(!seen.contains(&key));
    assert!(!format!("{:?} {}", answer.headers, answer.text()).contains(PROVIDER_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_complete_and_carries_the_cost_as_integers() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script {
        cached: 4,
        reasoning: 2,
        ..Script::tokens(10, 5)
    });
    for round in 0..2u64 {
        let answer = tenant.caller.chat(&question("per-token")).send().await;
        let usage = answer.json()["usage"].clone();
        assert_eq!(answer.header("x-haithe-cost"), Some("23000000000000"));
        assert_eq!(usage["prompt_tokens"], 10);
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 4);
        assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 2);
        // 6 × 1,000 + 4 × 500 + 5 × 3,000 nano, in units of 10⁻¹⁸.
        assert_eq!(usage["total_cost"].as_u64(), Some(23_000_000_000_000));
        assert_eq!(
            usage["expense_till_now"].as_u64(),
            Some(round * 23_000_000_000_000)
        );
    }
    let stream = tenant.caller.chat(&streamed_question("per-token")).send().await;
    let limit = stream
        .header("x-haithe-cost-limit")
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!(
        limit > 1_000 * 3_000 * 1_000_000_000,
        "the bound on output at its price: {limit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_model_of_the_project_answers_when_none_is_named() {
    let (app, tenant) = tenant().await;
    let mut body = question("x");
    body.as_object_mut().unwrap().remove("model");
    assert_eq!(tenant.caller.chat(&body).send().await.status, 200);
    tenant.change_project(json!({"default_model_id": 2})).await;
    assert_eq!(tenant.caller.chat(&body).send().await.status, 200);
    let models: Vec<Value> = app
        .upstream
        .exchanges()
        .iter()
        .map(|e| e.json()["model"].clone())
        .collect();
    assert_eq!(models, ["per-call", "the-provider-s-name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_would_change_the_price_are_refused_by_name() {
    let (app, tenant) = tenant().await;
    for (field, value) in [
        ("service_tier", json!("priority")),
        ("service_tier", json!("flex")),
        ("web_search_options", json!({})),
        ("search_parameters", json!({"mode": "on"})),
        ("enable_search", json!(true)),
        ("plugins", json!([{"id": "web"}])),
        ("audio", json!({"voice": "alloy", "format": "wav"})),
        ("modalities", json!(["text", "audio"])),
        ("modalities", json!(["image"])),
        ("prediction", json!({"type": "content", "content": "x"})),
        ("best_of", json!(4)),
        ("use_beam_search", json!(true)),
        ("tools", json!([{"type": "web_search"}])),
        ("tools", json!([{"type": "web_search_preview"}])),
        (
            "tools",
            json!([{"type": "file_search", "vector_store_ids": ["v"]}]),
        ),
        (
            "tools",
            json!([{"type": "code_interpreter", "container": {"type": "auto"}}]),
        ),
        ("tools", json!([{"type": "image_generation"}])),
        ("tools", json!([{"type": "computer_use_preview"}])),
        (
            "tools",
            json!([{"type": "mcp", "server_url": "https://example.com"}]),
        ),
        (
            "tools",
            json!([{"type": "builtin_function", "function": {"name": "$web_search"}}]),
        ),
        (
            "tools",
            json!([{"type": "function", "function": {"name": "f"}}, {"google_search": {}}]),
        ),
        ("tools", json!([{"code_execution": {}}])),
    ] {
        for mut body in [question("per-token"), streamed_question("per-token")] {
            body[field] = value.clone();
            let refused = tenant.caller.chat(&body).send().await;
            let message = refused.openai_refused(400, "unsupported_parameter");
            assert!(message.contains(field), "{message}");
            assert_eq!(refused.json()["error"]["param"], field);
        }
    }
    assert_eq!(app.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_models_are_the_enabled_ones_that_can_answer() {
    let (_app, tenant) = tenant().await;
    let listed = tenant.caller.get("/v1beta/openai/models").send().await.json();
    assert_eq!(listed["object"], "list");
    let mut names: Vec<&str> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["both", "free", "per-call", "per-token", "sandbox"]);
    let one = tenant
        .caller
        .get("/v1beta/openai/models/per-token")
        .send()
        .await
        .json();
    assert_eq!(
        (&one["id"], &one["object"]),
        (&json!("per-token"), &json!("model"))
    );
    tenant
        .caller
        .get("/v1beta/openai/models/dead")
        .openai_refused(404, "model_not_found")
        .await;
    for (model, status, code) in [
        ("no-such-model", 404, "model_not_found"),
        ("inactive", 404, "model_not_found"),
        ("keyless", 404, "model_not_found"),
        ("dead", 403, "model_not_enabled"),
    ] {
        tenant
            .caller
            .chat(&question(model))
            .openai_refused(status, code)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_choices_are_charged_and_bounded_by_configuration() {
    let (app, tenant) = tenant().await;
    app.upstream.always(Script::tokens(10, 5));
    let mut body = question("per-token");
    body["n"] = json!(3);
    let answer = tenant.caller.chat(&body).send().await.json();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(10_000 + 15 * 3_000));
    body["n"] = json!(9);
    let message = tenant
        .caller
        .chat(&body)
        .openai_refused(400, "invalid_request")
        .await;
    assert!(message.contains('8'), "it names the bound: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frontends_own_way_of_calling_works() {
    let (_app, tenant) = tenant().await;
    let body = json!({"model": "per-call", "messages": [{"role": "user", "content": "hi"}], "n": 1, "temperature": 0.7});
    let answer = tenant.caller.chat(&body).send().await.json();
    assert!(answer["id"].is_string() && answer["created"].is_u64());
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert!(answer["usage"]["total_cost"].is_u64() && answer["usage"]["expense_till_now"].is_u64());
}
