//! Accounts, calls and new transactions.

use super::{params::Params, to_value};
use crate::{
    RpcError,
    execute::View,
    node::{At, Node},
    simulate::Question,
};
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, U64, U256},
};
use revm::bytecode::Bytecode;
use serde_json::Value;

pub(super) fn balance(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let address: Address = params.need(0, "address")?;
    read(node, params.block(1)?, |view| {
        view.account(&address)
            .map(|account| account.balance)
            .unwrap_or_default()
    })
}

pub(super) fn nonce(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let address: Address = params.need(0, "address")?;
    let id = params.block(1)?;
    if id.is_pending() {
        return to_value(U64::from(
            node.pool.next_nonce(&address, node.account(&address).nonce),
        ));
    }
    read(node, id, |view| {
        U64::from(view.account(&address).map_or(0, |account| account.nonce))
    })
}

pub(super) fn code(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let address: Address = params.need(0, "address")?;
    read(node, params.block(1)?, |view| {
        let code = view.account(&address).and_then(|account| account.code.as_ref());
        code.map(Bytecode::original_bytes).unwrap_or_default()
    })
}

pub(super) fn storage(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let address: Address = params.need(0, "address")?;
    let slot: U256 = params.need(1, "slot")?;
    read(node, params.block(2)?, |view| {
        B256::from(view.slot(&address, &slot))
    })
}

pub(super) fn call(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    to_value(node.call(&question(params)?, params.block(1)?)?)
}

pub(super) fn estimate(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let id = params.get(1, "block")?.unwrap_or(BlockId::pending());
    to_value(U64::from(node.estimate(&question(params)?, id)?))
}

pub(super) fn send(node: &mut Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let raw: Bytes = params.need(0, "raw transaction")?;
    let hash = node.submit(&raw)?;
    node.mine_instantly();
    to_value(hash)
}

fn question(params: &Params<'_>) -> Result<Question, RpcError> {
    Ok(Question {
        request: params.need(0, "transaction")?,
        state: params.get(2, "state overrides")?.unwrap_or_default(),
        block: params.get(3, "block overrides")?.unwrap_or_default(),
    })
}

/// Reads the state of a block; the pending one shows accounts as the newest block left them.
fn read<T: serde::Serialize>(
    node: &Node,
    id: BlockId,
    look: impl FnOnce(&View<'_>) -> T,
) -> Result<Value, RpcError> {
    let number = match node.at(id)? {
        At::Block(number) => number,
        At::Pending => node.head(),
    };
    let overlay = node.overlay(number)?;
    to_value(look(&View {
        overlay: overlay.as_ref(),
        ..node.latest()
    }))
}
