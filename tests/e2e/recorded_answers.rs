//! Providers' documented answers, played to the gateway: nothing is dropped, nothing unknown breaks a
//! call, and what is charged is what they report.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, models, question, streamed_question, usdt},
    upstream::Script,
};
use serde_json::{Value, json};
use std::fs;

async fn tenant() -> (App, Tenant) {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    (app, tenant)
}

fn recording(name: &str) -> String {
    let path = haithe_tests::here().join("recordings").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The recording as a provider sends it: the status is the number its name begins with.
fn script(name: &str) -> Script {
    let file = name.rsplit('/').next().unwrap();
    let status = file.split('-').next().and_then(|status| status.parse().ok());
    let kind = if name.ends_with(".sse") {
        "text/event-stream"
    } else {
        "application/json; charset=utf-8"
    };
    Script::verbatim(status.unwrap_or(200), kind, &recording(name))
}

/// Input, cached, output and reasoning tokens.
type Tokens = (i64, i64, i64, i64);

/// The receipt says these tokens, and their price was charged.
async fn assert_charged(tenant: &Tenant, call: &str, name: &str, (input, cached, output, reasoning): Tokens) {
    let receipt = tenant.receipt(call).await;
    let price = (input - cached) * 1_000 + cached * 500 + output * 3_000;
    assert_eq!(
        usdt(&receipt["charged_usdt"]),
        Usdt::from_nano(price),
        "{name}: {receipt}"
    );
    let document = receipt["document"].to_string();
    for (field, count) in [
        ("input", input),
        ("cached", cached),
        ("output", output),
        ("reasoning", reasoning),
    ] {
        let found = document.contains(&format!("\"{field}\":\"{count}\""));
        assert!(found, "{name}: {field} {count} in {document}");
    }
    assert!(document.contains("\"estimated\":false"), "{name}: {document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_arrive_whole_and_cost_what_they_report() {
    let (app, tenant) = tenant().await;
    let recorded: [(&str, Tokens); 7] = [
        ("openai/answer.json", (19, 4, 10, 6)),
        ("google/answer.json", (40, 0, 62, 50)),
        ("deepseek/answer.json", (16, 6, 25, 20)),
        ("deepseek/interrupted.json", (17, 0, 4, 0)),
        ("moonshot/answer.json", (19, 10, 21, 0)),
        ("moonshot/partial.json", (30, 0, 8, 0)),
        ("haithe/answer.json", (72, 0, 17, 0)),
    ];
    for (name, tokens) in recorded {
        app.upstream.always(script(name));
        let answer = tenant.caller.chat(&question("per-token")).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let mut said = answer.json();
        let usage = said["usage"].as_object_mut().unwrap();
        assert!(usage.remove("total_cost").is_some() && usage.remove("expense_till_now").is_some());
        let sent: Value = serde_json::from_str(&recording(name)).unwrap();
        assert_eq!(said, sent, "{name}");
        assert_charged(&tenant, answer.header("x-haithe-call").unwrap(), name, tokens).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_arrive_byte_for_byte_and_cost_what_they_report() {
    let (app, tenant) = tenant().await;
    let recorded: [(&str, Tokens); 6] = [
        ("openai/tools.sse", (70, 0, 30, 0)),
        ("google/stream.sse", (8, 0, 22, 20)),
        ("deepseek/stream.sse", (17, 3, 9, 5)),
        ("deepseek/interrupted.sse", (17, 0, 4, 0)),
        ("moonshot/stream.sse", (19, 0, 13, 0)),
        ("haithe/stream.sse", (72, 0, 8, 0)),
    ];
    for (name, tokens) in recorded {
        app.upstream.always(script(name));
        let answer = tenant.caller.chat(&streamed_question("per-token")).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let whole = recording(name);
        let events = whole.split_inclusive("\n\n");
        let expected: String = events
            .filter(|event| !event.contains("\"choices\":[],"))
            .collect();
        assert_eq!(answer.text(), expected, "{name}");
        assert_charged(&tenant, answer.header("x-haithe-call").unwrap(), name, tokens).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_error_becomes_the_one_that_sdks_know() {
    let (app, tenant) = tenant().await;
    for (name, status, code, retry_after) in [
        ("openai/400-parameter.json", 400, "unsupported_value", None),
        (
            "openai/429-rate-limit.json",
            429,
            "upstream_rate_limited",
            Some("1"),
        ),
        ("openai/429-quota.json", 502, "upstream_unavailable", None),
        ("google/400-argument.json", 400, "upstream_refused", None),
        ("google/400-key.json", 502, "upstream_unavailable", None),
        ("google/429-quota.json", 429, "upstream_rate_limited", Some("28")),
        ("google/503-overloaded.json", 502, "upstream_failed", None),
        ("deepseek/402-balance.json", 502, "upstream_unavailable", None),
        (
            "moonshot/429-overloaded.json",
            429,
            "upstream_rate_limited",
            Some("1"),
        ),
        ("haithe/400-context.json", 400, "upstream_refused", None),
    ] {
        for body in [question("per-token"), streamed_question("per-token")] {
            app.upstream.always(script(name));
            let refused = tenant.caller.chat(&body).send().await;
            let message = refused.openai_refused(status, code);
            assert_eq!(refused.header("retry-after"), retry_after, "{name}");
            if status == 400 {
                let told = message.split_whitespace().nth(1).unwrap_or_default();
                assert!(recording(name).contains(told), "{name}: {message}");
            }
            let error = &refused.json()["error"];
            assert!(
                error["code"].is_string() && error["type"].is_string(),
                "{name}: {error}"
            );
        }
    }
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_resources_is_asked_again_as_long_as_it_said_nothing() {
    let (app, tenant) = tenant().await;
    tenant.enable(models::STURDY).await;
    for (name, body) in [
        ("deepseek/interrupted-at-once.json", question("sturdy")),
        ("deepseek/interrupted-at-once.sse", streamed_question("sturdy")),
    ] {
        app.upstream.next([script(name), Script::default()]);
        let answer = tenant.caller.chat(&body).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(answer.text().contains("w4"), "{name}: {}", answer.text());
    }
    assert_eq!(app.upstream.count(), 4);
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(50_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_lacks_of_its_identity_is_added() {
    let (app, tenant) = tenant().await;
    app.upstream.always(script("haithe/bare.json"));
    let answer = tenant.caller.chat(&question("per-token")).send().await;
    let call = answer.header("x-haithe-call").unwrap().to_owned();
    let said = answer.json();
    assert_eq!(said["id"], format!("chatcmpl-{call}"));
    assert_eq!(said["object"], "chat.completion");
    assert_eq!(said["model"], "per-token");
    assert!(said["created"].as_u64() > Some(1_700_000_000));
    assert!(said["usage"]["prompt_tokens"].as_u64() > Some(0), "{said}");
    assert_eq!(said["choices"][0]["message"]["content"], "Hi.");
    let document = tenant.receipt(&call).await["document"].to_string();
    assert!(document.contains("\"estimated\":true"), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chunks_of_a_stream_lack_of_their_identity_is_added_to_each() {
    let (app, tenant) = tenant().await;
    app.upstream.always(script("haithe/bare.sse"));
    let mut body = streamed_question("per-token");
    body["stream_options"] = json!({"include_usage": true});
    let mut stream = tenant.caller.chat(&body).stream().await;
    let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
    let events = stream.rest().await.unwrap();
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(events[3], "[DONE]");
    let mut words = String::new();
    for event in &events[..3] {
        let chunk: Value = serde_json::from_str(event).unwrap();
        assert_eq!(chunk["id"], format!("chatcmpl-{call}"), "{chunk}");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "per-token");
        assert!(chunk["created"].as_u64() > Some(1_700_000_000), "{chunk}");
        words.push_str(
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default(),
        );
    }
    assert_eq!(words, "Hi there.");
    let usage: Value = serde_json::from_str(&events[2]).unwrap();
    assert!(usage["usage"]["completion_tokens"].as_u64() > Some(0), "{usage}");
    let document = tenant.receipt(&call).await["document"].to_string();
    assert!(document.contains("\"estimated\":true"), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_error_within_a_stream_becomes_the_one_that_sdks_know() {
    let (app, tenant) = tenant().await;
    for name in ["google/overloaded-midway.sse", "haithe/error-midway.sse"] {
        app.upstream.always(script(name));
        let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
        assert_eq!(stream.status, 200, "{name}");
        let call = stream.headers["x-haithe-call"].to_str().unwrap().to_owned();
        let events = stream.rest().await.unwrap();
        assert_eq!(events.len(), 2, "{name}: {events:?}");
        let last: Value = serde_json::from_str(&events[1]).unwrap();
        assert_eq!(last["error"]["code"], "upstream_failed", "{name}: {last}");
        assert!(last["error"]["message"].is_string() && last["error"]["type"].is_string());
        let document = tenant.receipt(&call).await["document"].to_string();
        assert!(document.contains("\"partial\""), "{name}: {document}");
    }
    app.upstream.always(script("google/quota-at-once.sse"));
    let refused = tenant.caller.chat(&streamed_question("per-token")).send().await;
    refused.openai_refused(429, "upstream_rate_limited");
    assert_eq!(refused.header("retry-after"), Some("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_own_request_fields_pass_and_tools_that_they_charge_for_do_not() {
    let (app, tenant) = tenant().await;
    let mut body = question("per-token");
    body["messages"] = json!([
        {"role": "user", "content": "Write JSON"},
        {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [
            {"id": "b", "type": "builtin_function", "function": {"name": "$web_search", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "b", "name": "$web_search", "content": "{}"},
        {"role": "assistant", "content": "{", "partial": true, "prefix": true},
    ]);
    body["extra_body"] = json!({"google": {"thinking_config": {"thinking_budget": 0}}});
    body["thinking"] = json!({"type": "disabled"});
    body["chat_template_kwargs"] = json!({"enable_thinking": false});
    assert_eq!(tenant.caller.chat(&body).send().await.status, 200);
    let sent = app.upstream.exchange(0).await.json();
    for field in ["messages", "extra_body", "thinking", "chat_template_kwargs"] {
        assert_eq!(sent[field], body[field]);
    }
    body["tools"] = json!([{"type": "builtin_function", "function": {"name": "$web_search"}}]);
    let refused = tenant.caller.chat(&body).send().await;
    refused.openai_refused(400, "unsupported_parameter");
}
