//! One tenant's charges never keep another tenant's from being settled.

use alloy::primitives::U256;
use futures::future::join_all;
use haithe_kernel::{FixedClock, Usdt, WalletAddress};
use haithe_marketplace::sealing::EnclavePublicKey;
use haithe_tests::{
    app::{App, Setup, Tenant, User, question},
    eventually,
    sealed::Sealed,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Tenants that do nothing wrong.
const HONEST: u32 = 10;
/// As long as `settlement.max_age_seconds` of the fixture.
const MAX_AGE: Duration = Duration::from_secs(3_601);
/// More than a quarter of the withdrawal delay: the gate closes for whoever has so old a charge.
const GATE: Duration = Duration::from_secs(7 * 3_600);

async fn tenant(app: &App, number: u32, amount: Usdt) -> Tenant {
    let owner = app.wallet(number).await;
    let tenant = Tenant::found(&app.chain, owner, &format!("Tenant {number}")).await;
    if amount > Usdt::ZERO {
        tenant.deposit(&app.chain, amount).await;
    }
    tenant
}

async fn honest(app: &App) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for number in 0..HONEST {
        tenants.push(tenant(app, 100 + number, Usdt::whole(5)).await);
    }
    tenants
}

/// One call of each; gives the calls.
async fn call_each(tenants: &[Tenant]) -> Vec<String> {
    let mut calls = Vec::new();
    for tenant in tenants {
        let answer = tenant.caller.chat(&question("per-call")).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        calls.push(answer.header("x-haithe-call").unwrap().to_owned());
    }
    calls
}

async fn settled(tenants: &[Tenant], calls: &[String]) {
    for (tenant, call) in tenants.iter().zip(calls) {
        eventually("the receipt's batch is final", async || {
            let receipt = tenant.receipt(call).await;
            (receipt["settlement"]["state"] == "final").then_some(())
        })
        .await;
    }
}

/// After the attack: what the honest tenants are charged settles, and they are answered, now and when
/// the gate would have closed.
async fn nobody_else_is_harmed(clock: &Arc<FixedClock>, tenants: &[Tenant]) {
    let calls = call_each(tenants).await;
    clock.advance(MAX_AGE);
    settled(tenants, &calls).await;
    clock.advance(GATE);
    eventually("the index reports", async || {
        let answer = tenants[0].caller.chat(&question("per-call")).send().await;
        (answer.status == 200).then_some(())
    })
    .await;
    call_each(tenants).await;
    for tenant in tenants {
        assert!(tenant.balance().await.available > Usdt::ZERO);
    }
}

/// A public project of its own organization, at 0.001 USDT per call.
async fn shop(app: &App, number: u32) -> Tenant {
    let shop = tenant(app, number, Usdt::ZERO).await;
    let price: Value = app
        .chain
        .units(Usdt::from_nano(1_000_000))
        .get()
        .to_string()
        .parse()
        .unwrap();
    shop.change_project(json!({"public": true, "price_per_call": price}))
        .await;
    shop
}

/// Payers and public projects of the attack. A payer's calls of all projects cost it less than the 6 USDT that it
/// has: 49 times 0.101 USDT. `HAITHE_DEEP=1` (`cargo xtask test --deep`) has as many as the audit.
fn attackers() -> (u32, u32) {
    if std::env::var_os("HAITHE_DEEP").is_some() {
        (24, 49)
    } else {
        // A batch that was not bounded by gas held the charges of 40 projects.
        (12, 49)
    }
}

/// Finding 1: charges of many payers to many public projects, which together need more gas than one
/// transaction may have, are settled in several batches, and the other tenants' charges with them.
#[tokio::test(flavor = "multi_thread")]
async fn charges_beyond_one_transactions_gas_stop_nobodys_settlement() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup).await;
    let honest = honest(&app).await;
    let (payer_count, shop_count) = attackers();
    let mut payers = Vec::new();
    for number in 0..payer_count {
        payers.push(tenant(&app, 200 + number, Usdt::whole(6)).await);
    }
    let mut shops = Vec::new();
    for number in 0..shop_count {
        shops.push(shop(&app, 300 + number).await);
    }
    for shop in &shops {
        let calls = payers.iter().map(async |payer| {
            payer.accept(shop, Usdt::from_nano(1_000_000)).await;
            let caller = payer
                .owner
                .client
                .with("haithe-organization", format!("org-{}", payer.org_uid))
                .with("haithe-project", format!("proj-{}", shop.project_uid));
            let answer = caller.chat(&question("per-call")).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        });
        join_all(calls).await;
    }
    nobody_else_is_harmed(&clock, &honest).await;
    // The attackers' charges are settled, too, and their payees earn.
    eventually("every charge of the payers is settled", async || {
        clock.advance(Duration::from_secs(60));
        for payer in &payers {
            if payer.balance().await.unsettled != Usdt::ZERO {
                return None;
            }
        }
        Some(())
    })
    .await;
    assert!(app.chain.next_batch().await >= 2, "one batch could not hold them");
    for shop in &shops {
        let earned = i64::from(payer_count) * 1_000_000;
        assert_eq!(shop.balance().await.onchain, Usdt::from_nano(earned));
    }
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

