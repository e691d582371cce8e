//! Methods that bend the chain: the names of hardhat and anvil, and `dev_*` for what they lack.

use super::{params::Params, to_value};
use crate::{DevChain, LogLimits, Mining, ReorgTxs, RpcError, demo_accounts};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Most blocks one call makes.
const MAX_BLOCKS: u64 = 100_000;

/// Answers a control method; `None` when `method` is none.
pub(super) fn handle(chain: &DevChain, method: &str, params: &Params<'_>) -> Option<Result<Value, RpcError>> {
    // `hardhat_x` and `anvil_x` mean the same.
    let name = method
        .strip_prefix("hardhat_")
        .or_else(|| method.strip_prefix("anvil_"));
    let known = match name {
        Some(name) => named(chain, name, params),
        None => match method.strip_prefix("evm_") {
            Some(name) => evm(chain, name, params),
            None => dev(chain, method.strip_prefix("dev_")?, params),
        },
    };
    known.transpose()
}

type Known = Result<Option<Value>, RpcError>;

fn evm(chain: &DevChain, name: &str, params: &Params<'_>) -> Known {
    Ok(Some(match name {
        "mine" => {
            let options: MineOptions = params.get(0, "options")?.unwrap_or_default();
            let (blocks, timestamp) = options.parts();
            if let Some(timestamp) = timestamp {
                chain.set_next_timestamp(timestamp)?;
            }
            mine(chain, blocks, None)?;
            json!("0x0")
        }
        "increaseTime" => {
            let seconds = seconds(params, 0)?;
            chain.node().advance(seconds);
            json!(seconds)
        }
        "setNextBlockTimestamp" => {
            chain.set_next_timestamp(seconds(params, 0)?)?;
            Value::Null
        }
        "snapshot" => to_value(U64::from(chain.snapshot()))?,
        "revert" => json!(chain.revert(seconds(params, 0)?)),
        "setAutomine" => {
            let instant: bool = params.need(0, "enabled")?;
            chain.set_mining(if instant { Mining::Instant } else { Mining::Manual });
            json!(true)
        }
        "setIntervalMining" => {
            set_interval(chain, params)?;
            Value::Null
        }
        _ => return Ok(None),
    }))
}

fn named(chain: &DevChain, name: &str, params: &Params<'_>) -> Known {
    Ok(Some(match name {
        "mine" => {
            let blocks = params.get::<U256>(0, "blocks")?.map_or(1, |n| n.saturating_to());
            let interval = params
                .get::<U256>(1, "seconds between blocks")?
                .map(|n| n.saturating_to());
            mine(chain, blocks, interval)?;
            Value::Null
        }
        "snapshot" | "revert" | "increaseTime" | "setNextBlockTimestamp" => return evm(chain, name, params),
        "setTime" => {
            let moment = seconds(params, 0)?;
            chain.node().edit_clock(|clock| clock.set(moment));
            Value::Null
        }
        "setAutomine" | "setIntervalMining" => return evm(chain, name, params),
        "getAutomine" => json!(chain.node().mining == Mining::Instant),
        "setBalance" => {
            chain.set_balance(params.need(0, "address")?, params.need(1, "balance")?)?;
            json!(true)
        }
        "setNonce" => {
            chain.set_nonce(params.need(0, "address")?, seconds(params, 1)?)?;
            json!(true)
        }
        "setCode" => {
            chain.set_code(params.need(0, "address")?, params.need(1, "code")?)?;
            json!(true)
        }
        "setStorageAt" => {
            let (address, slot): (Address, U256) = (params.need(0, "address")?, params.need(1, "slot")?);
            chain.set_storage(address, slot, params.need(2, "value")?)?;
            json!(true)
        }
        "setNextBlockBaseFeePerGas" => {
            chain.set_base_fee(seconds(params, 0)?);
            Value::Null
        }
        "dropTransaction" => {
            let hash: B256 = params.need(0, "transaction hash")?;
            to_value(chain.drop_transaction(hash).then_some(hash))?
        }
        "dropAllTransactions" => {
            chain.drop_pending();
            Value::Null
        }
        "reorg" => {
            let depth = params.need::<U64>(0, "depth")?.saturating_to();
            let pairs: Vec<(Bytes, u64)> = params
                .get(1, "raw transactions with their block")?
                .unwrap_or_default();
            chain.reorg(depth, exactly(depth, pairs)?)?;
            Value::Null
        }
        "rollback" => {
            chain.rollback(params.get::<U64>(0, "depth")?.map_or(1, |n| n.saturating_to()))?;
            Value::Null
        }
        _ => return Ok(None),
    }))
}

