//! Blocks are real: what they say of themselves can be computed from what they contain.

use crate::support::*;
use alloy::{
    consensus::{ReceiptEnvelope, TxEip2930, TxEnvelope, TxLegacy, proofs},
    primitives::{B256, Bloom, TxKind, U64, U256},
    rpc::types::TransactionReceipt,
};
use haithe_devchain::{DEFAULT_CHAIN_ID, DevChain, DevChainConfig, GWEI, Hardfork, Mining};
use serde_json::{Value, json};

/// A block with transactions of three types and four senders, one of which logs.
fn busy() -> DevChain {
    let chain = instant();
    let store = chain.deploy(STORE);
    chain.set_mining(Mining::Manual);
    let price = 2 * u128::from(GWEI);
    let legacy = TxLegacy {
        chain_id: Some(DEFAULT_CHAIN_ID),
        gas_price: price,
        gas_limit: 21_000,
        to: TxKind::Call(NOBODY),
        ..TxLegacy::default()
    };
    let listed = TxEip2930 {
        chain_id: DEFAULT_CHAIN_ID,
        gas_price: price,
        gas_limit: 30_000,
        to: TxKind::Call(NOBODY),
        ..TxEip2930::default()
    };
    chain.send(&sign_legacy(1, legacy)).unwrap();
    chain.send(&sign_2930(2, listed)).unwrap();
    chain.send(&sign(3, draft(0))).unwrap();
    chain.send(&sign(0, call_draft(1, store, word(7)))).unwrap();
    chain.mine(1);
    chain
}

#[test]
fn hashes_and_roots_follow_from_the_contents() {
    let chain = busy();
    let block = chain.block("latest");
    let header = block.header.inner.clone();
    assert_eq!(block.header.hash, header.hash_slow());
    assert_eq!(header.parent_hash, chain.block(header.number - 1).header.hash);

    let receipts: Vec<TransactionReceipt> = chain.ask("eth_getBlockReceipts", json!([block.header.hash]));
    let txs: Vec<TxEnvelope> = block
        .into_transactions_vec()
        .into_iter()
        .map(|tx| tx.into_inner())
        .collect();
    assert_eq!(txs.len(), 4);
    assert_eq!(header.transactions_root, proofs::calculate_transaction_root(&txs));

    let bare: Vec<ReceiptEnvelope> = receipts
        .iter()
        .map(|r| r.inner.clone().into_primitives_receipt())
        .collect();
    assert_eq!(header.receipts_root, proofs::calculate_receipt_root(&bare));
    let bloom = bare
        .iter()
        .fold(Bloom::ZERO, |sum, receipt| sum | *receipt.logs_bloom());
    assert_eq!(header.logs_bloom, bloom);
    assert_ne!(bloom, Bloom::ZERO);
    assert_eq!(header.gas_used, receipts.iter().map(|r| r.gas_used).sum::<u64>());
    assert_eq!(
        receipts.last().unwrap().inner.cumulative_gas_used(),
        header.gas_used
    );
}

#[test]
fn every_way_to_find_a_transaction_finds_the_same_one() {
    let chain = busy();
    let block = chain.block("latest");
    let (hash, number) = (block.header.hash, U64::from(block.header.number));
    for (index, tx) in block.into_transactions_vec().into_iter().enumerate() {
        let by_hash: Value = chain.ask("eth_getTransactionByHash", json!([tx.inner.tx_hash()]));
        assert_eq!(by_hash, serde_json::to_value(&tx).unwrap());
        let index = U64::from(index);
        assert_eq!(
            by_hash,
            chain.ask::<Value>("eth_getTransactionByBlockHashAndIndex", json!([hash, index]))
        );
        assert_eq!(
            by_hash,
            chain.ask::<Value>("eth_getTransactionByBlockNumberAndIndex", json!([number, index]))
        );
        let receipt = chain.receipt(*tx.inner.tx_hash()).unwrap();
        assert_eq!(
            (receipt.block_hash, receipt.from),
            (Some(hash), tx.inner.signer())
        );
        assert_eq!(Some(receipt.effective_gas_price), tx.effective_gas_price);
    }
    assert_eq!(
        chain.ask::<U64>("eth_getBlockTransactionCountByHash", json!([hash])),
        U64::from(4)
    );
    assert_eq!(
        chain.ask::<U64>("eth_getBlockTransactionCountByNumber", json!([number])),
        U64::from(4)
    );
    let hashes: Value = chain.ask("eth_getBlockByHash", json!([hash, false]));
    assert_eq!(hashes["transactions"].as_array().unwrap().len(), 4);
    assert!(hashes["transactions"][0].is_string());
}

#[test]
fn what_is_not_there_is_null() {
    let chain = instant();
    for (method, params) in [
        ("eth_getBlockByHash", json!([B256::ZERO, true])),
        ("eth_getBlockByNumber", json!(["0x64", true])),
        ("eth_getBlockReceipts", json!(["0x64"])),
        ("eth_getTransactionByHash", json!([B256::ZERO])),
        ("eth_getTransactionReceipt", json!([B256::ZERO])),
        (
            "eth_getTransactionByBlockNumberAndIndex",
            json!(["latest", "0x0"]),
        ),
        ("eth_getRawTransactionByHash", json!([B256::ZERO])),
    ] {
        assert_eq!(chain.ask::<Value>(method, params), Value::Null, "{method}");
    }
}

