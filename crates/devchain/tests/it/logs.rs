//! `eth_getLogs` and the filters that are polled.

use crate::support::*;
use alloy::{
    primitives::{Address, B256, U64},
    rpc::types::Log,
};
use haithe_devchain::{DevChain, LogLimits, ReorgTxs};
use serde_json::{Value, json};

/// Two contracts; blocks 3 to 6 hold one log each: a(1) b(2) a(3) b(1).
fn logged() -> (DevChain, Address, Address) {
    let chain = instant();
    let (a, b) = (chain.deploy(STORE), chain.deploy(STORE));
    for (nonce, (to, value)) in (2..).zip([(a, 1), (b, 2), (a, 3), (b, 1)]) {
        chain.send(&sign(0, call_draft(nonce, to, word(value)))).unwrap();
    }
    (chain, a, b)
}

/// Numbers of the blocks whose logs match.
fn found(chain: &DevChain, filter: Value) -> Vec<u64> {
    chain
        .ask::<Vec<Log>>("eth_getLogs", json!([filter]))
        .iter()
        .map(|log| log.block_number.unwrap())
        .collect()
}

fn topic(value: u64) -> B256 {
    B256::from_slice(&word(value))
}

#[test]
fn addresses_and_topics_choose() {
    let (chain, a, b) = logged();
    let all = json!({"fromBlock": "earliest"});
    let with = |key: &str, value: Value| {
        let mut filter = all.clone();
        filter[key] = value;
        found(&chain, filter)
    };
    assert_eq!(found(&chain, all.clone()), [3, 4, 5, 6]);
    assert_eq!(with("address", json!(a)), [3, 5]);
    assert_eq!(with("address", json!([a, b])), [3, 4, 5, 6]);
    assert_eq!(with("address", json!([])), [3, 4, 5, 6]);
    assert_eq!(with("address", json!(NOBODY)), [0; 0]);
    assert_eq!(with("topics", json!([topic(1)])), [3, 6]);
    assert_eq!(with("topics", json!([[topic(1), topic(3)]])), [3, 5, 6]);
    assert_eq!(with("topics", json!([null])), [3, 4, 5, 6]);
    assert_eq!(
        with("topics", json!([null, topic(1)])),
        [0; 0],
        "there is only one topic"
    );
    assert_eq!(
        found(
            &chain,
            json!({"fromBlock": "0x0", "address": b, "topics": [topic(1)]})
        ),
        [6]
    );
}

#[test]
fn ranges_choose() {
    let (chain, ..) = logged();
    assert_eq!(found(&chain, json!({})), [6], "by default the newest block");
    assert_eq!(
        found(&chain, json!({"fromBlock": "0x4", "toBlock": "0x5"})),
        [4, 5]
    );
    assert_eq!(
        found(&chain, json!({"fromBlock": "0x5", "toBlock": "0xffff"})),
        [5, 6]
    );
    assert_eq!(
        found(&chain, json!({"fromBlock": "0x50", "toBlock": "0x60"})),
        [0; 0]
    );
    assert_eq!(
        found(&chain, json!({"blockHash": chain.block(4).header.hash})),
        [4]
    );
    assert_eq!(
        chain
            .refuses("eth_getLogs", json!([{"fromBlock": "0x5", "toBlock": "0x4"}]))
            .code,
        -32602
    );
    assert_eq!(
        chain
            .refuses("eth_getLogs", json!([{"blockHash": B256::ZERO}]))
            .message,
        "unknown block"
    );
    let both = json!([{"blockHash": B256::ZERO, "fromBlock": "0x1"}]);
    assert_eq!(chain.refuses("eth_getLogs", both).code, -32602);
}

#[test]
fn a_log_knows_where_it_is() {
    let (chain, a, _) = logged();
    let receipt = chain
        .receipt(
            *chain
                .block(5)
                .transactions
                .hashes()
                .collect::<Vec<_>>()
                .first()
                .unwrap(),
        )
        .unwrap();
    let logs: Vec<Log> = chain.ask("eth_getLogs", json!([{"fromBlock": "0x5", "toBlock": "0x5"}]));
    assert_eq!(logs, receipt.logs());
    let log = &logs[0];
    assert_eq!((log.address(), log.topics()), (a, [topic(3)].as_slice()));
    assert_eq!(log.block_hash, Some(chain.block(5).header.hash));
    assert_eq!(log.block_timestamp, Some(chain.block(5).header.timestamp));
    assert_eq!(
        (log.transaction_index, log.log_index, log.removed),
        (Some(0), Some(0), false)
    );
}

