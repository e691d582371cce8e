//! Running code without making a block: `eth_call` and `eth_estimateGas`.

use crate::{
    RpcError,
    execute::{self, View},
    node::{At, Node},
};
use alloy::{
    eips::BlockId,
    primitives::{Bytes, TxKind, U256},
    rpc::types::{BlockOverrides, TransactionRequest, state::StateOverride},
};
use revm::{
    DatabaseCommit, DatabaseRef,
    bytecode::Bytecode,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState},
    },
    database::CacheDB,
};
use std::convert::Infallible;

/// Most gas a simulation may burn, whatever it asks for (geth's `RPCGasCap`).
const GAS_CAP: u64 = 50_000_000;

/// A question to simulate.
#[derive(Debug, Default)]
pub(crate) struct Question {
    pub request: TransactionRequest,
    pub state: StateOverride,
    pub block: BlockOverrides,
}

/// Where a simulation runs: a copy-on-write state and the block around it.
struct Stage<'a> {
    db: CacheDB<View<'a>>,
    env: BlockEnv,
    cfg: CfgEnv,
}

impl Node {
    /// Runs a call and returns what it returned.
    ///
    /// # Errors
    /// Code 3 with data when it reverted, -32000 when it could not run or ran out of gas.
    pub fn call(&self, question: &Question, id: BlockId) -> Result<Bytes, RpcError> {
        self.on_stage(question, id, |stage| {
            let tx = stage.tx(&question.request, GAS_CAP)?;
            let done = stage.run(tx)?;
            output(done.result)
        })
    }

    /// The least gas limit with which a transaction succeeds, but never less than it uses when it
    /// has plenty: a contract that catches an inner call's failure also "succeeds" when that call
    /// ran out of gas. (geth's rule.)
    ///
    /// # Errors
    /// It fails with any: as for [`Self::call`].
    pub fn estimate(&self, question: &Question, id: BlockId) -> Result<u64, RpcError> {
        let block_gas = self.blocks.genesis().block_gas_limit;
        let tx_gas = revm::context_interface::Cfg::tx_gas_limit_cap(&execute::rules(self.blocks.genesis()));
        self.on_stage(question, id, |stage| {
            let asked = question
                .request
                .gas
                .filter(|gas| *gas >= 21_000)
                .unwrap_or(block_gas);
            let mut tx = stage.tx(&question.request, asked.min(block_gas).min(tx_gas).min(GAS_CAP))?;
            tx.gas_limit = tx.gas_limit.min(stage.affordable(&tx)?);
            stage.least_gas(tx)
        })
    }

    /// Sets up the state and block that `id` names and lets `act` use them.
    fn on_stage<T>(
        &self,
        question: &Question,
        id: BlockId,
        act: impl FnOnce(&mut Stage<'_>) -> Result<T, RpcError>,
    ) -> Result<T, RpcError> {
        let request = &question.request;
        let free = request.gas_price.or(request.max_fee_per_gas).unwrap_or_default() == 0;
        let genesis = self.blocks.genesis();
        let cfg = execute::call_rules(genesis, free);
        let overlay;
        let mut stage = match self.at(id)? {
            At::Block(number) => {
                overlay = self.overlay(number)?;
                let slot = self
                    .blocks
                    .slot(number)
                    .ok_or_else(|| RpcError::refused("header not found"))?;
                let parent = number
                    .checked_sub(1)
                    .and_then(|n| self.blocks.hash(n))
                    .unwrap_or_default();
                let view = View {
                    overlay: overlay.as_ref(),
                    ..self.latest()
                };
                Stage {
                    db: CacheDB::new(view),
                    env: execute::block_env(genesis, &slot, &parent),
                    cfg,
                }
            }
            At::Pending => {
                let slot = self.next_slot();
                let parent = self.blocks.hash(self.head()).unwrap_or_default();
                let env = execute::block_env(genesis, &slot, &parent);
                let mut stage = Stage {
                    db: CacheDB::new(self.latest()),
                    env,
                    cfg,
                };
                stage.include(&self.ready(&slot), &execute::rules(genesis));
                stage
            }
        };
        stage.override_state(&question.state)?;
        stage.override_block(&question.block);
        act(&mut stage)
    }
}

impl Stage<'_> {
    /// Runs the pool's transactions first, as the block that is being made would.
    fn include(&mut self, txs: &[crate::pool::Pooled], cfg: &CfgEnv) {
        for tx in txs {
            if let Ok(done) = execute::transact(&mut self.db, cfg, &self.env, execute::tx_env(tx)) {
                self.db.commit(done.state);
            }
        }
    }

