//! Transactions for a wallet to sign and send itself.

use crate::http::wire::AddressText;
use haithe_kernel::WalletAddress;
use haithe_orgs::UnsignedTransaction;
use serde::Serialize;
use utoipa::ToSchema;

/// A transaction for a wallet to sign and send: as `eth_sendTransaction` takes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnsignedTransaction)]
pub struct TransactionView {
    /// Who has to sign it.
    #[schema(value_type = AddressText)]
    from: WalletAddress,
    #[schema(value_type = AddressText)]
    to: WalletAddress,
    /// Calldata: `0x` and hexadecimal digits.
    data: String,
    /// Always `0x0`.
    value: &'static str,
    chain_id: u64,
}

impl From<UnsignedTransaction> for TransactionView {
    fn from(transaction: UnsignedTransaction) -> Self {
        Self {
            from: transaction.from,
            to: transaction.to,
            data: format!("0x{}", hex::encode(transaction.data)),
            value: "0x0",
            chain_id: transaction.chain_id,
        }
    }
}
