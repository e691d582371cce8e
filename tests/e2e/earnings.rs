//! A creator's money: from the line of a charge to the creator's own wallet.

use alloy::primitives::U256;
use haithe_billing::{
    ExpenditureScope,
    capture::{CallOutcome, Capture, LineItem, Payee, PriceLine, TokenUsage, UsageRecord},
    hold::HoldRequest,
    ports::Ledger,
};
use haithe_kernel::{CallId, Clock, FixedClock, ModelId, OrgId, ProductId, ProjectId, Timestamp, Usdt};
use haithe_sqlite::{Db, DbConfig, SqliteLedger};
use haithe_tests::{
    app::{App, Surroundings, Tenant, User, on_sqlite, usdt},
    eventually,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::sync::Arc;

const PRICE: Usdt = Usdt::from_nano(20_000_000);

/// Charges a call of the tenant's project for a product, through the ledger's own door.
async fn charge(around: &Surroundings, tenant: &Tenant, creator: &User, product: i64) -> CallId {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let now = Timestamp::from_seconds(now);
    let config = DbConfig {
        path: around.dir().join("haithe.db"),
        decimals: around.chain.deployment.decimals,
        clock: Arc::new(FixedClock::at(now)) as Arc<dyn Clock>,
    };
    let db = Db::open(config).await.expect("the server has let go of it");
    let (ledger, call) = (SqliteLedger::new(&db), CallId(uuid::Uuid::now_v7()));
    let org = OrgId(tenant.org_id);
    let model = PriceLine {
        payee: Payee::Platform,
        item: LineItem::ModelCall,
        amount: Usdt::from_nano(5_000_000),
    };
    let seller = creator.wallet.wallet_address();
    let lines = vec![model, PriceLine::product(ProductId(product), seller, PRICE)];
    let usage = UsageRecord {
        project: ProjectId(tenant.project_id),
        wallet: tenant.owner.wallet.wallet_address(),
        api_key: None,
        model: ModelId(1),
        model_name: "per-call".into(),
        provider: "test".into(),
        tokens: TokenUsage::default(),
        estimated: false,
        streamed: false,
        outcome: CallOutcome::Complete,
        request_hash: [1; 32],
        response_hash: [2; 32],
        started_at: now,
        finished_at: now,
    };
    let capture = Capture {
        call,
        org,
        lines,
        usage,
        expenditure: ExpenditureScope::Organization,
    };
    let cost = capture.cost();
    let hold = HoldRequest {
        call,
        org,
        most: cost,
        least: cost,
        budgets: Vec::new(),
        expenditure: ExpenditureScope::Organization,
    };
    ledger.hold(hold).await.expect("the deposit covers it");
    let captured = ledger.capture(capture).await.expect("it is stored");
    assert_eq!(captured.charged, cost);
    db.close().await.expect("the file is closed");
    call
}

async fn earnings(creator: &User) -> Value {
    let path = format!("/v1/creator/{}/earnings", creator.address());
    creator.client.get(&path).data().await
}

fn figures(earnings: &Value) -> [Usdt; 5] {
    ["earned", "pending", "settled", "withdrawn", "withdrawable"]
        .map(|name| usdt(&earnings[format!("{name}_usdt")]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creator_is_credited_on_chain_and_withdraws_with_its_own_wallet() {
    if !on_sqlite() {
        return;
    }
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let creator = app.wallet(7).await;
    let body = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    creator.client.post("/v1/creator").json(&body).data().await;
    let price = U256::from(app.chain.units(PRICE).get());
    app.chain
        .add_product(&creator.wallet, "facts", "knowledge:text", price)
        .await;
    let product = eventually("the product is indexed", async || {
        let synced = creator.client.post("/v1/products").data().await;
        synced["product"]["id"].as_i64()
    })
    .await;
    assert_eq!(figures(&earnings(&creator).await), [Usdt::ZERO; 5]);
    let path = format!("/v1/creator/{}/earnings", creator.address());
    tenant.owner.client.get(&path).refused(404, "not_found").await;

    let around = app.stop().await;
    let call = charge(&around, &tenant, &creator, product).await;
    let app = App::over(around).await;
    let (tenant, creator) = (tenant.at(&app.base), moved(&creator, &app));
    let pending = earnings(&creator).await;
    assert_eq!(
        figures(&pending),
        [PRICE, PRICE, Usdt::ZERO, Usdt::ZERO, Usdt::ZERO]
    );
    assert_eq!(pending.get("transaction"), None, "nothing is there to withdraw");
    let line = &pending["products"][0];
    assert_eq!(
        (
            &line["product_id"],
            &line["name"],
            &line["calls"],
            usdt(&line["earned_usdt"])
        ),
        (&json!(product), &json!("facts"), &json!(1), PRICE)
    );

    let mut around = app.stop().await;
    around.set("settlement.max_calls", 1);
    let app = App::over(around).await;
    let (tenant, creator) = (tenant.at(&app.base), moved(&creator, &app));
    let settled = eventually("the batch is final", async || {
        let earnings = earnings(&creator).await;
        (usdt(&earnings["settled_usdt"]) == PRICE).then_some(earnings)
    })
    .await;
    assert_eq!(figures(&settled), [PRICE, Usdt::ZERO, PRICE, Usdt::ZERO, PRICE]);
    let receipt = tenant.receipt(&call.to_string()).await;
    let verified = app.run(&["receipt", "verify", "-"], Some(&receipt)).await;
    assert!(verified.success(), "{verified:?}");

    app.chain.sign(&creator.wallet, &settled["transaction"]).await;
    let held = app.chain.token_balance(creator.wallet.address()).await;
    assert_eq!(held, app.chain.units(PRICE).get(), "real tokens");
    let gone = eventually("the withdrawal is final", async || {
        let earnings = earnings(&creator).await;
        (usdt(&earnings["withdrawn_usdt"]) == PRICE).then_some(earnings)
    })
    .await;
    assert_eq!(figures(&gone), [PRICE, Usdt::ZERO, PRICE, PRICE, Usdt::ZERO]);
    assert_eq!(gone.get("transaction"), None);

    let usage = format!("/v1/orgs/{}/usage", tenant.org_id);
    let usage = tenant
        .owner
        .client
        .get(&usage)
        .query(&[("group_by", "product")])
        .data()
        .await;
    assert_eq!(
        (&usage[0]["product_name"], usdt(&usage[0]["charged_usdt"])),
        (&json!("facts"), PRICE)
    );
    let org = tenant.org_id.to_string();
    let audited = app.run(&["receipt", "audit", "--org", &org], None).await;
    assert!(audited.success(), "{audited:?}");
    let around = app.stop().await;
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creator_announces_cancels_and_removes_a_second_payout_address() {
    let app = App::start().await;
    let creator = app.wallet(7).await;
    let path = format!("/v1/creator/{}/payout-address", creator.address());
    let second = Wallet::named("second").wallet_address().to_string();
    let body = json!({"payout_address": second});
    let post = || creator.client.post(&path).json(&body);
    let nothing = json!({"payout_address": null, "next_payout_address": null, "next_payout_at": null});
    let shown = async || creator.client.get(&path).data().await;
    let shows = async |what: &str, expected: [&Value; 2]| {
        eventually(what, async || {
            app.chain.dev.mine(1);
            let now = shown().await;
            ([&now["payout_address"], &now["next_payout_address"]] == expected).then_some(now)
        })
        .await
    };
    let sign = async |transaction: &Value| app.chain.sign(&creator.wallet, transaction).await;

    assert_eq!(shown().await, nothing);
    post().refused(403, "not_a_creator").await;
    let registration = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    creator
        .client
        .post("/v1/creator")
        .json(&registration)
        .data()
        .await;
    eventually("the identity is indexed", async || {
        post().send().await.status.is_success().then_some(())
    })
    .await;
    creator
        .client
        .delete(&path)
        .refused(409, "no_payout_address")
        .await;
    let zero = format!("0x{}", "0".repeat(40));
    for address in [creator.address(), zero] {
        let refused = creator
            .client
            .post(&path)
            .json(&json!({"payout_address": address}));
        refused.refused(400, "invalid_payout_address").await;
    }
    let other = app.wallet(8).await.client;
    other.get(&path).refused(404, "not_found").await;
    other.post(&path).json(&body).refused(404, "not_found").await;

    let null = Value::Null;
    let announced = post().data().await;
    let summary = announced["transaction"]["summary"].as_str().expect("a text");
    assert!(
        summary.contains("payout address") && summary.contains(&second),
        "{summary}"
    );
    sign(&announced["transaction"]).await;
    let waiting = shows("the address is announced", [&null, &json!(second)]).await;
    assert!(waiting["next_payout_at"].is_string(), "{waiting}");
    let cancel = creator.client.delete(&path).data().await;
    assert_eq!(cancel["next_payout_address"], json!(second));
    sign(&cancel["transaction"]).await;
    assert_eq!(shows("it is cancelled", [&null, &null]).await, nothing);

    sign(&post().data().await["transaction"]).await;
    shows("it is announced again", [&null, &json!(second)]).await;
    app.chain.dev.advance_time(86_400);
    let acting = shows("it is in effect after the delay", [&json!(second), &null]).await;
    assert_eq!(acting.get("withdrawal"), None, "nothing is earned");
    let removal = creator.client.delete(&path).data().await;
    let summary = removal["transaction"]["summary"].as_str().expect("a text");
    assert!(
        summary.starts_with("Remove the second payout address"),
        "{summary}"
    );
    sign(&removal["transaction"]).await;
    shows("it is removed at once", [&null, &null]).await;
}

/// The same wallet at a server that was started again.
fn moved(user: &User, app: &App) -> User {
    User {
        client: user.client.at(&app.base),
        ..user.clone()
    }
}
