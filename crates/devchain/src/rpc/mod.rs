//! JSON-RPC: the table of methods.

mod blocks;
mod control;
mod fees;
mod filters;
mod params;
mod state;
mod txpool;

use crate::{DevChain, RpcError};
use alloy::primitives::{Bytes, U64, keccak256};
use params::Params;
use serde_json::{Value, json};

/// What `web3_clientVersion` says.
const CLIENT: &str = concat!("haithe-devchain/v", env!("CARGO_PKG_VERSION"));

/// Answers one call.
pub(crate) fn handle(chain: &DevChain, method: &str, params: &Value) -> Result<Value, RpcError> {
    let params = Params::new(params)?;
    if let Some(answer) = control::handle(chain, method, &params) {
        return answer;
    }
    let node = &mut *chain.node();
    match method {
        "eth_chainId" => to_value(U64::from(chain.chain_id())),
        "net_version" => Ok(json!(chain.chain_id().to_string())),
        "net_listening" => Ok(json!(true)),
        "net_peerCount" => Ok(json!("0x0")),
        "web3_clientVersion" => Ok(json!(CLIENT)),
        "web3_sha3" => to_value(keccak256(params.need::<Bytes>(0, "data")?)),
        "eth_syncing" => Ok(json!(false)),
        "eth_accounts" => Ok(json!([])),

        "eth_blockNumber" => to_value(U64::from(node.head())),
        "eth_getBlockByNumber" => blocks::by_number(node, &params),
        "eth_getBlockByHash" => blocks::by_hash(node, &params),
        "eth_getBlockReceipts" => blocks::receipts(node, &params),
        "eth_getBlockTransactionCountByNumber" | "eth_getBlockTransactionCountByHash" => {
            blocks::count(node, &params)
        }
        "eth_getUncleCountByBlockNumber" | "eth_getUncleCountByBlockHash" => blocks::uncles(node, &params),
        "eth_getTransactionByHash" => blocks::transaction(node, &params),
        "eth_getTransactionByBlockNumberAndIndex" | "eth_getTransactionByBlockHashAndIndex" => {
            blocks::transaction_at(node, &params)
        }
        "eth_getRawTransactionByHash" => blocks::raw_transaction(node, &params),
        "eth_getTransactionReceipt" => blocks::receipt(node, &params),

        "eth_getBalance" => state::balance(node, &params),
        "eth_getTransactionCount" => state::nonce(node, &params),
        "eth_getCode" => state::code(node, &params),
        "eth_getStorageAt" => state::storage(node, &params),
        "eth_call" => state::call(node, &params),
        "eth_estimateGas" => state::estimate(node, &params),
        "eth_sendRawTransaction" => state::send(node, &params),

        "eth_sendTransaction"
        | "eth_signTransaction"
        | "eth_sign"
        | "eth_signTypedData_v4"
        | "personal_sign" => Err(RpcError::refused(
            "unknown account: the node holds no keys; sign and use eth_sendRawTransaction",
        )),

        "eth_gasPrice" => fees::gas_price(node),
        "eth_maxPriorityFeePerGas" => to_value(fees::SUGGESTED_TIP),
        "eth_feeHistory" => fees::history(node, &params),

        "eth_getLogs" => filters::logs(node, &params),
        "eth_newFilter" => filters::new_logs(node, &params),
        "eth_newBlockFilter" => filters::new_blocks(node),
        "eth_newPendingTransactionFilter" => filters::new_pending(node),
        "eth_getFilterChanges" => filters::changes(node, &params),
        "eth_getFilterLogs" => filters::all_logs(node, &params),
        "eth_uninstallFilter" => filters::uninstall(node, &params),

        "txpool_status" => txpool::status(node),
        "txpool_content" => txpool::content(node),
        _ => Err(RpcError::method(method)),
    }
}

/// A value as JSON.
fn to_value(value: impl serde::Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value)
        .map_err(|error| RpcError::internal(format!("the answer cannot be written: {error}")))
}