#[test]
fn fees_leave_the_sender_and_the_tip_reaches_the_block_producer() {
    let chain = instant();
    let (before, producer) = (
        chain.balance(account(0).address),
        chain.balance(Default::default()),
    );
    let receipt = chain.receipt(chain.send(&sign(0, draft(0))).unwrap()).unwrap();
    let base_fee = u128::from(chain.block("latest").header.base_fee_per_gas.unwrap());
    assert_eq!(receipt.effective_gas_price, base_fee + u128::from(GWEI));
    let fee = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    assert_eq!(before - chain.balance(account(0).address), fee + U256::from(1));
    assert_eq!(
        chain.balance(Default::default()) - producer,
        U256::from(21_000) * U256::from(GWEI)
    );
    assert_eq!(chain.balance(NOBODY), U256::from(1));
}

#[test]
fn a_reverted_transaction_is_mined_pays_and_leaves_no_logs() {
    let chain = instant();
    let revert = chain.deploy(REVERT);
    let receipt = chain
        .receipt(chain.send(&sign(0, call_draft(1, revert, word(1)))).unwrap())
        .unwrap();
    assert!(!receipt.status());
    assert!(receipt.logs().is_empty());
    assert_eq!(chain.nonce(account(0).address), 2);
}

#[test]
fn tags_mean_what_they_mean_elsewhere() {
    let config = DevChainConfig {
        safe_depth: 2,
        finalized_depth: 4,
        ..config(Mining::Manual)
    };
    let chain = DevChain::start(config).unwrap();
    assert_eq!(chain.block("finalized").header.number, 0);
    chain.mine(10);
    let numbers =
        ["earliest", "finalized", "safe", "latest", "pending"].map(|tag| chain.block(tag).header.number);
    assert_eq!(numbers, [0, 6, 8, 10, 11]);
    assert_eq!(chain.block("pending").header.parent_hash, chain.head().hash);
}

#[test]
fn old_states_can_be_asked_for_as_far_back_as_they_are_kept() {
    let chain = manual();
    for nonce in 0..300 {
        chain.send(&sign(0, draft(nonce))).unwrap();
        chain.mine(1);
    }
    for number in [300, 299, 200, 44] {
        let at = format!("0x{number:x}");
        assert_eq!(
            chain.ask::<U256>("eth_getBalance", json!([NOBODY, at])),
            U256::from(number)
        );
        assert_eq!(
            chain.ask::<U64>("eth_getTransactionCount", json!([account(0).address, at])),
            U64::from(number)
        );
        let hash = chain.block(number).header.hash;
        let by_hash = json!([NOBODY, {"blockHash": hash}]);
        assert_eq!(chain.ask::<U256>("eth_getBalance", by_hash), U256::from(number));
    }
    let refused = chain.refuses("eth_getBalance", json!([NOBODY, "0x2b"]));
    assert!(refused.message.contains("is not kept"), "{refused}");
    let refused = chain.refuses("eth_getBalance", json!([NOBODY, "0x12d"]));
    assert_eq!(refused.message, "header not found");
}

#[test]
fn the_same_transactions_make_the_same_chain() {
    let head = || {
        let chain = busy();
        chain.mine(3);
        chain.head()
    };
    assert_eq!(head(), head());
}

#[test]
fn every_hardfork_runs() {
    for hardfork in [Hardfork::Cancun, Hardfork::Prague, Hardfork::Osaka] {
        let chain = DevChain::start(DevChainConfig {
            hardfork,
            ..config(Mining::Instant)
        })
        .unwrap();
        let store = chain.deploy(STORE);
        chain.send(&sign(0, call_draft(1, store, word(5)))).unwrap();
        assert_eq!(chain.slot(store, 0), U256::from(5));
        let prague = chain.block("latest").header.requests_hash.is_some();
        assert_eq!(prague, hardfork != Hardfork::Cancun);
    }
}

#[test]
fn the_node_introduces_itself() {
    let chain = instant();
    assert_eq!(
        chain.ask::<U64>("eth_chainId", json!([])),
        U64::from(DEFAULT_CHAIN_ID)
    );
    assert_eq!(
        chain.ask::<String>("net_version", Value::Null),
        DEFAULT_CHAIN_ID.to_string()
    );
    assert!(
        chain
            .ask::<String>("web3_clientVersion", json!([]))
            .starts_with("haithe-devchain/v")
    );
    assert_eq!(chain.ask::<Value>("eth_syncing", json!([])), json!(false));
    assert_eq!(
        chain.ask::<Value>("eth_accounts", json!([])),
        json!([]),
        "the node holds no keys"
    );
    let hash: B256 = chain.ask("web3_sha3", json!(["0x68656c6c6f"]));
    assert_eq!(hash, alloy::primitives::keccak256("hello"));
}
