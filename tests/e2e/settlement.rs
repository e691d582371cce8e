//! Charges on their way to the chain, and receipts that prove it.

use alloy::primitives::B256;
use haithe_devchain::ReorgTxs;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, Tenant, question},
    chain::Chain,
    eventually,
    upstream::Script,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Asks the contract whether the receipt was paid for.
pub async fn proves_itself(chain: &Chain, receipt: &Value) -> bool {
    let settlement = &receipt["settlement"];
    let hash = |value: &Value| value.as_str().unwrap().parse::<B256>().unwrap();
    let proof = settlement["proof"].as_array().unwrap().iter().map(hash).collect();
    let line = u32::try_from(settlement["line"].as_u64().unwrap()).unwrap();
    let batch = settlement["batch"].as_u64().unwrap();
    chain
        .verify_receipt(batch, line, hash(&settlement["leaf"]), proof)
        .await
}

/// The same receipt claiming another leaf.
pub fn with_another_leaf(receipt: &Value) -> Value {
    let mut forged = receipt.clone();
    forged["settlement"]["leaf"] = json!(B256::repeat_byte(7).to_string());
    forged
}

async fn settled(tenant: &Tenant, call: &str) -> Value {
    eventually("the receipt's batch is final", async || {
        let receipt = tenant.receipt(call).await;
        (receipt["settlement"]["state"] == "final").then_some(receipt)
    })
    .await
}

async fn call(tenant: &Tenant, model: &str) -> String {
    let answer = tenant.caller.chat(&question(model)).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-haithe-call").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_become_one_transaction_and_each_receipt_proves_itself() {
    let app = App::with(Setup::default().set("settlement.max_calls", 9)).await;
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let mut calls = Vec::new();
    for _ in 0..9 {
        calls.push(call(&tenant, "per-call").await);
    }
    for call in &calls {
        let receipt = settled(&tenant, call).await;
        assert!(proves_itself(&app.chain, &receipt).await);
        let document = receipt["document"].to_string();
        let digest = format!("0x{}", hex::encode(Sha256::digest(document.as_bytes())));
        assert_eq!(
            receipt["hash"], digest,
            "the hash is of the document as it stands"
        );
    }
    assert_eq!(app.chain.next_batch().await, 1);
    let listed = tenant
        .owner
        .client
        .get(&format!("/v1/orgs/{}/receipts", tenant.org_id))
        .data()
        .await;
    let listed: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, calls, "oldest first");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_for_those_who_may_read_the_payers_money() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let call = call(&tenant, "per-call").await;
    let path = format!("/v1/receipts/{call}");
    let stranger = app.wallet(2).await;
    stranger.client.get(&path).refused(404, "not_found").await;
    app.anonymous().get(&path).send().await.rest_failure();
    let unknown = "/v1/receipts/0190a0b0-c0d0-7000-8000-0102030405ff";
    stranger.client.get(unknown).refused(404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganized_settlement_is_settled_once() {
    let app = App::with(
        Setup::default()
            .set("settlement.max_calls", 2)
            .set("chain.confirmations", 1)
            .set("chain.finality", 4),
    )
    .await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    app.chain.dev.mine(5);
    let first = call(&tenant, "per-call").await;
    call(&tenant, "per-call").await;
    eventually("the batch is mined", async || {
        (app.chain.next_batch().await == 1).then_some(())
    })
    .await;
    app.chain.dev.reorg(1, ReorgTxs::Drop).expect("one block back");
    assert_eq!(app.chain.next_batch().await, 0, "the settling block is gone");
    eventually("the batch is mined again", async || {
        app.chain.dev.mine(1);
        (app.chain.next_batch().await == 1).then_some(())
    })
    .await;
    app.chain.dev.mine(8);
    let receipt = settled(&tenant, &first).await;
    assert!(proves_itself(&app.chain, &receipt).await);
    let balance = tenant.balance().await;
    assert_eq!(balance.onchain, Usdt::from_nano(800_000_000));
    assert_eq!(
        (balance.available, balance.unsettled),
        (balance.onchain, Usdt::ZERO)
    );
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_chain_delays_settlement_and_not_answers() {
    let app = App::with(Setup::default().set("settlement.max_calls", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    app.upstream.always(Script::tokens(1, 1));
    let refusal = || haithe_devchain::RpcError::params("the node is down");
    for method in [
        "eth_blockNumber",
        "eth_getBlockByNumber",
        "eth_sendRawTransaction",
        "eth_call",
    ] {
        app.chain.dev.fail_next(method, 1_000_000, refusal());
    }
    let call = call(&tenant, "per-call").await;
    app.chain.dev.clear_faults();
    let receipt = settled(&tenant, &call).await;
    assert!(proves_itself(&app.chain, &receipt).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_settling_transaction_settles_once() {
    let app = App::with(Setup::default().set("settlement.max_calls", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    app.chain.dev.lose_answer_next("eth_sendRawTransaction", 1);
    let call = call(&tenant, "per-call").await;
    settled(&tenant, &call).await;
    assert_eq!(app.chain.next_batch().await, 1);
    assert_eq!(tenant.balance().await.onchain, Usdt::from_nano(900_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_six_decimals_settles_whole_units_and_carries_the_rest() {
    let setup = Setup {
        chain: haithe_tests::chain::ChainSetup {
            decimals: 6,
            ..Default::default()
        },
        ..Setup::default()
    };
    let app = App::with(setup.set("settlement.max_calls", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    app.upstream.always(Script {
        cached: 1,
        ..Script::tokens(2, 0)
    });
    for _ in 0..3 {
        // 1,000 + 500 nano: one base unit and a half.
        let call = call(&tenant, "per-token").await;
        settled(&tenant, &call).await;
    }
    let balance = tenant.balance().await;
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(4_500));
    assert_eq!(
        (balance.onchain.nano(), balance.unsettled.nano()),
        (999_996_000, 500)
    );
    assert_eq!(balance.available.nano(), 999_995_500);
    assert_eq!(app.chain.token_balance(tenant.contract).await, 999_996);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_pause_when_charges_have_waited_too_long_for_the_chain() {
    let (setup, clock) = Setup::on_a_clock();
    let app = App::with(setup.set("settlement.max_calls", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let down = || haithe_devchain::RpcError::params("the node is down");
    app.chain
        .dev
        .fail_next("eth_sendRawTransaction", 1_000_000, down());
    let first = call(&tenant, "per-call").await;
    // A quarter of the withdrawal delay of a day.
    clock.advance(std::time::Duration::from_secs(6 * 3_600 + 60));
    let refused = eventually("new calls are paused", async || {
        let answer = tenant.caller.chat(&question("per-call")).send().await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    refused.openai_refused(503, "settlement_delayed");
    assert!(refused.header("retry-after").is_some());
    app.chain.dev.clear_faults();
    settled(&tenant, &first).await;
    eventually("calls are admitted again", async || {
        let answer = tenant.caller.chat(&question("per-call")).send().await;
        (answer.status == 200).then_some(())
    })
    .await;
}
