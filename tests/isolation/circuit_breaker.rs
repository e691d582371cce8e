//! One payer cannot open a circuit for other tenants.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, models, question, streamed_question},
    client::Answer,
    upstream::Script,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Faults that open a circuit of the model `sturdy`, and its pause, as the fixture's catalogue says.
const FAULTS: usize = 6;
const PAUSE: Duration = Duration::from_secs(5);
/// How often a call tries it.
const TRIES: usize = 3;

/// Organizations of different owners, with money.
async fn tenants<const N: usize>(app: &App) -> [Tenant; N] {
    let mut tenants = Vec::new();
    for number in 1..=N {
        let number = u32::try_from(number).expect("a small number");
        let owner = app.wallet(number).await;
        let tenant = Tenant::found(&app.chain, owner, &format!("Tenant {number}")).await;
        tenant.deposit(&app.chain, Usdt::whole(5)).await;
        for model in [models::STURDY, models::VECTORS, models::SIGHTED, models::DEAD] {
            tenant.enable(model).await;
        }
        tenants.push(tenant);
    }
    tenants.try_into().expect("as many as were made")
}

/// A question of the model `sturdy` that the provider fails at.
fn poisonous(streamed: bool) -> Value {
    json!({"model": "sturdy", "stream": streamed, "messages": [{"role": "user", "content": "poison"}]})
}

/// The provider fails at whatever is poisonous, and answers everything else.
fn fail_at_poison(app: &App) {
    app.upstream.decide(|exchange| {
        let text = std::str::from_utf8(&exchange.body).expect("UTF-8");
        match text.contains("poison") {
            true => Script::status(500, "{}"),
            false => Script::default(),
        }
    });
}

async fn ask(tenant: &Tenant, body: &Value) -> Answer {
    tenant.caller.chat(body).send().await
}

async fn resting(app: &App) -> Value {
    let ready = app.anonymous().get("//health/ready").send().await.json();
    ready["providers"]["weak"]["resting"].clone()
}