    fn run(&mut self, tx: TxEnv) -> Result<ResultAndState, RpcError> {
        execute::transact(&mut self.db, &self.cfg, &self.env, tx).map_err(refusal)
    }

    /// The transaction a request describes, with at most `gas_cap` gas.
    fn tx(&self, request: &TransactionRequest, gas_cap: u64) -> Result<TxEnv, RpcError> {
        let input = &request.input;
        if matches!((&input.input, &input.data), (Some(input), Some(data)) if input != data) {
            return Err(RpcError::params(
                "both \"data\" and \"input\" are set and not equal; use \"input\"",
            ));
        }
        let legacy = request.gas_price.is_some();
        if legacy && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some()) {
            return Err(RpcError::params(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
            ));
        }
        let caller = request.from.unwrap_or_default();
        let data = input.clone().into_input().unwrap_or_default();
        let kind = request.to.unwrap_or(TxKind::Create);
        if kind.is_create() && data.is_empty() {
            return Err(RpcError::params("contract creation without any data provided"));
        }
        let nonce = self
            .db
            .basic_ref(caller)
            .ok()
            .flatten()
            .map_or(0, |info| info.nonce);
        let mut tx = TxEnv {
            caller,
            kind,
            data,
            nonce: request.nonce.unwrap_or(nonce),
            value: request.value.unwrap_or_default(),
            gas_limit: request.gas.unwrap_or(gas_cap).min(gas_cap),
            gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or_default(),
            gas_priority_fee: if legacy {
                None
            } else {
                Some(request.max_priority_fee_per_gas.unwrap_or_default())
            },
            chain_id: Some(self.cfg.chain_id),
            access_list: request.access_list.clone().unwrap_or_default(),
            authorization_list: request
                .authorization_list
                .iter()
                .flatten()
                .cloned()
                .map(Either::Left)
                .collect(),
            ..Default::default()
        };
        tx.derive_tx_type()
            .map_err(|error| RpcError::params(error.to_string()))?;
        Ok(tx)
    }

    /// How much gas the sender can pay at the named price.
    fn affordable(&self, tx: &TxEnv) -> Result<u64, RpcError> {
        if tx.gas_price == 0 {
            return Ok(u64::MAX);
        }
        let balance = self
            .db
            .basic_ref(tx.caller)
            .ok()
            .flatten()
            .map(|info| info.balance)
            .unwrap_or_default();
        let left = balance
            .checked_sub(tx.value)
            .ok_or_else(|| RpcError::refused("insufficient funds for transfer"))?;
        Ok(u64::try_from(left / U256::from(tx.gas_price)).unwrap_or(u64::MAX))
    }

    /// Searches between the gas that was used and the limit for the least that succeeds.
    fn least_gas(&mut self, tx: TxEnv) -> Result<u64, RpcError> {
        let most = tx.gas_limit;
        let result = match self.attempt(&tx, most)? {
            Attempt::Ran(result) => result,
            Attempt::NotEnough => return Err(exceeds(most)),
        };
        if let ExecutionResult::Halt {
            reason: HaltReason::OutOfGas(_),
            ..
        } = &result
        {
            return Err(exceeds(most));
        }
        let spent = result.gas().total_gas_spent();
        let used = result.tx_gas_used();
        output(result)?;
        // The answer is above `low` and at most `high`. A sub-call gets 63/64 of what is left,
        // and a transfer lends 2300, so the first guess is usually nearly right.
        let (mut low, mut high) = (used.saturating_sub(1), most);
        let guess = spent.saturating_add(2_300).saturating_mul(64) / 63;
        let mut middle = guess.min(high.saturating_sub(1)).max(low + 1);
        while low + 1 < high {
            match self.attempt(&tx, middle)? {
                Attempt::Ran(result) if result.is_success() => high = middle,
                _ => low = middle,
            }
            middle = low + (high - low) / 2;
        }
        Ok(high)
    }

    fn attempt(&mut self, tx: &TxEnv, gas: u64) -> Result<Attempt, RpcError> {
        let tx = TxEnv {
            gas_limit: gas,
            ..tx.clone()
        };
        match execute::transact(&mut self.db, &self.cfg, &self.env, tx) {
            Ok(done) => Ok(Attempt::Ran(done.result)),
            Err(EVMError::Transaction(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => Ok(Attempt::NotEnough),
            Err(error) => Err(refusal(error)),
        }
    }

    fn override_state(&mut self, overrides: &StateOverride) -> Result<(), RpcError> {
        for (address, wanted) in overrides {
            if wanted.move_precompile_to.is_some() {
                return Err(RpcError::params("movePrecompileToAddress is not supported"));
            }
            if wanted.state.is_some() && wanted.state_diff.is_some() {
                return Err(RpcError::params(format!(
                    "account {address} has both 'state' and 'stateDiff'"
                )));
            }
            let mut info = self.db.basic_ref(*address).ok().flatten().unwrap_or_default();
            info.balance = wanted.balance.unwrap_or(info.balance);
            info.nonce = wanted.nonce.unwrap_or(info.nonce);
            if let Some(code) = &wanted.code {
                let code = Bytecode::new_raw_checked(code.clone())
                    .map_err(|_| RpcError::params(format!("the code for {address} is no bytecode")))?;
                info.code_hash = code.hash_slow();
                info.code = Some(code);
            }
            self.db.insert_account_info(*address, info);
            let slots = |map: &alloy::primitives::map::B256HashMap<_>| {
                map.iter()
                    .map(|(slot, value): (_, &alloy::primitives::B256)| ((*slot).into(), (*value).into()))
                    .collect::<Vec<(U256, U256)>>()
            };
            if let Some(state) = &wanted.state {
                let Ok(()) = self
                    .db
                    .replace_account_storage(*address, slots(state).into_iter().collect());
            }
            for (slot, value) in wanted.state_diff.iter().flat_map(slots) {
                let Ok(()) = self.db.insert_account_storage(*address, slot, value);
            }
        }
        Ok(())
    }

    fn override_block(&mut self, wanted: &BlockOverrides) {
        let env = &mut self.env;
        env.number = wanted.number.unwrap_or(env.number);
        env.timestamp = wanted.time.map(U256::from).unwrap_or(env.timestamp);
        env.gas_limit = wanted.gas_limit.unwrap_or(env.gas_limit);
        env.beneficiary = wanted.coinbase.unwrap_or(env.beneficiary);
        env.prevrandao = wanted.random.or(env.prevrandao);
        env.basefee = wanted
            .base_fee
            .and_then(|fee| u64::try_from(fee).ok())
            .unwrap_or(env.basefee);
    }
}

enum Attempt {
    Ran(ExecutionResult),
    NotEnough,
}

fn exceeds(gas: u64) -> RpcError {
    RpcError::refused(format!("gas required exceeds allowance ({gas})"))
}

/// What an execution returned, or why it failed.
fn output(result: ExecutionResult) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(RpcError::reverted(output)),
        ExecutionResult::Halt {
            reason: HaltReason::OutOfGas(_),
            ..
        } => Err(RpcError::refused("out of gas")),
        ExecutionResult::Halt { reason, .. } => Err(RpcError::refused(reason.to_string())),
    }
}

/// Why a transaction could not even begin.
fn refusal(error: EVMError<Infallible>) -> RpcError {
    match error {
        EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => RpcError::refused(
            format!("insufficient funds for gas * price + value: have {balance} want {fee}"),
        ),
        EVMError::Transaction(InvalidTransaction::GasPriceLessThanBasefee) => {
            RpcError::refused("max fee per gas less than block base fee")
        }
        EVMError::Transaction(InvalidTransaction::CallGasCostMoreThanGasLimit {
            initial_gas,
            gas_limit,
        }) => RpcError::refused(format!(
            "intrinsic gas too low: have {gas_limit}, want {initial_gas}"
        )),
        EVMError::Transaction(error) => RpcError::refused(error.to_string()),
        error => RpcError::internal(error.to_string()),
    }
}
