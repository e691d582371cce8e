//! When blocks are made.

use crate::support::*;
use alloy::primitives::U64;
use haithe_devchain::{DevChain, Mining};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn an_interval_makes_empty_blocks_and_fills_them_when_there_is_something() {
    let chain = DevChain::start(config(Mining::Interval(Duration::from_millis(5)))).unwrap();
    until("three blocks were made", || chain.head().number >= 3);
    let hash = chain.send(&sign(0, draft(0))).unwrap();
    until("the transaction was mined", || chain.receipt(hash).is_some());
    let number = chain.receipt(hash).unwrap().block_number.unwrap();
    until("it was confirmed", || chain.head().number >= number + 3);
    assert!(chain.head_time() > GENESIS + 3);
}

/// Head and clock at one moment. In a time of its own a chain counts every tick of an interval,
/// with a block or without.
fn blocks_and_ticks(chain: &DevChain) -> (u64, u64) {
    let status: Value = chain.ask("dev_status", json!([]));
    (
        status["head"]["number"].as_u64().unwrap(),
        status["now"].as_u64().unwrap(),
    )
}

#[test]
fn an_idle_interval_slows_down_and_speeds_up_again() {
    let chain = DevChain::start(config(Mining::Interval(Duration::from_millis(1)))).unwrap();
    until("the chain became idle", || chain.head().number >= 70);
    let (number, time) = blocks_and_ticks(&chain);
    until("200 ticks passed", || chain.now() >= time + 200);
    let (later, then) = blocks_and_ticks(&chain);
    let (made, ticks) = (later - number, then - time);
    assert!(
        made.abs_diff(ticks / 12) <= 2,
        "every twelfth of {ticks} ticks makes a block: {made}"
    );

    let hash = chain.send(&sign(0, draft(0))).unwrap();
    until("it was mined", || chain.receipt(hash).is_some());
    let (number, time) = blocks_and_ticks(&chain);
    until("20 ticks passed", || chain.now() >= time + 20);
    let (later, then) = blocks_and_ticks(&chain);
    let busy = (then - time).min(60);
    assert!(
        later - number >= busy.min(20),
        "a block per tick again: {} in {busy}",
        later - number
    );
}

#[test]
fn the_pace_can_be_changed() {
    let chain = manual();
    let hash = chain.send(&sign(0, draft(0))).unwrap();
    assert!(chain.receipt(hash).is_none());
    chain.set_mining(Mining::Instant);
    assert!(
        chain.receipt(hash).is_some(),
        "instant mining begins with what waits"
    );
    chain.set_mining(Mining::Interval(Duration::from_millis(1)));
    until("blocks come by themselves", || chain.head().number > 3);
    chain.set_mining(Mining::Manual);
    let head = chain.head();
    chain.send(&sign(0, draft(1))).unwrap();
    assert_eq!(chain.head(), head);
    chain.mine(1);
    assert_eq!(chain.head().number, head.number + 1);
}

#[test]
fn the_pace_has_its_usual_methods() {
    let chain = instant();
    assert!(chain.ask::<bool>("anvil_getAutomine", json!([])));
    chain.ask::<Value>("evm_setAutomine", json!([false]));
    chain.send(&sign(0, draft(0))).unwrap();
    assert_eq!(chain.ask::<Value>("dev_status", json!([]))["pending"], 1);
    chain.ask::<Value>("evm_mine", json!([{"blocks": 2}]));
    assert_eq!(chain.ask::<U64>("eth_blockNumber", json!([])), U64::from(2));
    assert_eq!(chain.block(1).transactions.len(), 1);
    chain.ask::<Value>("evm_setIntervalMining", json!([3600]));
    assert_eq!(
        chain.ask::<Value>("dev_status", json!([]))["mining"],
        json!({"intervalMs": 3_600_000})
    );
    chain.ask::<Value>("evm_setIntervalMining", json!([0]));
    assert_eq!(chain.ask::<Value>("dev_status", json!([]))["mining"], "manual");
}

#[test]
fn accounts_can_be_edited_by_their_usual_methods() {
    let chain = instant();
    for prefix in ["anvil", "hardhat"] {
        chain.ask::<Value>(&format!("{prefix}_setBalance"), json!([NOBODY, "0x64"]));
        chain.ask::<Value>(&format!("{prefix}_setNonce"), json!([NOBODY, "0x5"]));
        chain.ask::<Value>(&format!("{prefix}_setCode"), json!([NOBODY, "0x5f"]));
        chain.ask::<Value>(&format!("{prefix}_setStorageAt"), json!([NOBODY, "0x1", word(9)]));
        assert_eq!((chain.balance(NOBODY).to::<u64>(), chain.nonce(NOBODY)), (100, 5));
        assert_eq!(chain.ask::<String>("eth_getCode", json!([NOBODY])), "0x5f");
        assert_eq!(chain.slot(NOBODY, 1).to::<u64>(), 9);
        chain.ask::<Value>(&format!("{prefix}_setCode"), json!([NOBODY, "0x"]));
        chain.ask::<Value>(&format!("{prefix}_setNonce"), json!([NOBODY, "0x0"]));
    }
    assert_eq!(
        chain.refuses("anvil_setCode", json!([NOBODY, "0xef0100"])).code,
        -32602
    );
    let head = chain.head();
    chain.mine(1);
    assert_ne!(
        chain.block("latest").header.state_root,
        chain.block(head.number).header.state_root
    );
}

#[test]
fn a_chain_ends_with_its_last_handle() {
    let chain = DevChain::start(config(Mining::Interval(Duration::from_millis(1)))).unwrap();
    let clone = chain.clone();
    drop(chain);
    until("the clone keeps it going", || clone.head().number > 2);
}