/// Finding 8: what a model cannot take is refused before its provider is asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_cannot_take_is_refused_before_its_provider_is_asked() {
    let app = App::start().await;
    let [tenant] = tenants(&app).await;
    let parts = [
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
        json!({"type": "file", "file": {"file_id": "f"}}),
    ];
    for part in &parts {
        for stream in [false, true] {
            let body = json!({"model": "sturdy", "stream": stream,
                "messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, part]}]});
            let refused = ask(&tenant, &body).await;
            refused.openai_refused(400, "invalid_request");
            assert_eq!(refused.json()["error"]["param"], "messages", "{part}");
        }
    }
    let refused = ask(&tenant, &streamed_question("dead")).await;
    refused.openai_refused(400, "invalid_request");
    assert_eq!(refused.json()["error"]["param"], "stream");
    let long = "word ".repeat(100_001);
    let body = json!({"model": "sturdy", "messages": [{"role": "user", "content": long}]});
    let refused = ask(&tenant, &body).await;
    refused.openai_refused(400, "context_length_exceeded");
    let embed = async |input: Value| {
        let body = json!({"model": "vectors", "input": input});
        tenant
            .caller
            .post("/v1beta/openai/embeddings")
            .json(&body)
            .send()
            .await
    };
    for input in [
        json!(vec![7; 8_193]),
        json!([[1], vec![7; 8_193]]),
        json!("word ".repeat(8_200)),
        json!(["short", "word ".repeat(8_200)]),
    ] {
        let refused = embed(input).await;
        refused.openai_refused(400, "context_length_exceeded");
        assert_eq!(refused.json()["error"]["param"], "input");
    }
    tenant.at_rest().await;
    assert_eq!(tenant.expenditure().await, Usdt::ZERO);
    assert_eq!(app.upstream.count(), 0, "no provider was asked");

    let seen = json!({"model": "open/sighted", "messages": [{"role": "user", "content": [&parts[0]]}]});
    assert_eq!(ask(&tenant, &seen).await.status, 200);
    for input in [
        json!(vec![7; 8_192]),
        json!(vec!["word ".repeat(8_000); 3]),
        // More bytes than the model reads tokens, and fewer tokens.
        json!("x ".repeat(5_000)),
    ] {
        assert_eq!(embed(input).await.status, 200);
    }
}

/// Finding 8: faults of one payer alone keep only that payer away.
#[tokio::test(flavor = "multi_thread")]
async fn one_payers_faults_do_not_open_the_circuit_for_others() {
    let (setup, _clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let [eve, ann] = tenants(&app).await;
    fail_at_poison(&app);
    let mut failed = Vec::new();
    for number in 0..FAULTS {
        failed.push(ask(&eve, &poisonous(number % 2 == 0)).await);
    }
    assert_eq!(ask(&ann, &question("sturdy")).await.status, 200);
    for answer in failed {
        answer.openai_refused(502, "upstream_failed");
    }
    let asked = app.upstream.count();
    for _ in 0..10 {
        ask(&eve, &poisonous(false))
            .await
            .openai_refused(503, "upstream_resting");
        ask(&eve, &question("sturdy"))
            .await
            .openai_refused(503, "upstream_resting");
    }
    assert_eq!(app.upstream.count(), asked, "its own calls fail fast");
    for _ in 0..3 {
        assert_eq!(ask(&ann, &question("sturdy")).await.status, 200);
        assert_eq!(ask(&ann, &streamed_question("sturdy")).await.status, 200);
    }
    assert_eq!(resting(&app).await, json!([]));
    eve.at_rest().await;
    assert_eq!(eve.expenditure().await, Usdt::ZERO);
}

/// Finding 8: retries of one call are one fault.
#[tokio::test(flavor = "multi_thread")]
async fn retries_of_one_call_are_one_fault() {
    let (setup, _clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let [eve, bob, cat, ann] = tenants(&app).await;
    fail_at_poison(&app);
    for tenant in [&eve, &bob, &cat] {
        ask(tenant, &poisonous(false))
            .await
            .openai_refused(502, "upstream_failed");
    }
    assert!(app.upstream.count() == 3 * TRIES && 3 * TRIES > FAULTS);
    assert_eq!(ask(&ann, &question("sturdy")).await.status, 200);
    assert_eq!(ask(&eve, &question("sturdy")).await.status, 200);
}

/// Finding 8: two wallets of one tenant, which are two payers, open nothing together either.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_two_wallets_do_not_open_the_circuit_for_others() {
    let (setup, _clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let [eve, twin, ann] = tenants(&app).await;
    fail_at_poison(&app);
    for _ in 0..FAULTS {
        for wallet in [&eve, &twin] {
            ask(wallet, &poisonous(false))
                .await
                .openai_refused(502, "upstream_failed");
        }
    }
    for wallet in [&eve, &twin] {
        ask(wallet, &poisonous(false))
            .await
            .openai_refused(503, "upstream_resting");
    }
    assert_eq!(resting(&app).await, json!([]));
    assert_eq!(ask(&ann, &question("sturdy")).await.status, 200);
}

/// Finding 8: a real outage, which several payers see, opens the circuit for everybody. An outage did so before
/// the finding was fixed, and must still do so.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_several_payers_open_the_circuit_for_everybody() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let [eve, bob, cat, ann] = tenants(&app).await;
    fail_at_poison(&app);
    for _ in 0..FAULTS / 3 {
        for tenant in [&eve, &bob, &cat] {
            ask(tenant, &poisonous(false))
                .await
                .openai_refused(502, "upstream_failed");
        }
    }
    let asked = app.upstream.count();
    ask(&ann, &question("sturdy"))
        .await
        .openai_refused(503, "upstream_resting");
    assert_eq!(resting(&app).await, json!(["sturdy"]));
    assert_eq!(app.upstream.count(), asked);

    // One payer's failed probes neither open it anew nor take the place of another's.
    for _ in 0..3 {
        clock.advance(PAUSE);
        ask(&eve, &poisonous(false))
            .await
            .openai_refused(502, "upstream_failed");
    }
    assert_eq!(app.upstream.count(), asked + 3, "a probe is not retried");
    assert_eq!(ask(&ann, &question("sturdy")).await.status, 200);
    assert_eq!(resting(&app).await, json!([]));
    assert_eq!(ask(&bob, &question("sturdy")).await.status, 200);
}
