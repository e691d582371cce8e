//! Anonymous wallets cannot spend the gas account that settlement needs.

use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, User, models, question},
    client::{Answer, Ask},
    eventually,
    upstream::Script,
    wallets::Wallet,
};
use serde_json::{Value, json};

/// A service behind a proxy on loopback, so that tests can come from any network.
fn behind_a_proxy() -> Setup {
    Setup::default().set("server.trusted_proxies", vec!["127.0.0.0/8"])
}

/// A fresh wallet that asks from this address.
async fn from(app: &App, number: u32, address: &str) -> User {
    let anonymous = app.anonymous().with("x-forwarded-for", address);
    User::log_in(&anonymous, Wallet::number(number)).await
}

fn register(user: &User) -> Ask {
    let body = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    user.client.post("/v1/creator").json(&body)
}

fn deploy(user: &User, name: &str) -> Ask {
    user.client.post("/v1/orgs").json(&json!({"name": name}))
}

/// The transaction that a refusal hands back.
fn handed_back(answer: &Answer) -> Value {
    let transaction = answer.json()["data"]["transaction"].clone();
    assert!(transaction.is_object(), "{}", answer.text());
    transaction
}

/// Finding 14: the wallets of one network cannot spend the day's registrations of everybody.
#[tokio::test(flavor = "multi_thread")]
async fn one_network_cannot_spend_the_registrations_of_all() {
    let setup = behind_a_proxy()
        .set("chain.sponsored_per_network", 2)
        .set("chain.registrations_in_all", 4);
    let app = App::with(setup).await;
    // One /64 of IPv6 is one network, whatever its addresses are.
    for number in 1..=2 {
        let address = format!("2001:db8:1:2::{number}");
        register(&from(&app, number, &address).await).data().await;
    }
    let third = from(&app, 3, "2001:db8:1:2:ffff::3").await;
    let refused = register(&third).send().await;
    refused.refused(429, "registration_budget_spent");
    let wait: u64 = refused
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
    register(&from(&app, 4, "2001:db8:1:3::1").await).data().await;
    register(&from(&app, 5, "192.0.2.1").await).data().await;

    // The wallet goes on with its own coin.
    app.chain.sign(&third.wallet, &handed_back(&refused)).await;
    let creator = format!("/v1/creator/{}", third.address());
    eventually("the wallet registered itself", async || {
        let answer = third.client.get(&creator).send().await;
        answer.status.is_success().then_some(())
    })
    .await;
}

/// Finding 14: the same for organizations; a budget per wallet and one for all of a day bound them, too.
#[tokio::test(flavor = "multi_thread")]
async fn deployments_have_budgets_per_wallet_per_network_and_per_day() {
    let setup = behind_a_proxy()
        .set("chain.deployments_per_wallet", 1)
        .set("chain.sponsored_per_network", 2)
        .set("chain.deployments_in_all", 3);
    let app = App::with(setup).await;
    let first = from(&app, 1, "192.0.2.1").await;
    deploy(&first, "a").data().await;
    let refused = deploy(&first, "b").send().await;
    refused.refused(429, "deployment_budget_spent");
    assert!(refused.header("retry-after").is_some());
    deploy(&from(&app, 2, "192.0.2.1").await, "c").data().await;
    let third = from(&app, 3, "192.0.2.1").await;
    deploy(&third, "d").refused(429, "deployment_budget_spent").await;
    deploy(&from(&app, 4, "192.0.2.2").await, "e").data().await;
    deploy(&from(&app, 5, "192.0.2.3").await, "f")
        .refused(429, "deployment_budget_spent")
        .await;

    app.chain.sign(&first.wallet, &handed_back(&refused)).await;
    let own = first.client.post("/v1/orgs").data().await;
    assert_eq!(
        (&own["name"], &own["owner"]),
        (&json!("b"), &json!(first.address()))
    );
}

/// Finding 14: wallets can do both by themselves without asking the server to pay.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_registers_and_creates_organizations_at_its_own_expense() {
    let app = App::with(Setup::default().set("chain.sponsoring", "never")).await;
    let user = app.wallet(1).await;
    let body = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    let refused = register(&user).send().await;
    refused.refused(403, "not_sponsored");
    let asked = user
        .client
        .post("/v1/creator/transaction")
        .json(&body)
        .data()
        .await;
    assert_eq!(asked["transaction"], handed_back(&refused));
    app.chain.sign(&user.wallet, &asked["transaction"]).await;
    eventually("the wallet registered itself", async || {
        let again = user
            .client
            .post("/v1/creator/transaction")
            .json(&body)
            .send()
            .await;
        (again.status == 409).then_some(())
    })
    .await;

    let refused = deploy(&user, "Acme").send().await;
    refused.refused(403, "not_sponsored");
    let name = json!({"name": "Acme"});
    let asked = user.client.post("/v1/orgs/transaction").json(&name).data().await;
    assert_eq!(asked["transaction"], handed_back(&refused));
    let summary = asked["transaction"]["summary"].as_str().expect("a summary");
    assert!(summary.contains("`Acme`"), "{summary}");
    app.chain.sign(&user.wallet, &asked["transaction"]).await;
    let org = user.client.post("/v1/orgs").data().await;
    assert_eq!(org["name"], "Acme");
    let empty = user
        .client
        .post("/v1/orgs/transaction")
        .json(&json!({"name": ""}));
    empty.refused(400, "invalid_name").await;
}

/// Finding 14: the coin of 50 batches at the highest fee is settlement's: nothing else is paid from it.
#[tokio::test(flavor = "multi_thread")]
async fn the_coin_of_fifty_batches_is_kept_for_settlement() {
    let app = App::with(
        Setup::default()
            .set("settlement.max_calls", 1)
            .set("chain.max_fee_gwei", 100),
    )
    .await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let gas: u64 = 8_000_000;
    let reserve = U256::from(50) * U256::from(gas) * U256::from(100_000_000_000u64);
    let server = app.chain.server.address();
    app.chain
        .dev
        .set_balance(server, reserve)
        .expect("the chain keeps accounts");

    let user = app.wallet(2).await;
    for ask in [register(&user), deploy(&user, "b")] {
        let refused = ask.send().await;
        refused.refused(503, "sponsoring_paused");
        assert!(refused.header("retry-after").is_some());
        handed_back(&refused);
    }
    app.upstream.always(Script::tokens(1, 1));
    let answer = tenant.caller.chat(&question(models::PER_CALL.1)).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("the batch is settled all the same", async || {
        (app.chain.next_batch().await == 1).then_some(())
    })
    .await;
    app.chain
        .dev
        .set_balance(server, reserve + reserve)
        .expect("the chain keeps accounts");
    register(&user).data().await;
}
