//! Base fee and fee history.

use crate::support::*;
use alloy::{consensus::TxEip1559, primitives::U256, rpc::types::FeeHistory};
use haithe_devchain::{DevChain, DevChainConfig, GWEI, Mining};
use serde_json::json;

fn base_fee(chain: &DevChain) -> u64 {
    chain.block("latest").header.base_fee_per_gas.unwrap()
}

#[test]
fn the_base_fee_rises_with_full_blocks_and_falls_to_its_floor() {
    let config = DevChainConfig {
        block_gas_limit: 42_000,
        ..config(Mining::Instant)
    };
    let chain = DevChain::start(config).unwrap();
    chain.hold_pending();
    let rich = |nonce| TxEip1559 {
        max_fee_per_gas: 50 * u128::from(GWEI),
        ..draft(nonce)
    };
    for nonce in 0..4 {
        chain.send(&sign(0, rich(nonce))).unwrap();
    }
    chain.release_pending();
    // Two full blocks: each raises the next fee by an eighth.
    chain.mine(1);
    assert_eq!(base_fee(&chain), GWEI + GWEI / 8 + (GWEI + GWEI / 8) / 8);
    chain.mine(10);
    assert_eq!(base_fee(&chain), GWEI);
}

#[test]
fn without_a_floor_an_idle_chain_gets_cheaper_by_an_eighth_per_block() {
    let chain = DevChain::start(DevChainConfig {
        min_base_fee: 0,
        ..config(Mining::Manual)
    })
    .unwrap();
    chain.mine(1);
    assert_eq!(base_fee(&chain), GWEI - GWEI / 8);
    chain.mine(500);
    assert!(base_fee(&chain) < 10);
}

#[test]
fn a_base_fee_can_be_set_and_decays_from_there() {
    let chain = manual();
    chain.set_base_fee(80 * GWEI);
    let price: U256 = chain.ask("eth_gasPrice", json!([]));
    assert_eq!(price, U256::from(80 * GWEI + 1_000_000));
    chain.mine(1);
    assert_eq!(base_fee(&chain), 80 * GWEI);
    chain.mine(1);
    assert_eq!(base_fee(&chain), 70 * GWEI);
    chain.ask::<serde_json::Value>("hardhat_setNextBlockBaseFeePerGas", json!(["0x5"]));
    chain.mine(1);
    assert_eq!(base_fee(&chain), 5);
}

#[test]
fn the_fee_history_shows_base_fees_fill_and_tips() {
    let chain = manual();
    let tip = |account: usize, gwei: u64| {
        let tx = TxEip1559 {
            max_priority_fee_per_gas: u128::from(gwei * GWEI),
            max_fee_per_gas: 100 * u128::from(GWEI),
            ..draft(0)
        };
        chain.send(&sign(account, tx)).unwrap();
    };
    (1..=4).for_each(|gwei| tip(gwei, gwei as u64));
    chain.mine(1);
    chain.set_base_fee(3 * GWEI);
    let history: FeeHistory = chain.ask("eth_feeHistory", json!(["0x2", "latest", [0, 50, 100]]));
    assert_eq!(history.oldest_block, 0);
    assert_eq!(history.base_fee_per_gas, [GWEI, GWEI, 3 * GWEI].map(u128::from));
    assert_eq!(history.gas_used_ratio, [0.0, 84_000.0 / 30_000_000.0]);
    let gwei = |list: [u64; 3]| list.map(|n| u128::from(n * GWEI)).to_vec();
    assert_eq!(history.reward, Some(vec![gwei([0, 0, 0]), gwei([1, 2, 4])]));

    let plain: FeeHistory = chain.ask("eth_feeHistory", json!([1, "0x0", null]));
    assert_eq!((plain.base_fee_per_gas.len(), plain.reward), (2, None));
    for bad in [
        json!([1, "latest", [50, 10]]),
        json!([1, "latest", [101]]),
        json!([1, "latest", vec![1; 101]]),
    ] {
        assert_eq!(chain.refuses("eth_feeHistory", bad).code, -32602);
    }
    assert!(
        chain
            .refuses("eth_feeHistory", json!([1, "0x99", []]))
            .message
            .contains("beyond head")
    );
    let many: FeeHistory = chain.ask("eth_feeHistory", json!(["0xffffffff", "latest", []]));
    assert_eq!(many.base_fee_per_gas.len(), 3);
}