fn dev(chain: &DevChain, name: &str, params: &Params<'_>) -> Known {
    Ok(Some(match name {
        "accounts" => demo_accounts()
            .iter()
            .map(|a| json!({"address": a.address, "privateKey": a.key}))
            .collect::<Value>(),
        "status" => status(chain),
        "holdPending" => {
            chain.hold_pending();
            Value::Null
        }
        "releasePending" => {
            chain.release_pending();
            Value::Null
        }
        "dropPending" => json!(chain.drop_pending()),
        "reorg" => {
            let depth = params.need::<U64>(0, "depth")?.saturating_to();
            let keep: Keep = params
                .get(1, "drop, requeue, replay or reorder")?
                .unwrap_or(Keep::Drop);
            chain.reorg(depth, keep.into())?;
            Value::Null
        }
        "setRpcDelay" => {
            chain.set_rpc_delay(Duration::from_millis(seconds(params, 0)?));
            Value::Null
        }
        "failNext" => {
            let method: String = params.need(0, "method")?;
            let times = params.get(1, "times")?.unwrap_or(1);
            let error: Failure = params.get(2, "error")?.unwrap_or_default();
            chain.fail_next(
                &method,
                times,
                RpcError {
                    code: error.code,
                    message: error.message,
                    data: error.data,
                },
            );
            Value::Null
        }
        "loseAnswerNext" => {
            let method: String = params.need(0, "method")?;
            chain.lose_answer_next(&method, params.get(1, "times")?.unwrap_or(1));
            Value::Null
        }
        "clearFaults" => {
            chain.clear_faults();
            Value::Null
        }
        "setLogLimits" => {
            let limits: Limits = params.need(0, "limits")?;
            chain.set_log_limits(LogLimits {
                max_blocks: limits.max_blocks,
                max_results: limits.max_results,
            });
            Value::Null
        }
        _ => return Ok(None),
    }))
}

/// One look at the chain: everything in it was true at the same moment.
fn status(chain: &DevChain) -> Value {
    let node = chain.node();
    let head = node.head();
    let mining = match node.mining {
        Mining::Instant => json!("instant"),
        Mining::Manual => json!("manual"),
        Mining::Interval(interval) => {
            json!({"intervalMs": u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)})
        }
    };
    json!({
        "head": {"number": head, "hash": node.blocks.hash(head), "timestamp": node.blocks.timestamp(head)},
        "now": node.clock.now(),
        "mining": mining,
        "pending": node.pool.len(),
        "holding": node.holding,
    })
}

fn mine(chain: &DevChain, blocks: u64, interval: Option<u64>) -> Result<(), RpcError> {
    if blocks > MAX_BLOCKS {
        return Err(RpcError::params(format!("at most {MAX_BLOCKS} blocks at once")));
    }
    chain.node().writable()?;
    for index in 0..blocks {
        if let Some(interval) = interval.filter(|_| index > 0) {
            chain.node().advance(interval);
            chain.set_next_timestamp(chain.head_time().saturating_add(interval.max(1)))?;
        }
        chain.mine(1);
    }
    Ok(())
}

fn set_interval(chain: &DevChain, params: &Params<'_>) -> Result<(), RpcError> {
    chain.set_mining(match seconds(params, 0)? {
        0 => Mining::Manual,
        seconds => Mining::Interval(Duration::from_secs(seconds)),
    });
    Ok(())
}

/// anvil's pairs of transaction and block, block by block.
fn exactly(depth: u64, pairs: Vec<(Bytes, u64)>) -> Result<ReorgTxs, RpcError> {
    let mut blocks: Vec<Vec<Bytes>> = Vec::new();
    for (raw, block) in pairs {
        if block >= depth {
            return Err(RpcError::params(format!(
                "block {block} is not among the {depth} replaced ones"
            )));
        }
        let block = usize::try_from(block).unwrap_or(usize::MAX);
        while blocks.len() <= block {
            blocks.push(Vec::new());
        }
        blocks
            .get_mut(block)
            .into_iter()
            .for_each(|txs| txs.push(raw.clone()));
    }
    Ok(ReorgTxs::Exactly(blocks))
}

/// A whole number, as JSON number or hex string.
fn seconds(params: &Params<'_>, index: usize) -> Result<u64, RpcError> {
    let number: U256 = params.need(index, "number")?;
    u64::try_from(number).map_err(|_| RpcError::params(format!("argument {index} is too large")))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Timestamp(U64),
    Options {
        blocks: Option<U64>,
        timestamp: Option<U64>,
    },
}

impl Default for MineOptions {
    fn default() -> Self {
        Self::Options {
            blocks: None,
            timestamp: None,
        }
    }
}

impl MineOptions {
    fn parts(self) -> (u64, Option<u64>) {
        match self {
            Self::Timestamp(timestamp) => (1, Some(timestamp.saturating_to())),
            Self::Options { blocks, timestamp } => (
                blocks.map_or(1, |n| n.saturating_to()),
                timestamp.map(|t| t.saturating_to()),
            ),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Keep {
    Drop,
    Requeue,
    Replay,
    Reorder,
}

impl From<Keep> for ReorgTxs {
    fn from(keep: Keep) -> Self {
        match keep {
            Keep::Drop => Self::Drop,
            Keep::Requeue => Self::Requeue,
            Keep::Replay => Self::Replay,
            Keep::Reorder => Self::Reorder,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Failure {
    code: i64,
    message: String,
    data: Option<Bytes>,
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            code: -32_603,
            message: "internal error (on purpose)".to_owned(),
            data: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limits {
    max_blocks: Option<u64>,
    max_results: Option<usize>,
}
