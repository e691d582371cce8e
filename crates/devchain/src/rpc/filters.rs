//! Logs, asked for once or watched.

use super::{params::Params, to_value};
use crate::{
    RpcError,
    filters::{Changes, Watch},
    node::Node,
};
use alloy::{primitives::U64, rpc::types::Filter};
use serde_json::Value;

pub(super) fn logs(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    to_value(node.logs(&params.need::<Filter>(0, "filter")?)?)
}

pub(super) fn new_logs(node: &mut Node, params: &Params<'_>) -> Result<Value, RpcError> {
    install(node, Watch::Logs(Box::new(params.need(0, "filter")?)))
}

pub(super) fn new_blocks(node: &mut Node) -> Result<Value, RpcError> {
    install(node, Watch::Blocks)
}

pub(super) fn new_pending(node: &mut Node) -> Result<Value, RpcError> {
    install(node, Watch::Pending)
}

pub(super) fn changes(node: &mut Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let id = id(params)?;
    match node.filters.poll(id, &node.blocks) {
        Some(Changes::Logs(logs)) => to_value(logs),
        Some(Changes::Hashes(hashes)) => to_value(hashes),
        None => Err(not_found()),
    }
}

pub(super) fn all_logs(node: &Node, params: &Params<'_>) -> Result<Value, RpcError> {
    let filter = node.filters.log_filter(id(params)?).ok_or_else(not_found)?;
    to_value(node.logs(filter)?)
}

pub(super) fn uninstall(node: &mut Node, params: &Params<'_>) -> Result<Value, RpcError> {
    Ok(Value::Bool(node.filters.uninstall(id(params)?)))
}

fn install(node: &mut Node, watch: Watch) -> Result<Value, RpcError> {
    let head = node.head();
    to_value(U64::from(node.filters.install(watch, head)))
}

fn id(params: &Params<'_>) -> Result<u64, RpcError> {
    Ok(params.need::<U64>(0, "filter id")?.saturating_to())
}

fn not_found() -> RpcError {
    RpcError::refused("filter not found")
}
