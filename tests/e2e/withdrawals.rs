//! The owner's own hand: withdrawals and the daily cap, from the question to the token.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, question, usdt},
    eventually,
};
use serde_json::{Value, json};

const DAY: u64 = 86_400;

fn org(tenant: &Tenant, rest: &str) -> String {
    format!("/v1/orgs/{}/{rest}", tenant.org_id)
}

async fn withdrawals(tenant: &Tenant) -> Vec<Value> {
    let listed = tenant.owner.client.get(&org(tenant, "withdrawals")).data().await;
    listed.as_array().expect("a list").clone()
}

/// Waits until the newest withdrawal is in this state.
async fn newest_is(tenant: &Tenant, state: &str) -> Value {
    eventually(&format!("the newest withdrawal is {state}"), async || {
        let newest = withdrawals(tenant).await.into_iter().next()?;
        (newest["state"] == state).then_some(newest)
    })
    .await
}

/// Asks for a step and signs what it says.
async fn step(app: &App, tenant: &Tenant, path: &str, body: Value) -> Value {
    let owner = &tenant.owner;
    let asked = owner.client.post(&org(tenant, path)).json(&body).data().await;
    app.chain.sign(&owner.wallet, &asked["transaction"]).await;
    asked
}

fn wire(app: &App, amount: Usdt) -> Value {
    let units = app.chain.units(amount).get().to_string();
    serde_json::from_str(&units).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_is_asked_for_signed_waited_for_and_paid() {
    let app = App::with(Setup::default().set("settlement.max_calls", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let payee = app.wallet(4).await;
    let call = tenant.caller.chat(&question("per-call")).send().await;
    assert_eq!(call.status, 200, "{}", call.text());
    eventually("the call is settled", async || {
        (tenant.balance().await.onchain == Usdt::from_nano(4_900_000_000)).then_some(())
    })
    .await;

    let body = json!({"amount": wire(&app, Usdt::whole(3)), "to": payee.address()});
    let asked = step(&app, &tenant, "withdrawals", body.clone()).await;
    assert_eq!(
        asked.get("withdrawal"),
        None,
        "nothing is announced before it is signed"
    );
    let announced = newest_is(&tenant, "requested").await;
    assert_eq!(announced["to"], payee.address());
    assert_eq!(announced["amount"].to_string(), "3000000000000000000");
    assert_eq!(announced["amount_usdt"], "3");
    assert_eq!(
        (&announced["paid"], &announced["settled"]),
        (&Value::Null, &json!(false))
    );
    let money = tenant.balance().await;
    assert_eq!(money.pending_withdrawal, Usdt::whole(3));
    assert_eq!(money.available, Usdt::from_nano(1_900_000_000));
    assert_eq!(money.onchain, Usdt::from_nano(4_900_000_000));

    let owner = &tenant.owner.client;
    let again = owner.post(&org(&tenant, "withdrawals")).json(&body);
    again.refused(409, "withdrawal_open").await;
    let execute = || owner.post(&org(&tenant, "withdrawals/execute"));
    execute().refused(409, "withdrawal_too_early").await;

    app.chain.dev.advance_time(DAY);
    app.chain.dev.mine(1);
    newest_is(&tenant, "executable").await;
    let executed = step(&app, &tenant, "withdrawals/execute", json!({})).await;
    assert_eq!(executed["withdrawal"]["id"], announced["id"]);
    let paid = newest_is(&tenant, "executed").await;
    assert_eq!((&paid["paid_usdt"], &paid["id"]), (&json!("3"), &announced["id"]));
    let received = app.chain.token_balance(payee.wallet.address()).await;
    assert_eq!(received, app.chain.units(Usdt::whole(3)).get(), "real tokens");
    let money = eventually("the payment is final", async || {
        let money = tenant.balance().await;
        (money.pending_withdrawal == Usdt::ZERO).then_some(money)
    })
    .await;
    assert_eq!(
        (money.available, money.onchain),
        (Usdt::from_nano(1_900_000_000), money.available)
    );
    execute().refused(409, "no_withdrawal").await;
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_withdrawal_gives_back_what_it_froze() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(2)).await;
    let owner = &tenant.owner.client;
    let cancel = || owner.post(&org(&tenant, "withdrawals/cancel"));
    cancel().refused(409, "no_withdrawal").await;
    for (amount, code) in [
        (json!(0), "invalid_amount"),
        (json!("1.5"), "invalid_parameter"),
        (json!(-1), "invalid_parameter"),
    ] {
        let body = json!({"amount": amount});
        let asked = owner.post(&org(&tenant, "withdrawals")).json(&body);
        asked.refused(400, code).await;
    }
    let more = json!({"amount": wire(&app, Usdt::from_nano(2_000_000_001))});
    let asked = owner.post(&org(&tenant, "withdrawals")).json(&more);
    asked.refused(409, "insufficient_balance").await;
    let own = json!({"amount": 1, "confirm_small": true, "to": tenant.contract.to_string()});
    let asked = owner.post(&org(&tenant, "withdrawals")).json(&own);
    asked.refused(400, "invalid_payee").await;

    let body = json!({"amount": wire(&app, Usdt::whole(2))});
    step(&app, &tenant, "withdrawals", body).await;
    let announced = newest_is(&tenant, "requested").await;
    assert_eq!(
        announced["to"],
        tenant.owner.address(),
        "to the owner, where nobody is named"
    );
    assert_eq!(tenant.balance().await.available, Usdt::ZERO);
    let refused = tenant.caller.chat(&question("per-call")).send().await;
    refused.openai_refused(402, "insufficient_quota");
    step(&app, &tenant, "withdrawals/cancel", json!({})).await;
    newest_is(&tenant, "cancelled").await;
    let money = eventually("the cancellation is final", async || {
        let money = tenant.balance().await;
        (money.pending_withdrawal == Usdt::ZERO).then_some(money)
    })
    .await;
    assert_eq!(money.available, Usdt::whole(2));
    assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
    let page = owner
        .get(&org(&tenant, "withdrawals"))
        .query(&[("limit", "1"), ("offset", "1")]);
    let page = page.send().await;
    assert_eq!(
        (page.header("x-total-count"), page.data()),
        (Some("1"), json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_cap_rises_at_once_falls_in_time_and_binds_calls_from_the_start() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(2)).await;
    let owner = &tenant.owner.client;
    let path = org(&tenant, "daily-cap");
    let shown = owner.get(&path).data().await;
    assert_eq!(
        (&shown["daily_cap"], &shown["scheduled"]),
        (&Value::Null, &Value::Null)
    );
    owner.post(&path).refused(400, "missing_parameter").await;
    let little = json!({"daily_cap": wire(&app, Usdt::from_nano(50_000_000))});
    let asked = step(&app, &tenant, "daily-cap", little).await;
    assert_eq!(asked["daily_cap"], Value::Null, "REST changes nothing itself");
    let scheduled = eventually("the cut is indexed", async || {
        let shown = owner.get(&path).data().await;
        shown["scheduled"].is_object().then_some(shown)
    })
    .await;
    assert_eq!(scheduled["daily_cap"], Value::Null, "none is in force yet");
    assert_eq!(
        usdt(&scheduled["scheduled"]["daily_cap_usdt"]),
        Usdt::from_nano(50_000_000)
    );
    let refused = tenant.caller.chat(&question("per-call")).send().await;
    refused.openai_refused(402, "daily_cap_reached");
    app.chain.dev.advance_time(DAY);
    app.chain.dev.mine(1);
    let shown = eventually("the cut is in force", async || {
        let shown = owner.get(&path).data().await;
        shown["scheduled"].is_null().then_some(shown)
    })
    .await;
    assert_eq!(shown["daily_cap_usdt"], "0.05");
    step(&app, &tenant, "daily-cap", json!({"daily_cap": null})).await;
    eventually("the raise holds at once", async || {
        let shown = owner.get(&path).data().await;
        (shown["daily_cap"].is_null() && shown["scheduled"].is_null()).then_some(())
    })
    .await;
    assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
}
