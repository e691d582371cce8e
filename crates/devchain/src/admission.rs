//! What a raw transaction must satisfy before it may wait for a block, in geth's order and words.

use crate::{
    blocks::Blocks,
    config::Genesis,
    error::RpcError,
    execute,
    pool::{Pool, Pooled, most_it_costs},
    state::State,
};
use alloy::{
    consensus::{
        Transaction, TxEnvelope, TxType,
        transaction::{Recovered, SignerRecoverable},
    },
    eips::eip2718::Decodable2718,
};
use revm::{context::CfgEnv, context_interface::Cfg};
use std::sync::Arc;

/// Largest raw transaction (geth's `txMaxSize`).
pub(crate) const MAX_RAW_BYTES: usize = 128 * 1024;

/// Decodes a raw EIP-2718 transaction and recovers its sender.
///
/// # Errors
/// What is wrong with the bytes or the signature.
pub(crate) fn decode(raw: &[u8]) -> Result<Pooled, RpcError> {
    if raw.len() > MAX_RAW_BYTES {
        return Err(RpcError::refused(format!(
            "oversized data: transaction size {}, limit {MAX_RAW_BYTES}",
            raw.len()
        )));
    }
    let mut rest = raw;
    let tx = TxEnvelope::decode_2718(&mut rest)
        .map_err(|error| RpcError::params(format!("the raw transaction cannot be decoded: {error}")))?;
    if !rest.is_empty() {
        return Err(RpcError::params("the raw transaction has bytes after its end"));
    }
    let sender = tx
        .recover_signer()
        .map_err(|_| RpcError::refused("invalid sender: the signature is not valid"))?;
    Ok(Arc::new(Recovered::new_unchecked(tx, sender)))
}

/// Checks everything but the place in the pool.
///
/// # Errors
/// The first rule that is broken.
pub(crate) fn check(tx: &Pooled, state: &State, blocks: &Blocks, pool: &Pool) -> Result<(), RpcError> {
    let genesis = blocks.genesis();
    let cfg = execute::rules(genesis);
    well_formed(tx, genesis, &cfg)?;
    let account = state.account(&tx.signer()).cloned().unwrap_or_default();
    if account
        .code
        .as_ref()
        .is_some_and(|code| !code.is_empty() && !code.is_eip7702())
    {
        return Err(RpcError::refused(format!(
            "sender not an eoa: address {}, codehash: {}",
            tx.signer(),
            account.code_hash
        )));
    }
    if tx.nonce() < account.nonce {
        return Err(RpcError::refused(format!(
            "nonce too low: next nonce {}, tx nonce {}",
            account.nonce,
            tx.nonce()
        )));
    }
    let cost = most_it_costs(tx);
    if account.balance < cost {
        return Err(RpcError::refused(format!(
            "insufficient funds for gas * price + value: balance {}, tx cost {cost}, overshot {}",
            account.balance,
            cost - account.balance
        )));
    }
    let queued = pool.committed(&tx.signer(), tx.nonce());
    if account.balance < cost.saturating_add(queued) {
        return Err(RpcError::refused(format!(
            "insufficient funds for gas * price + value: balance {}, queued cost {queued}, tx cost {cost}, overshot {}",
            account.balance,
            cost.saturating_add(queued) - account.balance
        )));
    }
    Ok(())
}

/// Rules that need no state.
fn well_formed(tx: &Pooled, genesis: &Genesis, cfg: &CfgEnv) -> Result<(), RpcError> {
    let supported = match tx.tx_type() {
        TxType::Legacy | TxType::Eip2930 | TxType::Eip1559 => true,
        TxType::Eip7702 => genesis.hardfork != crate::Hardfork::Cancun,
        TxType::Eip4844 => false,
    };
    if !supported {
        return Err(RpcError::refused(format!(
            "transaction type not supported: {}",
            tx.tx_type() as u8
        )));
    }
    match tx.chain_id() {
        None => {
            return Err(RpcError::refused(
                "only replay-protected (EIP-155) transactions allowed over RPC",
            ));
        }
        Some(id) if id != genesis.chain_id => {
            return Err(RpcError::refused(format!(
                "invalid chain id for signer: have {id} want {}",
                genesis.chain_id
            )));
        }
        Some(_) => {}
    }
    if tx.kind().is_create() && tx.input().len() > cfg.max_initcode_size() {
        return Err(RpcError::refused(format!(
            "max initcode size exceeded: code size {}, limit {}",
            tx.input().len(),
            cfg.max_initcode_size()
        )));
    }
    if tx.gas_limit() > genesis.block_gas_limit {
        return Err(RpcError::refused(format!(
            "exceeds block gas limit: gas {}, limit {}",
            tx.gas_limit(),
            genesis.block_gas_limit
        )));
    }
    if tx.gas_limit() > cfg.tx_gas_limit_cap() {
        return Err(RpcError::refused(format!(
            "transaction gas limit too high (cap: {}, tx: {})",
            cfg.tx_gas_limit_cap(),
            tx.gas_limit()
        )));
    }
    if let Some(tip) = tx
        .max_priority_fee_per_gas()
        .filter(|tip| *tip > tx.max_fee_per_gas())
    {
        return Err(RpcError::refused(format!(
            "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {}",
            tx.max_fee_per_gas()
        )));
    }
    if tx.nonce() == u64::MAX {
        return Err(RpcError::refused("nonce has max value"));
    }
    if tx.authorization_list().is_some_and(<[_]>::is_empty) {
        return Err(RpcError::refused(
            "set code tx must have at least one authorization tuple",
        ));
    }
    intrinsic_gas(tx, cfg)
}

fn intrinsic_gas(tx: &Pooled, cfg: &CfgEnv) -> Result<(), RpcError> {
    let gas = cfg.gas_params().initial_tx_gas_for_tx(execute::tx_env(tx), None);
    let intrinsic = gas.initial_total_gas();
    if tx.gas_limit() < intrinsic {
        return Err(RpcError::refused(format!(
            "intrinsic gas too low: gas {}, minimum needed {intrinsic}",
            tx.gas_limit()
        )));
    }
    let floor = gas.floor_gas();
    if tx.gas_limit() < floor {
        return Err(RpcError::refused(format!(
            "insufficient gas for floor data gas cost: gas {}, minimum needed {floor}",
            tx.gas_limit()
        )));
    }
    Ok(())
}
