//! The faucet: 500 test tokens, once an hour, on a development chain and nowhere else.

use haithe_devchain::Mining;
use haithe_kernel::Usdt;
use haithe_tests::app::{App, Setup, User};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const HOUR: Duration = Duration::from_secs(3_600);
/// 500 tUSDT of 18 decimals.
const GRANT: u128 = 500_000_000_000_000_000_000;

async fn open(setup: Setup) -> App {
    let app = App::with(setup.set("chain.faucet", true)).await;
    app.chain.fill_faucet(Usdt::whole(5_000)).await;
    app
}

async fn held(app: &App, user: &User) -> u128 {
    app.chain.token_balance(user.wallet.address()).await
}

async fn newest(user: &User) -> Value {
    let faucet = user.client.get("/v1/me/faucet").data().await;
    faucet["last_request"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_given_500_once_an_hour() {
    let (setup, clock) = Setup::on_a_clock();
    let app = open(setup).await;
    let user = app.wallet(7).await;
    let config = app.anonymous().get("/v1/config").data().await;
    assert_eq!(config["faucet"], true);
    assert_eq!(newest(&user).await, json!({"id": 0, "requested_at": ""}));

    let granted = user.client.post("/v1/me/faucet").json(&json!({})).data().await;
    assert_eq!(
        (&granted["amount"], &granted["token"]),
        (&json!("500"), &json!("tUSDT"))
    );
    assert_eq!(granted["recipient"], user.address());
    assert_eq!(held(&app, &user).await, GRANT);
    let hash = granted["transaction_hash"].as_str().expect("text");
    assert!(hash.len() == 66 && hash.starts_with("0x"), "{hash}");
    let first = newest(&user).await;
    assert_eq!(first["transaction_hash"], hash);
    assert!(first["id"].is_i64(), "{first}");
    assert_eq!(first["requested_at"].as_str().map(str::len), Some(19), "{first}");

    let again = || user.client.post("/v1/me/faucet").json(&json!({"product_id": 3}));
    clock.advance(HOUR - Duration::from_secs(1));
    let refused = again().send().await;
    refused.refused(400, "faucet_too_soon");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let other = app.wallet(8).await;
    other.client.post("/v1/me/faucet").data().await;
    assert_eq!(held(&app, &other).await, GRANT, "the hour is each wallet's own");
    clock.advance(Duration::from_secs(1));
    let second = again().data().await;
    assert_ne!(second["transaction_hash"], hash);
    assert_eq!(held(&app, &user).await, 2 * GRANT);
    assert_ne!(newest(&user).await["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_asks_at_once_one_is_granted() {
    let app = open(Setup::default()).await;
    let user = app.wallet(7).await;
    let asks = (0..20).map(|_| user.client.post("/v1/me/faucet").json(&json!({})).send());
    let answers = futures::future::join_all(asks).await;
    let granted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(granted, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refused(400, "faucet_too_soon");
    }
    assert_eq!(held(&app, &user).await, GRANT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_not_mined_in_time_is_not_given_twice() {
    let app = open(Setup::default()).await;
    let user = app.wallet(7).await;
    app.chain.dev.set_mining(Mining::Manual);
    let answer = user.client.post("/v1/me/faucet").send().await;
    let hash = match answer.status.as_u16() {
        200 => answer.data()["transaction_hash"].clone(),
        _ => {
            answer.refused(503, "transaction_pending");
            Value::Null
        }
    };
    let ask = user.client.post("/v1/me/faucet");
    ask.refused(400, "faucet_too_soon").await;
    let app = app.restarted().await;
    let user = User::log_in(&app.anonymous(), user.wallet).await;
    let ask = user.client.post("/v1/me/faucet");
    ask.refused(400, "faucet_too_soon").await;
    app.chain.dev.set_mining(Mining::Instant);
    let found = haithe_tests::eventually("the grant is mined", async || {
        let newest = newest(&user).await;
        let mined = ["mined", "done"].iter().any(|state| newest["state"] == *state);
        mined.then_some(newest)
    })
    .await;
    assert_eq!(held(&app, &user).await, GRANT);
    if !hash.is_null() {
        assert_eq!(found["transaction_hash"], hash, "the caller was told the truth");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_faucet_says_so_and_bars_nobody_for_an_hour() {
    let app = App::with(Setup::default().set("chain.faucet", true)).await;
    let user = app.wallet(7).await;
    let ask = user.client.post("/v1/me/faucet");
    ask.refused(503, "faucet_empty").await;
    assert_eq!(newest(&user).await, json!({"id": 0, "requested_at": ""}));
    app.chain.fill_faucet(Usdt::whole(500)).await;
    user.client.post("/v1/me/faucet").data().await;
    assert_eq!(held(&app, &user).await, GRANT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_a_budget_for_a_wallet_and_for_all() {
    let (setup, clock) = Setup::on_a_clock();
    let setup = setup
        .set("chain.faucet_grants_per_wallet", 2)
        .set("chain.faucet_grants_in_all", 3);
    let app = open(setup).await;
    let (one, two) = (app.wallet(7).await, app.wallet(8).await);
    for _ in 0..2 {
        one.client.post("/v1/me/faucet").data().await;
        clock.advance(HOUR);
    }
    let ask = one.client.post("/v1/me/faucet");
    ask.refused(429, "faucet_budget_spent").await;
    two.client.post("/v1/me/faucet").data().await;
    let three = app.wallet(9).await;
    let ask = three.client.post("/v1/me/faucet");
    ask.refused(429, "faucet_budget_spent").await;
    clock.advance(24 * HOUR);
    let three = app.wallet(9).await;
    three.client.post("/v1/me/faucet").data().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_there_is_no_faucet() {
    let app = App::start().await;
    app.chain.fill_faucet(Usdt::whole(5_000)).await;
    let user = app.wallet(7).await;
    let codes: BTreeSet<String> = [
        user.client.get("/v1/me/faucet").send().await,
        user.client.post("/v1/me/faucet").send().await,
        app.anonymous().post("/v1/me/faucet").send().await,
    ]
    .iter()
    .map(|answer| {
        assert_eq!(answer.status, 404);
        answer.rest_failure().0
    })
    .collect();
    assert_eq!(codes, ["route_not_found".to_owned()].into());
    assert_eq!(held(&app, &user).await, 0);
    assert_eq!(app.anonymous().get("/v1/config").data().await["faucet"], false);
}
