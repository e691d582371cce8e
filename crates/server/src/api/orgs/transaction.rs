//! Transactions for a wallet to sign and send itself.

use crate::http::wire::AddressText;
use haithe_kernel::{Decimals, WalletAddress};
use haithe_orgs::UnsignedTransaction;
use serde::Serialize;
use utoipa::ToSchema;

/// A transaction for a wallet to sign and send.
///
/// The fields have the names that `eth_sendTransaction`, viem and ethers use; the wallet estimates the
/// gas and its fees.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnsignedTransaction)]
pub struct TransactionView {
    /// The wallet that has to sign it.
    #[schema(value_type = AddressText)]
    from: WalletAddress,
    /// The contract that it calls.
    #[schema(value_type = AddressText)]
    to: WalletAddress,
    /// Calldata: `0x` and hexadecimal digits.
    data: String,
    /// Always `0x0`: the transaction carries no coin of the chain.
    value: &'static str,
    /// The same as `chainId`.
    chain_id: u64,
    /// The chain that the transaction is valid on.
    #[serde(rename = "chainId")]
    chain_id_camel: u64,
    /// What the transaction does, for the person who signs it: the action, the amount in USDT, from whom,
    /// to whom.
    summary: String,
}

impl TransactionView {
    /// The wire form; `decimals` are the payment token's.
    pub fn of(transaction: UnsignedTransaction, decimals: Decimals) -> Self {
        Self {
            from: transaction.from,
            to: transaction.to,
            data: format!("0x{}", hex::encode(transaction.data)),
            value: "0x0",
            chain_id: transaction.chain_id,
            chain_id_camel: transaction.chain_id,
            summary: transaction.summary.text(decimals),
        }
    }
}

/// A transaction for a wallet to sign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TransactionToSign)]
pub struct ToSignView {
    transaction: TransactionView,
}

impl ToSignView {
    /// The wire form; `decimals` are the payment token's.
    pub fn of(transaction: UnsignedTransaction, decimals: Decimals) -> Self {
        Self {
            transaction: TransactionView::of(transaction, decimals),
        }
    }
}
