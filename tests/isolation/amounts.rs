//! Amounts of money mean what their sender meant.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, Tenant, usdt};
use serde_json::{Value, json};

fn org(tenant: &Tenant, rest: &str) -> String {
    format!("/v1/orgs/{}/{rest}", tenant.org_id)
}

/// Finding 21: base units that read like USDT compose no withdrawal and no cap.
#[tokio::test(flavor = "multi_thread")]
async fn base_units_below_a_cent_are_refused_with_both_readings() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(20)).await;
    let owner = &tenant.owner.client;
    for (path, field) in [("withdrawals", "amount"), ("daily-cap", "daily_cap")] {
        let path = org(&tenant, path);
        let asked = owner.post(&path).json(&json!({(field): "10"}));
        let message = asked.refused(422, "amount_small").await;
        for part in [
            "10 base units are 0.00000000000000001 USDT",
            &format!("\"{field}_usdt\": \"10\""),
            "\"confirm_small\": true",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let both = json!({(field): "10", (format!("{field}_usdt")): "10"});
        owner
            .post(&path)
            .json(&both)
            .refused(400, "conflicting_parameter")
            .await;
        let both = json!({(field): null, (format!("{field}_usdt")): "10"});
        owner
            .post(&path)
            .json(&both)
            .refused(400, "conflicting_parameter")
            .await;
        let neither = owner.post(&path).json(&json!({}));
        let message = neither.refused(400, "missing_parameter").await;
        assert!(message.contains(&format!("`{field}_usdt`")), "{message}");
        let query = owner.post(&path).query(&[(field, "10")]);
        query.refused(422, "amount_small").await;
    }
    let small = json!({"amount": "10", "confirm_small": true});
    let composed = owner.post(&org(&tenant, "withdrawals")).json(&small).data().await;
    let summary = composed["transaction"]["summary"].as_str().unwrap();
    assert!(summary.contains("Amount: 0.00000000000000001 USDT."), "{summary}");
}

/// Finding 21: amounts in USDT are taken as they read, and what the wallet signs says so in words.
#[tokio::test(flavor = "multi_thread")]
async fn an_amount_in_usdt_is_withdrawn_and_the_transaction_says_so() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(20)).await;
    let (owner, payee) = (&tenant.owner, app.wallet(2).await);
    let body = json!({"amount_usdt": "10.5", "to": payee.address()});
    let asked = owner
        .client
        .post(&org(&tenant, "withdrawals"))
        .json(&body)
        .data()
        .await;
    let transaction = &asked["transaction"];
    let contract = tenant.contract.to_string().to_lowercase();
    assert_eq!(
        transaction["summary"],
        format!(
            "Request a withdrawal. Amount: 10.5 USDT. From: {contract}. To: {}.",
            payee.address()
        )
    );
    // The names that viem and ethers read, beside those of before.
    assert_eq!(transaction["chainId"], transaction["chain_id"]);
    for (name, expected) in [
        ("from", json!(owner.address())),
        ("to", json!(contract)),
        ("value", json!("0x0")),
    ] {
        assert_eq!(transaction[name], expected, "{name}");
    }
    app.chain.sign(&owner.wallet, transaction).await;
    let announced: Value = haithe_tests::eventually("the withdrawal is announced", async || {
        let all = owner.client.get(&org(&tenant, "withdrawals")).data().await;
        all.get(0).cloned()
    })
    .await;
    assert_eq!(announced["amount_usdt"], "10.5");

    let cancel = owner
        .client
        .post(&org(&tenant, "withdrawals/cancel"))
        .data()
        .await;
    let summary = cancel["transaction"]["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("Cancel the requested withdrawal. Amount: 10.5 USDT.")
            && summary.contains(&payee.address()),
        "{summary}"
    );

    let cap = owner
        .client
        .post(&org(&tenant, "daily-cap"))
        .json(&json!({"daily_cap_usdt": "5"}));
    let cap = cap.data().await;
    let summary = cap["transaction"]["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("Set the organization's daily cap. Amount: 5 USDT."),
        "{summary}"
    );
    app.chain.sign(&owner.wallet, &cap["transaction"]).await;
    haithe_tests::eventually("the cap is scheduled", async || {
        let shown = owner.client.get(&org(&tenant, "daily-cap")).data().await;
        (shown["scheduled"]["daily_cap_usdt"] == "5").then_some(())
    })
    .await;
    let none = owner
        .client
        .post(&org(&tenant, "daily-cap"))
        .json(&json!({"daily_cap_usdt": null}));
    let summary = none.data().await["transaction"]["summary"].to_string();
    assert!(
        summary.contains("Remove the organization's daily cap"),
        "{summary}"
    );
    // Nothing at all has one reading.
    let zero = owner
        .client
        .post(&org(&tenant, "daily-cap"))
        .json(&json!({"daily_cap": 0}));
    assert!(zero.data().await["transaction"].is_object());
}

/// Finding 21: a price per call may be small, is read in USDT too, and is never given twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_price_per_call_is_read_in_usdt_and_may_be_small() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let project = format!("/v1/projects/{}", tenant.project_id);
    let change = |body: Value| tenant.owner.client.patch(&project).json(&body);
    let changed = change(json!({"price_per_call_usdt": "0.05"})).data().await;
    assert_eq!(usdt(&changed["price_per_call_usdt"]), Usdt::from_nano(50_000_000));
    let changed = change(json!({"price_per_call": 1_000_000_000u64})).data().await;
    assert_eq!(changed["price_per_call_usdt"], "0.000000001");
    let both = json!({"price_per_call": 1_000_000_000u64, "price_per_call_usdt": "1"});
    change(both).refused(400, "conflicting_parameter").await;
    let message = change(json!({"price_per_call": 5}))
        .refused(400, "invalid_parameter")
        .await;
    assert!(
        message.contains("5 base units are 0.000000000000000005 USDT"),
        "{message}"
    );
}
