//! Blocks, transactions and receipts.

use super::{params::Params, to_value};
use crate::{RpcError, execute, node::Node, render};
use alloy::{
    consensus::Header,
    eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718},
    primitives::{B256, Bytes, U64},
    rpc::types::TransactionReceipt,
};
use serde_json::{Value, json};

pub(super) fn by_number(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let tag: BlockNumberOrTag = params.need(0, "block")?;
    let full = params.get(1, "full transactions")?.unwrap_or(false);
    if tag.is_pending() {
        return pending(node, full);
    }
    to_value(
        node.number_of(tag)
            .and_then(|number| render::block(&node.blocks, number, full)),
    )
}

pub(super) fn by_hash(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let hash: B256 = params.need(0, "block hash")?;
    let full = params.get(1, "full transactions")?.unwrap_or(false);
    to_value(
        node.blocks
            .number_of(&hash)
            .and_then(|number| render::block(&node.blocks, number, full)),
    )
}

pub(super) fn receipts(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let Some(number) = find(node, params)? else {
        return Ok(Value::Null);
    };
    let mined = node.blocks.transactions(number).iter().enumerate();
    let receipts: Vec<TransactionReceipt> = mined
        .map(|(index, mined)| render::receipt(&node.blocks, number, index, mined))
        .collect();
    to_value(receipts)
}

pub(super) fn count(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    to_value(find(node, params)?.map(|number| U64::from(node.blocks.transactions(number).len())))
}

pub(super) fn uncles(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    Ok(find(node, params)?.map_or(Value::Null, |_| json!("0x0")))
}

pub(super) fn transaction(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let hash: B256 = params.need(0, "transaction hash")?;
    match node.blocks.transaction(&hash) {
        Some((number, index, mined)) => to_value(render::transaction(&node.blocks, number, index, mined)),
        None => to_value(node.pool.get(&hash).map(render::waiting)),
    }
}

pub(super) fn transaction_at(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let Some(number) = find(node, params)? else {
        return Ok(Value::Null);
    };
    let index: usize = params.need::<U64>(1, "index")?.saturating_to();
    let mined = node.blocks.transactions(number).get(index);
    to_value(mined.map(|mined| render::transaction(&node.blocks, number, index, mined)))
}

pub(super) fn raw_transaction(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let hash: B256 = params.need(0, "transaction hash")?;
    let mined = node.blocks.transaction(&hash).map(|(_, _, mined)| &mined.tx);
    to_value(
        mined
            .or_else(|| node.pool.get(&hash))
            .map(|tx| Bytes::from(tx.encoded_2718())),
    )
}

pub(super) fn receipt(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let hash: B256 = params.need(0, "transaction hash")?;
    let found = node.blocks.transaction(&hash);
    to_value(found.map(|(number, index, mined)| render::receipt(&node.blocks, number, index, mined)))
}

/// The block the first parameter names, by number, tag or hash.
fn find(node: &Node, params: &Params<'_>) -> Result<Option<u64>, RpcError> {
    Ok(match params.need::<BlockId>(0, "block")? {
        BlockId::Number(tag) => node.number_of(tag),
        BlockId::Hash(hash) => node.blocks.number_of(&hash.block_hash),
    })
}

/// The block that would be made now. Its transactions have not run, so it has no roots yet.
fn pending(node: &Node, full: bool) -> Result<Value, RpcError> {
    let slot = node.next_slot();
    let txs = node.ready(&slot);
    let parent = node.blocks.header(node.head()).unwrap_or_default();
    let parent_hash = node.blocks.hash(node.head()).unwrap_or_default();
    let env = execute::block_env(node.blocks.genesis(), &slot, &parent_hash);
    let header = Header {
        parent_hash,
        number: slot.number,
        timestamp: slot.timestamp,
        base_fee_per_gas: Some(slot.base_fee),
        mix_hash: env.prevrandao.unwrap_or_default(),
        transactions_root: Header::default().transactions_root,
        receipts_root: Header::default().receipts_root,
        logs_bloom: Default::default(),
        gas_used: 0,
        ..parent
    };
    to_value(render::draft(header, &txs, full))
}
