//! Work that fails is remembered, limited and not charged.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, question},
    eventually,
    sealed::Sealed,
    selling::{creator, seal, sell, thousandths},
    site::Site,
    upstream::Script,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A service that may call this site.
fn calling(site: &Site) -> Setup {
    Setup {
        receivers: vec![site.address()],
        ..Setup::default()
    }
}

/// Finding 15: a page that could not be used was fetched again for every call.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_failed_is_not_fetched_again_for_every_call() {
    let site = Site::start([("/empty", "text/plain", "")]).await;
    let app = App::with(calling(&site)).await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let pages = json!([site.url("/missing"), site.url("/empty")]).to_string();
    let product = ("pages", "knowledge:url", thousandths(1));
    sell(&app, &maker, &tenant, product, pages.as_bytes()).await;
    for _ in 0..5 {
        tenant
            .caller
            .chat(&question("per-call"))
            .openai_refused(503, "product_unavailable")
            .await;
    }
    let mut asked = site.asked();
    asked.sort();
    assert_eq!(asked, ["GET /empty", "GET /missing"]);
    assert_eq!(app.upstream.count(), 0);
}

/// A turn of the model that calls this tool.
fn calls(tool: &str) -> Script {
    let call = json!({"id": "c1", "type": "function", "function": {"name": tool, "arguments": "{}"}});
    let turn = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [call]},
            "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}});
    Script::verbatim(200, "application/json", &turn.to_string())
}

/// The lines of the receipt of a call that is answered.
async fn receipt_of(tenant: &Tenant) -> String {
    let answer = tenant.caller.chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let call = answer.header("x-haithe-call").expect("a call").to_owned();
    tenant.receipt(&call).await.to_string()
}

/// Finding 15: a tool was charged although its call was refused or failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_tool_whose_call_failed_is_not_charged() {
    let site = Site::start([("/now", "text/plain", "noon")]).await;
    let app = App::with(calling(&site)).await;
    let maker = creator(&app, 7).await;
    let tenant = app.funded("Acme", Usdt::whole(20)).await;
    let tool = |name: &str, path: &str| {
        let tool = json!({"name": name, "description": "Tells the time.", "method": "GET",
            "url": site.url(path), "parameters": []});
        tool.to_string()
    };
    let price = thousandths(250);
    let broken = tool("broken", "/gone");
    let broken = sell(
        &app,
        &maker,
        &tenant,
        ("broken", "tool:rpc", price),
        broken.as_bytes(),
    )
    .await;
    let clock = tool("clock", "/now");
    let clock = sell(
        &app,
        &maker,
        &tenant,
        ("clock", "tool:rpc", price),
        clock.as_bytes(),
    )
    .await;

    app.upstream.next([calls(&format!("p{broken}_broken"))]);
    let receipt = receipt_of(&tenant).await;
    // The other one was offered and not called, which costs its price as ever.
    assert!(!receipt.contains(&format!("product/{broken}\"")), "{receipt}");
    assert!(receipt.contains(&format!("product/{clock}\"")), "{receipt}");
    app.upstream.next([calls(&format!("p{clock}_clock"))]);
    let receipt = receipt_of(&tenant).await;
    assert!(receipt.contains(&format!("product/{clock}\"")), "{receipt}");
    assert_eq!(site.asked(), ["GET /gone", "GET /now"]);
}

async fn host(client: &haithe_tests::client::Client, bytes: &[u8]) -> Value {
    let put = client.put("/v1/content").body(bytes.to_vec());
    put.header("content-type", "application/octet-stream")
        .data()
        .await
}

/// Finding 15: any wallet could fill the disk with content that nothing refers to.
#[tokio::test(flavor = "multi_thread")]
async fn only_registered_creators_host_content() {
    let app = App::start().await;
    let user = app.wallet(7).await;
    let put = user.client.put("/v1/content").body(Sealed::anything(100));
    let why = put.refused(403, "not_a_creator").await;
    assert!(why.contains("POST /api/v1/creator"), "{why}");
    // Directly after the registration, before the index has it.
    let body = json!({"uri": "https://creator.example/me", "pub_key": "04ab"});
    user.client.post("/v1/creator").json(&body).data().await;
    assert_eq!(host(&user.client, &Sealed::anything(100)).await["created"], true);
}

/// Finding 15: content to which no product refers was kept forever.
#[tokio::test(flavor = "multi_thread")]
async fn content_without_a_product_expires_after_seven_days() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let maker = creator(&app, 7).await;
    let used = seal(&app, &maker, br#"["Be kind."]"#).await;
    host(&maker.client, &used.bytes).await;
    let uri = format!("haithe:sha256:{}", used.digest);
    app.chain
        .add_product_at(
            &maker.wallet,
            ("used", "promptset"),
            (&uri, &used.wrapped_key),
            thousandths(1),
        )
        .await;
    eventually("the product is indexed", async || {
        let synced = maker.client.post("/v1/products").data().await;
        (synced["product"]["name"] == "used").then_some(())
    })
    .await;
    let unused = host(&maker.client, &Sealed::anything(100)).await;
    let unused = format!("/v1/content/{}", unused["sha256"].as_str().expect("a digest"));
    let used = format!("/v1/content/{}", used.digest);
    // A start searches at once, and a stop waits for that: content is found without a product, and kept
    // for seven days.
    let app = app.restarted().await.restarted().await;
    clock.advance(Duration::from_secs(6 * 86_400));
    let app = app.restarted().await;
    let shown = async |app: &App, path: &str| app.anonymous().get(path).send().await.status.as_u16();
    assert_eq!((shown(&app, &used).await, shown(&app, &unused).await), (200, 200));
    clock.advance(Duration::from_secs(2 * 86_400));
    let app = app.restarted().await;
    eventually("content without a product is gone", async || {
        (shown(&app, &unused).await == 404).then_some(())
    })
    .await;
    assert_eq!(shown(&app, &used).await, 200);
}
