//! Transactions as bytes.

use crate::{config::ServerKey, failure::NodeError};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::{eip1559::Eip1559Estimation, eip2718::Encodable2718},
    primitives::{Address, B256, Bytes, TxKind, U256},
    rpc::types::{TransactionInput, TransactionRequest},
    signers::SignerSync,
};

/// What both fee fields of EIP-1559 say, in wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fees {
    pub max: u128,
    pub priority: u128,
}

impl From<Eip1559Estimation> for Fees {
    fn from(estimate: Eip1559Estimation) -> Self {
        Self {
            max: estimate.max_fee_per_gas,
            priority: estimate.max_priority_fee_per_gas,
        }
    }
}

/// A transaction without nonce and fees.
#[derive(Debug, Clone)]
pub(crate) struct Unsigned {
    /// `None` makes a contract.
    pub to: Option<Address>,
    pub data: Bytes,
}

impl Unsigned {
    /// The same as a question about what it would do.
    pub fn question(&self, from: Address) -> TransactionRequest {
        TransactionRequest {
            from: Some(from),
            to: Some(self.kind()),
            input: TransactionInput::new(self.data.clone()),
            ..Default::default()
        }
    }

    fn kind(&self) -> TxKind {
        self.to.map_or(TxKind::Create, TxKind::Call)
    }
}

/// Where and how a transaction goes out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub chain_id: u64,
    pub nonce: u64,
    pub gas_limit: u64,
    pub fees: Fees,
}

/// A transaction as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub hash: B256,
    pub raw: Vec<u8>,
}

/// Signs with an RFC 6979 nonce: the same input gives the same bytes.
pub(crate) fn sign(key: &ServerKey, tx: &Unsigned, terms: Terms) -> Result<Signed, NodeError> {
    let tx = TxEip1559 {
        chain_id: terms.chain_id,
        nonce: terms.nonce,
        gas_limit: terms.gas_limit,
        max_fee_per_gas: terms.fees.max,
        max_priority_fee_per_gas: terms.fees.priority,
        to: tx.kind(),
        value: U256::ZERO,
        access_list: Default::default(),
        input: tx.data.clone(),
    };
    let signature = key.0.sign_hash_sync(&tx.signature_hash());
    let signature =
        signature.map_err(|error| NodeError::Nonsense(format!("the key cannot sign: {error}")))?;
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    Ok(Signed {
        hash: *envelope.tx_hash(),
        raw: envelope.encoded_2718(),
    })
}
