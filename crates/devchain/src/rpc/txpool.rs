//! What waits in the pool, in geth's `txpool_*` shapes.

use super::to_value;
use crate::{RpcError, node::Node, pool::Pooled, render};
use alloy::primitives::U64;
use serde_json::{Map, Value, json};

pub(super) fn status(node: &Node) -> Result<Value, RpcError> {
    let pending = node
        .pool
        .iter()
        .filter(|(sender, nonce, _)| is_next(node, sender, *nonce))
        .count();
    to_value(json!({"pending": U64::from(pending), "queued": U64::from(node.pool.len() - pending)}))
}

pub(super) fn content(node: &Node) -> Result<Value, RpcError> {
    let (mut pending, mut queued) = (Map::new(), Map::new());
    for (sender, nonce, tx) in node.pool.iter() {
        let side = if is_next(node, sender, nonce) {
            &mut pending
        } else {
            &mut queued
        };
        insert(side, &sender.to_checksum(None), nonce, tx)?;
    }
    Ok(json!({"pending": pending, "queued": queued}))
}

fn insert(side: &mut Map<String, Value>, sender: &str, nonce: u64, tx: &Pooled) -> Result<(), RpcError> {
    let of_sender = side.entry(sender).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(of_sender) = of_sender {
        of_sender.insert(nonce.to_string(), to_value(render::waiting(tx))?);
    }
    Ok(())
}

/// Whether no nonce is missing before this one.
fn is_next(node: &Node, sender: &alloy::primitives::Address, nonce: u64) -> bool {
    nonce < node.pool.next_nonce(sender, node.account(sender).nonce)
}
