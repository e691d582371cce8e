//! Trouble on purpose, as alloy meets it.

use crate::support::*;
use alloy::{
    eips::eip2718::Encodable2718,
    primitives::U256,
    providers::{Provider, ProviderBuilder},
};
use haithe_devchain::RpcError;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_method_fails_as_often_as_told_and_has_no_effect() {
    let chain = instant();
    let provider = ProviderBuilder::new().connect_client(chain.rpc_client());
    let raw = sign(0, draft(0)).encoded_2718();
    chain.fail_next("eth_sendRawTransaction", 2, RpcError::new(-32_000, "overloaded"));
    for _ in 0..2 {
        let error = provider.send_raw_transaction(&raw).await.unwrap_err();
        assert_eq!(error.as_error_resp().unwrap().message, "overloaded");
    }
    assert_eq!(chain.nonce(account(0).address), 0);
    provider
        .send_raw_transaction(&raw)
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_no_failure() {
    let chain = instant();
    let provider = ProviderBuilder::new().connect_client(chain.rpc_client());
    let tx = sign(0, draft(0));
    chain.lose_answer_next("eth_sendRawTransaction", 1);
    let error = provider
        .send_raw_transaction(&tx.encoded_2718())
        .await
        .unwrap_err();
    assert!(error.is_transport_error(), "{error}");
    assert!(
        chain.receipt(*tx.tx_hash()).unwrap().status(),
        "it was mined all the same"
    );
}

#[tokio::test]
async fn answers_take_as_long_as_told() {
    let chain = instant();
    let provider = ProviderBuilder::new().connect_client(chain.rpc_client());
    chain.set_rpc_delay(Duration::from_millis(50));
    let begun = Instant::now();
    provider.get_block_number().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50));
    chain.clear_faults();
    assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::ZERO);
}

#[test]
fn trouble_can_be_ordered_over_rpc() {
    use serde_json::{Value, json};
    let chain = instant();
    let error = json!({"code": -32005, "message": "daily limit", "data": "0x01"});
    chain.ask::<Value>("dev_failNext", json!(["eth_blockNumber", 1, error]));
    let refused = chain.refuses("eth_blockNumber", json!([]));
    assert_eq!((refused.code, refused.message.as_str()), (-32005, "daily limit"));
    chain.ask::<Value>("eth_blockNumber", json!([]));
    chain.ask::<Value>("dev_failNext", json!(["eth_blockNumber", 5]));
    chain.ask::<Value>("dev_clearFaults", json!([]));
    chain.ask::<Value>("eth_blockNumber", json!([]));
    chain.ask::<Value>("dev_holdPending", json!([]));
    chain.send(&sign(0, draft(0))).unwrap();
    assert_eq!(chain.ask::<u64>("dev_dropPending", json!([])), 1);
    chain.ask::<Value>("dev_releasePending", json!([]));
    chain.ask::<Value>("dev_setLogLimits", json!([{"maxBlocks": 1}]));
    chain.mine(2);
    assert_eq!(
        chain.refuses("eth_getLogs", json!([{"fromBlock": "0x0"}])).code,
        -32005
    );
    let accounts: Vec<Value> = chain.ask("dev_accounts", json!([]));
    assert_eq!(accounts[0]["address"], json!(account(0).address));
}
