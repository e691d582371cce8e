//! A chain to test, transactions to send and contracts small enough to read as bytes.

use alloy::{
    consensus::{SignableTransaction, Transaction as _, TxEip1559, TxEip2930, TxEnvelope, TxLegacy},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256},
    rpc::types::{Block, Transaction, TransactionReceipt},
    signers::SignerSync,
};
use haithe_devchain::{DemoAccount, DevChain, DevChainConfig, GWEI, Mining, RpcError, demo_accounts};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// When the chains of tests begin.
pub const GENESIS: u64 = 1_800_000_000;

/// A configuration whose chains come out the same every time.
pub fn config(mining: Mining) -> DevChainConfig {
    DevChainConfig {
        mining,
        genesis_time: Some(GENESIS),
        ..DevChainConfig::default()
    }
}

/// A chain that mines at once.
pub fn instant() -> DevChain {
    DevChain::start(config(Mining::Instant)).unwrap()
}

/// A chain that mines when told.
pub fn manual() -> DevChain {
    DevChain::start(config(Mining::Manual)).unwrap()
}

pub fn account(index: usize) -> &'static DemoAccount {
    &demo_accounts()[index]
}

/// An address that nobody has.
pub const NOBODY: Address = Address::repeat_byte(0xee);

// --- transactions -----------------------------------------------------------------------------

/// An EIP-1559 transfer of 1 wei to [`NOBODY`], to be varied.
pub fn draft(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: haithe_devchain::DEFAULT_CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2 * u128::from(GWEI),
        max_priority_fee_per_gas: u128::from(GWEI),
        to: TxKind::Call(NOBODY),
        value: U256::from(1),
        ..TxEip1559::default()
    }
}

/// A call of a contract with room for gas.
pub fn call_draft(nonce: u64, to: Address, input: impl Into<Bytes>) -> TxEip1559 {
    TxEip1559 {
        to: TxKind::Call(to),
        gas_limit: 200_000,
        value: U256::ZERO,
        input: input.into(),
        ..draft(nonce)
    }
}

/// The creation of a contract with this runtime code.
pub fn create_draft(nonce: u64, runtime: &[u8]) -> TxEip1559 {
    TxEip1559 {
        to: TxKind::Create,
        gas_limit: 500_000,
        value: U256::ZERO,
        input: init_code(runtime).into(),
        ..draft(nonce)
    }
}

/// Signs for a demo account.
pub fn sign(from: usize, tx: TxEip1559) -> TxEnvelope {
    let signature = account(from).signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature).into()
}

pub fn sign_legacy(from: usize, tx: TxLegacy) -> TxEnvelope {
    let signature = account(from).signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature).into()
}

pub fn sign_2930(from: usize, tx: TxEip2930) -> TxEnvelope {
    let signature = account(from).signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature).into()
}

/// What a test asks of a chain, without writing JSON.
pub trait Asks {
    fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> T;
    fn refuses(&self, method: &str, params: Value) -> RpcError;
    fn send(&self, tx: &TxEnvelope) -> Result<B256, RpcError>;
    fn receipt(&self, hash: B256) -> Option<TransactionReceipt>;
    fn block(&self, tag: impl serde::Serialize) -> Block;
    fn transaction(&self, hash: B256) -> Option<Transaction>;
    fn balance(&self, address: Address) -> U256;
    fn nonce(&self, address: Address) -> u64;
    fn slot(&self, address: Address, slot: u64) -> U256;
    /// Deploys for account 0 in a chain that mines at once.
    fn deploy(&self, runtime: &[u8]) -> Address;
}

impl Asks for DevChain {
    fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> T {
        let answer = self
            .handle(method, &params)
            .unwrap_or_else(|error| panic!("{method} {params}: {error}"));
        serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{method} → {answer}: {error}"))
    }

    fn refuses(&self, method: &str, params: Value) -> RpcError {
        match self.handle(method, &params) {
            Err(error) => error,
            Ok(answer) => panic!("{method} {params} was answered: {answer}"),
        }
    }

