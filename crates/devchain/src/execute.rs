//! One transaction through the EVM. The only file that knows how revm is driven.

use crate::{
    blocks::{Blocks, Slot},
    config::Genesis,
    state::{Overlay, State},
};
use alloy::{
    consensus::{Transaction, TxEnvelope, transaction::Recovered},
    primitives::{Address, B256, U256},
};
use revm::{
    Context, Database, DatabaseRef, ExecuteEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{EVMError, ResultAndState},
    },
    primitives::{eip4844, hardfork::SpecId},
    state::AccountInfo,
};
use std::convert::Infallible;

/// The state of one block, read by the EVM.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub state: &'a State,
    pub overlay: Option<&'a Overlay>,
    pub blocks: &'a Blocks,
}

impl View<'_> {
    pub fn account(&self, address: &Address) -> Option<&AccountInfo> {
        match self.overlay {
            Some(overlay) => overlay.account(self.state, address),
            None => self.state.account(address),
        }
    }

    pub fn slot(&self, address: &Address, slot: &U256) -> U256 {
        match self.overlay {
            Some(overlay) => overlay.slot(self.state, address, slot),
            None => self.state.slot(address, slot),
        }
    }
}

impl DatabaseRef for View<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(&address).cloned())
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.state.code(&hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.slot(&address, &slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.blocks.hash(number).unwrap_or_default())
    }
}

/// Rules for transactions that are mined.
pub(crate) fn rules(genesis: &Genesis) -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(genesis.hardfork.spec());
    cfg.chain_id = genesis.chain_id;
    cfg
}

/// Rules for `eth_call` and `eth_estimateGas`: any sender, any nonce, more gas than a block has,
/// and no fee unless the caller named one.
pub(crate) fn call_rules(genesis: &Genesis, free: bool) -> CfgEnv {
    let mut cfg = rules(genesis);
    cfg.tx_chain_id_check = false;
    cfg.disable_nonce_check = true;
    cfg.disable_eip3607 = true;
    cfg.disable_block_gas_limit = true;
    cfg.disable_base_fee = free;
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    cfg
}

/// The block a transaction finds itself in.
pub(crate) fn block_env(genesis: &Genesis, slot: &Slot, parent: &B256) -> BlockEnv {
    let mut env = BlockEnv {
        number: U256::from(slot.number),
        beneficiary: Address::ZERO,
        timestamp: U256::from(slot.timestamp),
        gas_limit: genesis.block_gas_limit,
        basefee: slot.base_fee,
        prevrandao: Some(Blocks::randomness(parent)),
        ..Default::default()
    };
    let fraction = match genesis.hardfork.spec() {
        SpecId::CANCUN => eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN,
        _ => eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
    };
    env.set_blob_excess_gas_and_price(0, fraction);
    env
}

/// A signed transaction in revm's terms.
pub(crate) fn tx_env(tx: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: tx.tx_type() as u8,
        caller: tx.signer(),
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        authorization_list: tx
            .authorization_list()
            .map(|list| list.iter().cloned().map(Either::Left).collect())
            .unwrap_or_default(),
        ..Default::default()
    }
}

/// Runs a transaction and returns what it did and what it changed; nothing is written.
pub(crate) fn transact<DB>(
    db: DB,
    cfg: &CfgEnv,
    block: &BlockEnv,
    tx: TxEnv,
) -> Result<ResultAndState, EVMError<Infallible>>
where
    DB: Database<Error = Infallible>,
{
    Context::mainnet()
        .with_db(db)
        .with_cfg(cfg.clone())
        .with_block(block.clone())
        .build_mainnet()
        .transact(tx)
}
