//! What gas costs.

use super::{params::Params, to_value};
use crate::{RpcError, blocks::Blocks, node::Node};
use alloy::{
    consensus::Transaction,
    eips::BlockNumberOrTag,
    primitives::{U64, U128},
    rpc::types::FeeHistory,
};
use serde_json::Value;

/// The tip suggested to anyone who asks, in wei per gas: 0.001 gwei, as nobody competes here.
pub(super) const SUGGESTED_TIP: U128 = U128::from_limbs([1_000_000, 0]);

/// Most blocks one `eth_feeHistory` covers, and most percentiles it takes (geth's limits).
const MAX_BLOCKS: u64 = 1024;
const MAX_PERCENTILES: usize = 100;

pub(super) fn gas_price(node: &Node) -> Result<Value, RpcError> {
    to_value(U128::from(node.next_slot().base_fee).saturating_add(SUGGESTED_TIP))
}

pub(super) fn history(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let count: u64 = params.need::<U64>(0, "block count")?.saturating_to();
    let newest: BlockNumberOrTag = params.need(1, "newest block")?;
    let percentiles: Vec<f64> = params.get(2, "reward percentiles")?.unwrap_or_default();
    if percentiles.len() > MAX_PERCENTILES {
        return Err(RpcError::params(format!(
            "over the query limit {MAX_PERCENTILES} of reward percentiles"
        )));
    }
    let ordered = percentiles.is_sorted() && percentiles.iter().all(|p| (0.0..=100.0).contains(p));
    if !ordered {
        return Err(RpcError::params(
            "invalid reward percentile: from 0 to 100, ascending",
        ));
    }
    let newest = node
        .number_of(newest)
        .ok_or_else(|| RpcError::refused("request beyond head block"))?;
    let oldest = (newest + 1).saturating_sub(count.min(MAX_BLOCKS));
    let mut history = FeeHistory {
        oldest_block: oldest,
        ..Default::default()
    };
    if count == 0 {
        return to_value(history);
    }
    let gas_limit = node.blocks.genesis().block_gas_limit;
    let mut rewards = Vec::new();
    for number in oldest..=newest {
        let base_fee = node.blocks.slot(number).map_or(0, |slot| slot.base_fee);
        let gas_used = node.blocks.body(number).map_or(0, |body| body.gas_used);
        history.base_fee_per_gas.push(u128::from(base_fee));
        history.gas_used_ratio.push(gas_used as f64 / gas_limit as f64);
        rewards.push(tips(&node.blocks, number, base_fee, gas_used, &percentiles));
    }
    let next = if newest == node.head() {
        node.next_slot().base_fee
    } else {
        node.blocks.base_fee_after(newest)
    };
    history.base_fee_per_gas.push(u128::from(next));
    history.reward = (!percentiles.is_empty()).then_some(rewards);
    to_value(history)
}

/// The tips at the given percentiles of a block's gas; zeros for an empty block.
fn tips(blocks: &Blocks, number: u64, base_fee: u64, gas_used: u64, percentiles: &[f64]) -> Vec<u128> {
    let mut paid: Vec<(u128, u64)> = blocks
        .transactions(number)
        .iter()
        .map(|mined| {
            (
                mined.tx.effective_tip_per_gas(base_fee).unwrap_or_default(),
                mined.gas_used,
            )
        })
        .collect();
    paid.sort_unstable();
    let tip_at = |percentile: &f64| {
        let threshold = (gas_used as f64 * percentile / 100.0) as u64;
        let mut sum = 0;
        let reached = paid.iter().find(|(_, gas)| {
            sum += gas;
            sum >= threshold
        });
        reached.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(tip_at).collect()
}