    fn send(&self, tx: &TxEnvelope) -> Result<B256, RpcError> {
        let hash = self.handle("eth_sendRawTransaction", &json!([Bytes::from(tx.encoded_2718())]))?;
        Ok(serde_json::from_value(hash).unwrap())
    }

    fn receipt(&self, hash: B256) -> Option<TransactionReceipt> {
        self.ask("eth_getTransactionReceipt", json!([hash]))
    }

    fn block(&self, tag: impl serde::Serialize) -> Block {
        let tag = match serde_json::to_value(tag).unwrap() {
            Value::Number(number) => json!(format!("0x{:x}", number.as_u64().unwrap())),
            tag => tag,
        };
        self.ask("eth_getBlockByNumber", json!([tag, true]))
    }

    fn transaction(&self, hash: B256) -> Option<Transaction> {
        self.ask("eth_getTransactionByHash", json!([hash]))
    }

    fn balance(&self, address: Address) -> U256 {
        self.ask("eth_getBalance", json!([address, "latest"]))
    }

    fn nonce(&self, address: Address) -> u64 {
        self.ask::<alloy::primitives::U64>("eth_getTransactionCount", json!([address, "latest"]))
            .to()
    }

    fn slot(&self, address: Address, slot: u64) -> U256 {
        self.ask(
            "eth_getStorageAt",
            json!([address, format!("0x{slot:x}"), "latest"]),
        )
    }

    fn deploy(&self, runtime: &[u8]) -> Address {
        let tx = sign(0, create_draft(self.nonce(account(0).address), runtime));
        let receipt = self.send(&tx).map(|hash| self.receipt(hash).unwrap()).unwrap();
        assert!(receipt.status(), "deployed with nonce {}", tx.nonce());
        receipt.contract_address.unwrap()
    }
}

/// Waits until `condition` holds, for ten seconds at most.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

// --- contracts --------------------------------------------------------------------------------

/// Stores its calldata's first word in slot 0 and logs it as the only topic.
/// `PUSH0 CALLDATALOAD PUSH0 SSTORE  PUSH0 CALLDATALOAD PUSH0 PUSH0 LOG1  STOP`
pub const STORE: &[u8] = &[0x5f, 0x35, 0x5f, 0x55, 0x5f, 0x35, 0x5f, 0x5f, 0xa1, 0x00];

/// Reverts with its calldata: `CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 REVERT`.
pub const REVERT: &[u8] = &[0x36, 0x5f, 0x5f, 0x37, 0x36, 0x5f, 0xfd];

/// Loops until the gas is gone: `JUMPDEST PUSH0 JUMP`.
pub const BURN: &[u8] = &[0x5b, 0x5f, 0x56];

/// Stops if at least 200,000 gas are left when it begins, else reverts.
/// `GAS PUSH3 200000 GT PUSH1 10 JUMPI STOP JUMPDEST PUSH0 PUSH0 REVERT`
pub const GREEDY: &[u8] = &[
    0x5a, 0x62, 0x03, 0x0d, 0x40, 0x11, 0x60, 0x0a, 0x57, 0x00, 0x5b, 0x5f, 0x5f, 0xfd,
];

/// Returns what one opcode pushes: `op PUSH0 MSTORE PUSH1 32 PUSH0 RETURN`.
pub fn returns(op: u8) -> [u8; 7] {
    [op, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]
}

/// Opcodes for [`returns`].
pub const TIMESTAMP: u8 = 0x42;
pub const NUMBER: u8 = 0x43;
pub const BASEFEE: u8 = 0x48;
pub const CALLER: u8 = 0x33;
pub const CALLVALUE: u8 = 0x34;

/// Code that returns `runtime`: `PUSH2 len DUP1 PUSH1 10 PUSH0 CODECOPY PUSH0 RETURN`.
pub fn init_code(runtime: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    [
        &[0x61, high, low, 0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3],
        runtime,
    ]
    .concat()
}

/// One word of calldata.
pub fn word(value: u64) -> Bytes {
    B256::from(U256::from(value)).into()
}