#[test]
fn logs_are_numbered_through_a_block() {
    let chain = instant();
    let store = chain.deploy(STORE);
    chain.hold_pending();
    for nonce in 1..4 {
        chain
            .send(&sign(0, call_draft(nonce, store, word(nonce))))
            .unwrap();
    }
    chain.release_pending();
    let logs: Vec<Log> = chain.ask("eth_getLogs", json!([{}]));
    let places: Vec<_> = logs
        .iter()
        .map(|l| (l.transaction_index.unwrap(), l.log_index.unwrap()))
        .collect();
    assert_eq!(places, [(0, 0), (1, 1), (2, 2)]);
}

#[test]
fn too_much_is_refused_when_limits_are_set() {
    let (chain, ..) = logged();
    let all = json!([{"fromBlock": "0x0"}]);
    chain.set_log_limits(LogLimits {
        max_blocks: Some(4),
        max_results: None,
    });
    let refused = chain.refuses("eth_getLogs", all.clone());
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (-32005, "query spans 7 blocks, exceeds max block range 4")
    );
    assert_eq!(found(&chain, json!({"fromBlock": "0x3"})), [3, 4, 5, 6]);
    chain.set_log_limits(LogLimits {
        max_blocks: None,
        max_results: Some(3),
    });
    assert_eq!(
        chain.refuses("eth_getLogs", all).message,
        "query returned more than 3 results"
    );
    assert_eq!(found(&chain, json!({"fromBlock": "0x4"})), [4, 5, 6]);
}

#[test]
fn a_filter_tells_each_thing_once_and_takes_back_what_a_reorg_undid() {
    let (chain, a, _) = logged();
    let id: U64 = chain.ask("eth_newFilter", json!([{"address": a}]));
    let changes = || chain.ask::<Vec<Log>>("eth_getFilterChanges", json!([id]));
    assert!(changes().is_empty(), "it begins with the next block");
    chain.send(&sign(0, call_draft(6, a, word(8)))).unwrap();
    let told = changes();
    assert_eq!(told.len(), 1);
    assert!(changes().is_empty());
    chain.reorg(1, ReorgTxs::Replay).unwrap();
    let again = changes();
    assert_eq!(again.len(), 2);
    assert_eq!(
        (again[0].removed, again[0].block_hash),
        (true, told[0].block_hash)
    );
    assert_eq!(
        (again[1].removed, again[1].transaction_hash),
        (false, told[0].transaction_hash)
    );
    assert_ne!(again[1].block_hash, told[0].block_hash);

    assert!(chain.ask::<bool>("eth_uninstallFilter", json!([id])));
    assert!(!chain.ask::<bool>("eth_uninstallFilter", json!([id])));
    assert_eq!(
        chain.refuses("eth_getFilterChanges", json!([id])).message,
        "filter not found"
    );
}

#[test]
fn blocks_and_pending_transactions_can_be_watched() {
    let chain = manual();
    let blocks: U64 = chain.ask("eth_newBlockFilter", json!([]));
    let pending: U64 = chain.ask("eth_newPendingTransactionFilter", json!([]));
    let hash = chain.send(&sign(0, draft(0))).unwrap();
    assert_eq!(
        chain.ask::<Vec<B256>>("eth_getFilterChanges", json!([pending])),
        [hash]
    );
    assert!(
        chain
            .ask::<Vec<B256>>("eth_getFilterChanges", json!([blocks]))
            .is_empty()
    );
    chain.mine(2);
    let told: Vec<B256> = chain.ask("eth_getFilterChanges", json!([blocks]));
    assert_eq!(told, [chain.block(1).header.hash, chain.block(2).header.hash]);
    chain.reorg(1, ReorgTxs::Drop).unwrap();
    assert_eq!(
        chain.ask::<Vec<B256>>("eth_getFilterChanges", json!([blocks])),
        [chain.head().hash]
    );
}

#[test]
fn forgotten_filters_make_room_for_new_ones() {
    let chain = manual();
    let first: U64 = chain.ask("eth_newBlockFilter", json!([]));
    let second: U64 = chain.ask("eth_newBlockFilter", json!([]));
    chain.ask::<Vec<B256>>("eth_getFilterChanges", json!([first]));
    for _ in 0..255 {
        chain.ask::<U64>("eth_newBlockFilter", json!([]));
    }
    chain.ask::<Vec<B256>>("eth_getFilterChanges", json!([first]));
    assert_eq!(
        chain.refuses("eth_getFilterChanges", json!([second])).message,
        "filter not found"
    );
}
