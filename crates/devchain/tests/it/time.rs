//! Time travel, as contracts see it.

use crate::support::*;
use alloy::primitives::{Bytes, U256};
use haithe_devchain::{DevChain, DevChainConfig, Mining};
use serde_json::{Value, json};

fn seen_by_contract(chain: &DevChain, clock: alloy::primitives::Address, block: &str) -> u64 {
    U256::from_be_slice(&chain.ask::<Bytes>("eth_call", json!([{"to": clock}, block]))).to()
}

#[test]
fn advancing_is_visible_to_contracts_at_once() {
    let chain = instant();
    let clock = chain.deploy(&returns(TIMESTAMP));
    let before = chain.head_time();
    chain.advance_time(86_400);
    assert!(seen_by_contract(&chain, clock, "latest") >= before + 86_400);
    assert_eq!(chain.head().number, 2, "a block carries the new time");
}

#[test]
fn increase_time_shows_in_the_next_block() {
    let chain = instant();
    let clock = chain.deploy(&returns(TIMESTAMP));
    let before = chain.head_time();
    chain.ask::<Value>("evm_increaseTime", json!([3600]));
    assert_eq!(seen_by_contract(&chain, clock, "latest"), before);
    assert_eq!(seen_by_contract(&chain, clock, "pending"), before + 3600);
    chain.ask::<Value>("evm_mine", json!([]));
    assert_eq!(chain.head_time(), before + 3600);
}

#[test]
fn the_next_block_gets_exactly_the_time_it_was_given() {
    let chain = instant();
    chain.ask::<Value>("evm_setNextBlockTimestamp", json!([GENESIS + 500]));
    chain.send(&sign(0, draft(0))).unwrap();
    assert_eq!(chain.head_time(), GENESIS + 500);
    chain.ask::<Value>("evm_mine", json!([{"timestamp": GENESIS + 700}]));
    assert_eq!(chain.head_time(), GENESIS + 700);
    chain.mine(1);
    assert_eq!(chain.head_time(), GENESIS + 701);
    let refused = chain.refuses("evm_setNextBlockTimestamp", json!([GENESIS + 701]));
    assert_eq!(refused.code, -32602);
}

#[test]
fn every_block_is_later_than_its_parent() {
    let chain = manual();
    chain.mine(20);
    for number in 1..=20 {
        assert_eq!(
            chain.block(number).header.timestamp,
            chain.block(number - 1).header.timestamp + 1
        );
    }
}

#[test]
fn many_blocks_can_be_made_at_a_distance() {
    let chain = manual();
    chain.ask::<Value>("hardhat_mine", json!(["0x5", "0x3c"]));
    let times: Vec<u64> = (1..=5).map(|n| chain.block(n).header.timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 60), "{times:?}");
    assert_eq!(chain.refuses("anvil_mine", json!(["0xffffffffff"])).code, -32602);
}

#[test]
fn advancing_counts_from_the_newest_block_when_the_chain_is_ahead_of_its_clock() {
    let chain = DevChain::start(DevChainConfig {
        mining: Mining::Manual,
        ..DevChainConfig::default()
    })
    .unwrap();
    chain.mine(500);
    let head = chain.head_time();
    assert!(head > chain.now(), "blocks are a second apart");
    chain.advance_time(60);
    assert!(chain.head_time() >= head + 60);
}

#[test]
fn a_chain_without_a_genesis_time_follows_the_machine() {
    let chain = DevChain::start(DevChainConfig {
        mining: Mining::Manual,
        ..DevChainConfig::default()
    })
    .unwrap();
    let (genesis, now) = (chain.block(0).header.timestamp, chain.now());
    assert!(now >= genesis && now - genesis < 5 && now > 1_700_000_000);
    chain.advance_time(1_000_000);
    assert!((chain.now() - now).abs_diff(1_000_000) < 5);
}
