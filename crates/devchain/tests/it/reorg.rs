//! Reorgs: blocks, state, receipts and logs go back together, and other blocks come.

use crate::support::*;
use alloy::{
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, U256},
    rpc::types::Log,
};
use haithe_devchain::{DevChain, ReorgTxs};
use serde_json::json;

/// A store contract and three blocks that set it to 1, 2, 3; the hashes of those transactions.
fn storied() -> (DevChain, Address, Vec<B256>) {
    let chain = instant();
    let store = chain.deploy(STORE);
    let hashes = (1..=3)
        .map(|n| chain.send(&sign(0, call_draft(n, store, word(n)))).unwrap())
        .collect();
    (chain, store, hashes)
}

fn logs(chain: &DevChain) -> Vec<Log> {
    chain.ask("eth_getLogs", json!([{"fromBlock": "0x0"}]))
}

fn hashes(chain: &DevChain) -> Vec<B256> {
    (0..=chain.head().number)
        .map(|number| chain.block(number).header.hash)
        .collect()
}

#[test]
fn a_reorg_rewinds_everything_and_replaces_the_blocks() {
    let (chain, store, txs) = storied();
    let before = hashes(&chain);
    let times: Vec<u64> = (0..=4).map(|n| chain.block(n).header.timestamp).collect();
    let balance = chain.ask::<U256>("eth_getBalance", json!([account(0).address, "0x2"]));

    chain.reorg(2, ReorgTxs::Drop).unwrap();

    let after = hashes(&chain);
    assert_eq!(after.len(), before.len());
    assert_eq!(after[..3], before[..3]);
    assert!(after[3] != before[3] && after[4] != before[4]);
    assert_eq!(
        times,
        (0..=4)
            .map(|n| chain.block(n).header.timestamp)
            .collect::<Vec<_>>()
    );
    assert_eq!(chain.slot(store, 0), U256::from(1));
    assert_eq!(chain.nonce(account(0).address), 2);
    assert_eq!(chain.balance(account(0).address), balance);
    assert_eq!(logs(&chain).len(), 1);
    assert!(chain.receipt(txs[0]).is_some());
    for gone in &txs[1..] {
        assert!(chain.receipt(*gone).is_none() && chain.transaction(*gone).is_none());
    }
    assert_eq!(
        chain.ask::<Option<serde_json::Value>>("eth_getBlockByHash", json!([before[4], false])),
        None
    );
    chain.send(&sign(0, call_draft(2, store, word(9)))).unwrap();
    assert_eq!(chain.slot(store, 0), U256::from(9));
}

#[test]
fn requeued_transactions_wait_and_are_mined_again_under_another_block() {
    let (chain, store, txs) = storied();
    let before = chain.receipt(txs[2]).unwrap();
    chain.reorg(2, ReorgTxs::Requeue).unwrap();
    assert_eq!((chain.pending(), chain.slot(store, 0)), (2, U256::from(1)));
    assert!(chain.transaction(txs[2]).unwrap().block_hash.is_none());
    chain.mine(1);
    let after = chain.receipt(txs[2]).unwrap();
    assert_eq!((after.block_number, after.transaction_index), (Some(5), Some(1)));
    assert_ne!(after.block_hash, before.block_hash);
    assert_eq!(chain.slot(store, 0), U256::from(3));
}

#[test]
fn replayed_transactions_keep_their_effect_in_a_block_with_another_hash() {
    let (chain, store, txs) = storied();
    let before = chain.receipt(txs[2]).unwrap();
    chain.reorg(1, ReorgTxs::Replay).unwrap();
    let after = chain.receipt(txs[2]).unwrap();
    assert_eq!(
        (after.block_number, after.gas_used),
        (before.block_number, before.gas_used)
    );
    assert_ne!(
        after.block_hash, before.block_hash,
        "same contents, same time, another block"
    );
    assert_eq!((chain.slot(store, 0), logs(&chain).len()), (U256::from(3), 3));
}

#[test]
fn reordered_transactions_come_later_and_the_other_way_round() {
    let chain = instant();
    let store = chain.deploy(STORE);
    let first = chain.send(&sign(1, call_draft(0, store, word(1)))).unwrap();
    let second = chain.send(&sign(2, call_draft(0, store, word(2)))).unwrap();
    assert_eq!(chain.slot(store, 0), U256::from(2));
    chain.reorg(2, ReorgTxs::Reorder).unwrap();
    assert_eq!(chain.block("latest").into_hashes_vec(), [second, first]);
    assert_eq!(chain.slot(store, 0), U256::from(1), "who came last is another");
}

