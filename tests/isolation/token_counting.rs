//! Counting tokens costs time and decides about money, so it comes after cheaper checks and never
//! counts less than is sent.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, Tenant, models, question};
use serde_json::{Value, json};

fn nano(nano: i64) -> Usdt {
    Usdt::from_nano(nano)
}

/// A question of this text to this model.
fn long(model: &str, text: String) -> Value {
    let mut ask = question(model);
    ask["messages"] = json!([{"role": "user", "content": text}]);
    ask["max_tokens"] = json!(1);
    ask
}

/// Nothing was sent, held or charged.
async fn assert_untouched(app: &App, tenant: &Tenant, balance: Usdt) {
    assert_eq!(app.upstream.count(), 0);
    let money = tenant.balance().await;
    assert_eq!((money.available, money.held), (balance, Usdt::ZERO));
    assert!(tenant.receipts().await.is_empty());
}

/// Finding 10: without money a long prompt is refused for that, before its tokens are counted: the
/// count alone could find out that it is longer than the context.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_money_is_refused_before_any_token_is_counted() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::ZERO).await;
    let ask = long("per-token", "many words of a prompt ".repeat(160_000));
    tenant
        .caller
        .chat(&ask)
        .openai_refused(402, "insufficient_quota")
        .await;
    assert_untouched(&app, &tenant, Usdt::ZERO).await;
}

/// Finding 10: a model whose tokenizer is not known can count as many tokens as there are bytes, so
/// that is what must be covered.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tokenizer_is_held_for_by_bytes() {
    let app = App::start().await;
    // 1,000 nano per token: `o200k` makes some 1,800 tokens of it, and it has 9,000 bytes.
    let balance = nano(5_000_000);
    let tenant = app.funded("Acme", balance).await;
    let ask = long("per-token", "river stone ".repeat(750));
    tenant
        .caller
        .chat(&ask)
        .openai_refused(402, "insufficient_quota")
        .await;
    assert_untouched(&app, &tenant, balance).await;
    // With money for every byte it is answered.
    tenant.deposit(&app.chain, nano(6_000_000)).await;
    let answer = tenant.caller.chat(&ask).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Finding 10: JSON admits half of a surrogate pair, and readers stop there. What follows it was sent
/// and not counted; now it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn half_of_a_surrogate_pair_hides_nothing_from_the_count() {
    let app = App::start().await;
    let balance = nano(500_000);
    let tenant = app.funded("Acme", balance).await;
    tenant.enable(models::VECTORS).await;
    let hidden = "river stone ".repeat(1_000);
    let texts = [
        format!(
            r#"{{"model":"per-token","max_tokens":1,"messages":[{{"role":"user","content":"\ud83d {hidden}"}}]}}"#
        ),
        format!(
            r#"{{"model":"per-token","max_tokens":1,"messages":[{{"role":"user","\ud83d":1,"content":"{hidden}"}}]}}"#
        ),
        r#"{"model":"per-token","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"a","\ud83d":1},{"type":"image_url","image_url":{"url":"http://a.example/b.png"}}]}]}"#
            .to_owned(),
    ];
    for body in texts {
        let call = tenant.caller.post("/v1beta/openai/chat/completions");
        let call = call.header("content-type", "application/json").body(body);
        call.openai_refused(400, "invalid_request").await;
    }
    let body = format!(r#"{{"model":"vectors","input":["a","\ud83d {hidden}"]}}"#);
    let call = tenant.caller.post("/v1beta/openai/embeddings");
    let call = call.header("content-type", "application/json").body(body);
    call.openai_refused(400, "invalid_request").await;
    assert_untouched(&app, &tenant, balance).await;
}