/// A creator's prompt set at 0.000001 USDT, accepted by the tenant's contract.
async fn product(app: &App, maker: &User, tenant: &Tenant) -> i64 {
    let body = json!({"uri": "https://creator.example/me", "pub_key": "04ab"});
    maker.client.post("/v1/creator").json(&body).data().await;
    let shown = app.anonymous().get("/v1/tee/pub-key").data().await;
    let enclave: EnclavePublicKey = shown["tee_pubkey"].as_str().unwrap().parse().unwrap();
    let address: WalletAddress = maker.address().parse().unwrap();
    let sealed = Sealed::for_creator(&enclave, address, json!(["Be brief."]).to_string().as_bytes());
    let put = maker.client.put("/v1/content").body(sealed.bytes.clone());
    put.header("content-type", "application/octet-stream")
        .data()
        .await;
    let uri = format!("haithe:sha256:{}", sealed.digest);
    let price = U256::from(app.chain.units(Usdt::from_nano(1_000)).get());
    let contract = app
        .chain
        .add_product_at(
            &maker.wallet,
            (&format!("brief {address}"), "promptset"),
            (&uri, &sealed.wrapped_key),
            price,
        )
        .await;
    let id = eventually("the product is indexed", async || {
        let synced = maker.client.post("/v1/products").data().await;
        synced["product"]["id"].as_i64()
    })
    .await;
    app.chain
        .enable_product(&tenant.owner.wallet, tenant.contract, contract, price)
        .await;
    id
}

/// Enables a product for the tenant's project once the contract's acceptance is indexed; gives the
/// error's code if it is refused.
async fn enable(tenant: &Tenant, id: i64) -> Option<String> {
    let project = tenant.project_id.to_string();
    eventually("the contract's acceptance is indexed", async || {
        let path = format!("/v1/products/{id}/enable");
        let ask = tenant.owner.client.post(&path);
        let answer = ask.query(&[("project_id", project.as_str())]).send().await;
        if answer.status.is_success() {
            return Some(None);
        }
        let (code, _) = answer.rest_failure();
        (code != "product_not_enabled_on_chain").then_some(Some(code))
    })
    .await
}

/// Finding 2: a call with more payees than fit in a line is refused before anything is set aside, such
/// projects cannot be made any more, and a charge of this kind that is already there stops nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_too_many_payees_is_refused_and_one_that_was_charged_stops_nobody() {
    let (setup, clock) = Setup::on_a_clock();
    // As it was: more products than a line has places for.
    let setup = setup
        .set("agent.max_products", 40)
        .set("settlement.max_payees", 42);
    let app = App::with(setup).await;
    let honest = honest(&app).await;
    let attacker = tenant(&app, 200, Usdt::whole(3)).await;
    for number in 0..36 {
        let maker = app.wallet(400 + number).await;
        let id = product(&app, &maker, &attacker).await;
        assert_eq!(enable(&attacker, id).await, None);
    }
    let answer = attacker.caller.chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    attacker.at_rest().await;

    let mut around = app.stop().await;
    around.set("agent.max_products", 32);
    around.set("settlement.max_payees", 34);
    let app = App::over(around).await;
    let attacker = attacker.at(&app.base);
    let honest: Vec<_> = honest.iter().map(|tenant| tenant.at(&app.base)).collect();

    let before = attacker.balance().await;
    let heard = app.upstream.count();
    let refused = attacker.caller.chat(&question("per-call")).send().await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "too_many_payees");
    assert!(refused.text().contains("34"), "{}", refused.text());
    assert_eq!(attacker.balance().await, before);
    assert_eq!(app.upstream.count(), heard, "no upstream request");

    let maker = app.wallet(499).await;
    let id = product(&app, &maker, &attacker).await;
    assert_eq!(enable(&attacker, id).await.as_deref(), Some("too_many_products"));

    nobody_else_is_harmed(&clock, &honest).await;
    assert!(
        attacker.balance().await.unsettled > Usdt::ZERO,
        "it cannot be settled"
    );
}