#[test]
fn a_left_out_transaction_takes_its_successors_along() {
    let (chain, store, txs) = storied();
    let other = chain.send(&sign(1, draft(0))).unwrap();
    chain.reorg(4, ReorgTxs::Without(vec![txs[1]])).unwrap();
    assert!(chain.receipt(txs[0]).is_some() && chain.receipt(other).is_some());
    assert!(chain.receipt(txs[1]).is_none() && chain.receipt(txs[2]).is_none());
    assert_eq!(chain.slot(store, 0), U256::from(1));
}

#[test]
fn a_reorg_can_bring_transactions_nobody_saw_before() {
    let (chain, store, txs) = storied();
    let raw = |tx: alloy::consensus::TxEip1559| Bytes::from(sign(0, tx).encoded_2718());
    let other = raw(call_draft(2, store, word(22)));
    let later = raw(call_draft(3, store, word(33)));
    chain
        .reorg(
            2,
            ReorgTxs::Exactly(vec![vec![other.clone()], vec![later.clone()]]),
        )
        .unwrap();
    assert_eq!((chain.head().number, chain.slot(store, 0)), (4, U256::from(33)));
    assert!(chain.receipt(txs[1]).is_none());
    assert_eq!(
        chain.ask::<U256>("eth_getStorageAt", json!([store, "0x0", "0x3"])),
        U256::from(22)
    );

    chain.ask::<serde_json::Value>("anvil_reorg", json!([2, [[later, 1], [other, 0]]]));
    assert_eq!((chain.head().number, chain.slot(store, 0)), (4, U256::from(33)));
    assert_eq!(
        chain.refuses("anvil_reorg", json!([1, [["0x00", 1]]])).code,
        -32602
    );
    let head = chain.head();
    assert!(
        chain
            .reorg(1, ReorgTxs::Exactly(vec![vec![Bytes::from_static(b"junk")]]))
            .is_err()
    );
    assert_eq!(chain.head(), head, "a refused reorg changes nothing");
}

#[test]
fn deployed_contracts_vanish_and_come_back_at_the_same_address() {
    let chain = instant();
    let store = chain.deploy(STORE);
    chain.reorg(1, ReorgTxs::Drop).unwrap();
    assert_eq!(
        chain.ask::<Bytes>("eth_getCode", json!([store, "latest"])),
        Bytes::new()
    );
    assert_eq!(chain.deploy(STORE), store);
}

#[test]
fn the_chain_goes_back_256_blocks_and_not_further() {
    let chain = instant();
    let store = chain.deploy(STORE);
    chain.mine(299);
    let head = chain.head();
    assert!(
        chain
            .reorg(257, ReorgTxs::Drop)
            .unwrap_err()
            .message
            .contains("cannot go back 257 blocks")
    );
    assert!(chain.reorg(301, ReorgTxs::Drop).is_err());
    assert_eq!(chain.head(), head);
    chain.reorg(256, ReorgTxs::Drop).unwrap();
    assert_eq!(chain.head().number, 300);
    assert_ne!(chain.head(), head);
    chain.send(&sign(0, call_draft(1, store, word(5)))).unwrap();
    assert_eq!(chain.slot(store, 0), U256::from(5));
}

#[test]
fn a_rollback_shortens_the_chain() {
    let (chain, store, txs) = storied();
    chain.rollback(2).unwrap();
    assert_eq!((chain.head().number, chain.slot(store, 0)), (2, U256::from(1)));
    assert!(chain.receipt(txs[2]).is_none());
    assert!(chain.rollback(3).is_err());
    chain.rollback(0).unwrap();
}

#[test]
fn a_reorg_within_a_reorg_still_adds_up() {
    let (chain, store, _) = storied();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10 {
        chain.reorg(3, ReorgTxs::Replay).unwrap();
        assert!(seen.insert(chain.head().hash), "every fork is another chain");
        assert_eq!((chain.slot(store, 0), logs(&chain).len()), (U256::from(3), 3));
    }
    chain.reorg(4, ReorgTxs::Drop).unwrap();
    assert_eq!(chain.balance(account(0).address), haithe_devchain::DEMO_BALANCE);
    assert!(logs(&chain).is_empty());
}
