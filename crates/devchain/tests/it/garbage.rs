//! Whatever comes in, an answer or an error object goes out.

use crate::support::*;
use alloy::eips::eip2718::Encodable2718;
use haithe_devchain::{DevChain, Mining};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every method there is; interval mining is left out, as it would go on after the test.
const METHODS: &[&str] = &[
    "eth_chainId",
    "net_version",
    "net_listening",
    "net_peerCount",
    "web3_clientVersion",
    "web3_sha3",
    "eth_syncing",
    "eth_accounts",
    "eth_blockNumber",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByNumber",
    "eth_getUncleCountByBlockHash",
    "eth_getTransactionByHash",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getRawTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getBalance",
    "eth_getTransactionCount",
    "eth_getCode",
    "eth_getStorageAt",
    "eth_call",
    "eth_estimateGas",
    "eth_sendRawTransaction",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_feeHistory",
    "eth_getLogs",
    "eth_newFilter",
    "eth_newBlockFilter",
    "eth_newPendingTransactionFilter",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_uninstallFilter",
    "txpool_status",
    "txpool_content",
    "evm_mine",
    "evm_increaseTime",
    "evm_setNextBlockTimestamp",
    "evm_snapshot",
    "evm_revert",
    "evm_setAutomine",
    "anvil_setTime",
    "anvil_setBalance",
    "anvil_setNonce",
    "anvil_setCode",
    "anvil_setStorageAt",
    "anvil_setNextBlockBaseFeePerGas",
    "anvil_dropTransaction",
    "anvil_dropAllTransactions",
    "anvil_reorg",
    "anvil_rollback",
    "anvil_getAutomine",
    "dev_accounts",
    "dev_status",
    "dev_holdPending",
    "dev_releasePending",
    "dev_dropPending",
    "dev_reorg",
    "dev_failNext",
    "dev_loseAnswerNext",
    "dev_clearFaults",
    "dev_setLogLimits",
    "nonsense",
    "",
    "evm_",
    "dev_x",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0u64..300).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(u64::MAX)),
        "\\PC{0,12}".prop_map(Value::from),
        "0x[0-9a-f]{0,8}".prop_map(Value::from),
        "0x[0-9a-f]{40}".prop_map(Value::from),
        "0x[0-9a-f]{64}".prop_map(Value::from),
        "0x[0-9a-f]{65,90}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..80)
            .prop_map(|bytes| Value::from(alloy::primitives::Bytes::from(bytes).to_string())),
        prop_oneof![
            "latest",
            "pending",
            "earliest",
            "safe",
            "finalized",
            "drop",
            "replay",
            "requeue",
            "reorder"
        ]
        .prop_map(Value::from),
        Just(json!(account(0).address)),
        (0u64..3).prop_map(|nonce| json!(alloy::primitives::Bytes::from(
            sign(0, draft(nonce)).encoded_2718()
        ))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        "to",
        "from",
        "data",
        "input",
        "gas",
        "gasPrice",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
        "value",
        "nonce",
        "accessList",
        "authorizationList",
        "type",
        "fromBlock",
        "toBlock",
        "blockHash",
        "address",
        "topics",
        "blocks",
        "timestamp",
        "balance",
        "code",
        "state",
        "stateDiff",
        "number",
        "time",
        "baseFee",
        "maxBlocks",
        "maxResults",
        "message",
        "0x[0-9a-f]{40}",
    ];
    leaf().prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn calls() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let params = prop_oneof![
        4 => proptest::collection::vec(value(), 0..5).prop_map(Value::from),
        1 => value(),
    ];
    proptest::collection::vec((proptest::sample::select(METHODS), params), 1..12)
}

/// The chain still does its work.
fn still_works(chain: &DevChain) {
    chain.clear_faults();
    chain.release_pending();
    chain.drop_pending();
    chain.set_mining(Mining::Instant);
    chain.set_base_fee(haithe_devchain::GWEI);
    let from = account(7).address;
    chain.set_balance(from, haithe_devchain::DEMO_BALANCE).unwrap();
    chain.set_code(from, Default::default()).unwrap();
    chain.set_nonce(from, 0).unwrap();
    let head = chain.head().number;
    let hash = chain.send(&sign(7, draft(0))).unwrap();
    assert!(chain.receipt(hash).unwrap().status());
    assert_eq!(chain.head().number, head + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_call_breaks_the_chain(calls in calls()) {
        let chain = instant();
        for (method, params) in calls {
            if let Err(error) = chain.handle(method, &params) {
                prop_assert!(error.code == 3 || error.code <= -32_000 || method.starts_with("eth") || method.starts_with("dev"));
                prop_assert!(!error.message.is_empty());
                prop_assert!(error.message.len() < 4096, "{}", error.message);
            }
        }
        still_works(&chain);
    }

    #[test]
    fn no_transaction_bytes_break_the_chain(
        nonce in 0u64..3,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let chain = instant();
        let mut raw = sign(0, create_draft(nonce, STORE)).encoded_2718();
        for (place, byte) in flips {
            let place = place.index(raw.len());
            raw[place] = byte;
        }
        if !whole {
            raw.truncate(cut.index(raw.len()));
        }
        let _ = chain.handle("eth_sendRawTransaction", &json!([alloy::primitives::Bytes::from(raw)]));
        still_works(&chain);
    }

    #[test]
    fn no_code_breaks_the_chain(code in proptest::collection::vec(any::<u8>(), 1..200)) {
        let chain = instant();
        let _ = chain.handle("eth_call", &json!([{"data": alloy::primitives::Bytes::from(code.clone()), "gas": "0x100000"}]));
        let tx = sign(0, alloy::consensus::TxEip1559 { input: code.into(), ..create_draft(0, STORE) });
        let hash = chain.send(&tx);
        prop_assert!(hash.is_ok(), "{hash:?}");
        prop_assert!(chain.receipt(hash.unwrap()).is_some());
        chain.reorg(1, haithe_devchain::ReorgTxs::Drop).unwrap();
        prop_assert_eq!(chain.balance(account(0).address), haithe_devchain::DEMO_BALANCE);
        still_works(&chain);
    }
}

#[test]
fn the_list_of_methods_is_known_to_the_chain() {
    let chain = instant();
    for method in METHODS
        .iter()
        .filter(|m| !matches!(**m, "nonsense" | "" | "evm_" | "dev_x"))
    {
        if let Err(error) = chain.handle(method, &json!([])) {
            assert_ne!(error.code, -32_601, "{method}");
        }
    }
    for method in ["nonsense", "", "evm_", "dev_x"] {
        assert_eq!(chain.refuses(method, json!([])).code, -32_601);
    }
}
