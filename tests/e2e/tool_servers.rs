//! Servers of tools that creators run: servers that are gone, and sessions that end with their calls.

use crate::{
    market::{creator, whole},
    selling::sell,
};
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, question, streamed_question},
    eventually,
    tool_server::ToolServer,
    upstream::{Ending, Script},
};
use serde_json::json;

const KEY: &str = "a-key-of-the-creator";

/// A project with this money and one product, whose server is called with this key.
async fn tides(key: &str, money: Usdt) -> (App, Tenant, ToolServer) {
    let server = ToolServer::start(KEY).await;
    let setup = Setup {
        receivers: vec![server.address()],
        ..Setup::default()
    };
    let app = App::with(setup).await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", money).await;
    let content = json!({"url": server.url(), "headers": {"x-key": key}}).to_string();
    let product = ("tides", "mcp", whole(1));
    sell(&app, &maker, &tenant, product, content.as_bytes()).await;
    (app, tenant, server)
}

async fn charged(tenant: &Tenant) -> Vec<i64> {
    tenant.at_rest().await.values().copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_refuses_the_call_or_is_left_out_as_the_project_says() {
    let (app, tenant, server) = tides("no longer let in", Usdt::whole(5)).await;
    let ask = question("per-call");
    let refused = async || {
        let call = tenant.caller.chat(&ask);
        let text = call.openai_refused(503, "product_unavailable").await;
        assert!(text.contains("the product tides cannot be loaded"), "{text}");
        for secret in ["no longer let in", "receiver.example"] {
            assert!(!text.contains(secret), "{text}");
        }
    };
    refused().await;
    drop(server);
    refused().await;
    assert_eq!(app.upstream.count(), 0);
    assert!(tenant.receipts().await.is_empty());
    let project = format!("/v1/projects/{}", tenant.project_id);
    let change = json!({"skip_unavailable_products": true});
    tenant.owner.client.patch(&project).json(&change).data().await;
    let answer = tenant.caller.chat(&ask).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(charged(&tenant).await, [100_000_000], "the model alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_a_call_that_nobody_can_pay() {
    let (app, tenant, server) = tides(KEY, Usdt::ZERO).await;
    let ask = question("per-call");
    let call = tenant.caller.chat(&ask);
    call.openai_refused(402, "insufficient_quota").await;
    server.ended(1).await;
    assert_eq!(app.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_a_caller_who_leaves_and_the_offer_is_paid() {
    let (app, tenant, server) = tides(KEY, Usdt::whole(5)).await;
    app.upstream
        .always(Script::default().ending(Ending::PauseAfter(2)));
    let ask = streamed_question("per-call");
    let mut stream = tenant.caller.chat(&ask).stream().await;
    while stream.next_json().await["choices"][0]["delta"]["content"].is_null() {}
    drop(stream);
    server.ended(1).await;
    eventually("the charge is written", async || {
        (!tenant.receipts().await.is_empty()).then_some(())
    })
    .await;
    assert_eq!(charged(&tenant).await, [1_100_000_000]);
}
