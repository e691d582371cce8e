//! One organization calls another's public project: who pays, who is paid, and what proves it.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, question, usdt},
    eventually,
};
use serde_json::json;

/// The price of the project, beside 0.1 USDT for the model.
const FEE: Usdt = Usdt::from_nano(250_000_000);
const COST: Usdt = Usdt::from_nano(350_000_000);

#[tokio::test(flavor = "multi_thread")]
async fn a_public_project_is_paid_once_on_chain_and_every_check_agrees() {
    let app = App::with(Setup::default().set("settlement.max_calls", 2)).await;
    let payer = app.funded("Payer", Usdt::whole(2)).await;
    let seller = Tenant::found(&app.chain, app.wallet(2).await, "Seller").await;
    let published = seller.publish(FEE).await;
    assert_eq!(usdt(&published["price_per_call_usdt"]), FEE);

    payer.accept(&seller, FEE).await;
    let caller = payer.calling(&seller);
    let mut calls = Vec::new();
    for _ in 0..2 {
        let answer = caller.chat(&question("per-call")).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        calls.push(answer.header("x-haithe-call").unwrap().to_owned());
    }
    let sum = |amount: Usdt| Usdt::from_nano(amount.nano() * 2);
    assert_eq!(payer.expenditure().await, sum(COST), "each call once");
    assert_eq!(seller.expenditure().await, Usdt::ZERO);

    for call in &calls {
        let receipt = eventually("the receipt's batch is final", async || {
            let receipt = payer.receipt(call).await;
            (receipt["settlement"]["state"] == "final").then_some(receipt)
        })
        .await;
        assert_eq!(usdt(&receipt["charged_usdt"]), COST);
        let lines = receipt["document"]["lines"].as_array().unwrap();
        let line = lines
            .iter()
            .find(|line| line["payee"] == format!("organization/{}", seller.org_id))
            .unwrap_or_else(|| panic!("no line for the seller: {lines:?}"));
        assert_eq!(line["amount_nano"], FEE.nano().to_string());
        assert_eq!(lines.len(), 2, "the model and the project");
        let verified = app.run(&["receipt", "verify", "-"], Some(&receipt)).await;
        assert!(verified.success(), "{verified:?}");
        let path = format!("/v1/receipts/{call}");
        seller.owner.client.get(&path).refused(404, "not_found").await;
    }
    assert_eq!(app.chain.next_batch().await, 1, "one transaction for both");

    // The seller holds real tokens, and the ledger knows.
    assert_eq!(
        app.chain.token_balance(seller.contract).await,
        app.chain.units(sum(FEE)).get()
    );
    let left = Usdt::from_nano(Usdt::whole(2).nano() - sum(COST).nano());
    assert_eq!(
        app.chain.token_balance(payer.contract).await,
        app.chain.units(left).get()
    );
    let (paid, earned) = (payer.balance().await, seller.balance().await);
    assert_eq!(
        (paid.onchain, paid.available, paid.unsettled),
        (left, left, Usdt::ZERO)
    );
    assert_eq!((earned.onchain, earned.available), (sum(FEE), sum(FEE)));

    // The payer's figures are the payer's; the project's own organization paid for nothing in it.
    let listed = async |tenant: &Tenant, path: String| tenant.owner.client.get(&path).data().await;
    let of_payer = listed(&payer, format!("/v1/orgs/{}/usage", payer.org_id)).await;
    assert_eq!(
        (&of_payer[0]["calls"], usdt(&of_payer[0]["charged_usdt"])),
        (&json!(2), sum(COST))
    );
    for path in ["usage", "receipts"] {
        let path = format!("/v1/projects/{}/{path}", seller.project_id);
        assert_eq!(listed(&seller, path).await, json!([]));
    }

    for tenant in [&payer, &seller] {
        let org = tenant.org_id.to_string();
        let audited = app.run(&["receipt", "audit", "--org", &org], None).await;
        assert!(audited.success(), "{audited:?}");
    }
    let around = app.stop().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
}
