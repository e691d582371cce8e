//! Between the domain's types and the chain's.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, U256},
    rpc::types::Header,
};
use haithe_billing::chain::{BlockRef, Hash32};
use haithe_kernel::{Timestamp, WalletAddress};

pub(crate) fn address(wallet: WalletAddress) -> Address {
    Address::new(*wallet.as_bytes())
}

pub(crate) fn wallet(address: Address) -> WalletAddress {
    WalletAddress::new(address.into_array())
}

pub(crate) fn hash(bytes: Hash32) -> B256 {
    B256::new(bytes)
}

/// `None` beyond 128 bits.
pub(crate) fn amount(value: U256) -> Option<u128> {
    u128::try_from(value).ok()
}

/// Seconds of the chain; absurd ones end up at the end of the range.
pub(crate) fn time(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

pub(crate) fn block_ref(header: &Header) -> BlockRef {
    BlockRef {
        number: header.number,
        hash: header.hash.0,
        parent: header.parent_hash.0,
        time: time(header.timestamp),
    }
}

/// The state after a block, or at the head.
pub(crate) fn at(block: Option<u64>) -> alloy::eips::BlockId {
    block
        .map_or(BlockNumberOrTag::Latest, BlockNumberOrTag::Number)
        .into()
}
