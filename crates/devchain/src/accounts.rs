//! Funded accounts for development. **Their keys are public**: this file derives them from a
//! sentence anyone can read. Never send anything of value to them on a real network.

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use std::sync::LazyLock;

/// Balance of a demo account at genesis: 10,000 ether in wei.
pub const DEMO_BALANCE: U256 = U256::from_limbs([1_864_712_049_423_024_128, 542, 0, 0]);

/// How many demo accounts there are.
pub const DEMO_ACCOUNTS: usize = 10;

/// An account whose private key everybody knows.
#[derive(Clone, Debug)]
pub struct DemoAccount {
    /// Position in [`demo_accounts`], from zero.
    pub index: usize,
    /// Its address.
    pub address: Address,
    /// Its private key: keccak256 of `haithe devchain demo account <index>`.
    pub key: B256,
    /// A signer for it.
    pub signer: PrivateKeySigner,
}

/// The demo accounts, the same in every process.
pub fn demo_accounts() -> &'static [DemoAccount] {
    static ACCOUNTS: LazyLock<Vec<DemoAccount>> =
        LazyLock::new(|| (0..DEMO_ACCOUNTS).filter_map(derive).collect());
    &ACCOUNTS
}

/// `None` only for a hash that is no valid key, which none of the ten is (tested).
fn derive(index: usize) -> Option<DemoAccount> {
    let key = keccak256(format!("haithe devchain demo account {index}"));
    let signer = PrivateKeySigner::from_bytes(&key).ok()?;
    Some(DemoAccount {
        index,
        address: signer.address(),
        key,
        signer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::utils::parse_ether;

    #[test]
    fn there_are_ten_distinct_accounts_with_ten_thousand_ether() {
        let mut addresses: Vec<_> = demo_accounts().iter().map(|a| a.address).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), DEMO_ACCOUNTS);
        assert_eq!(DEMO_BALANCE, parse_ether("10000").unwrap());
    }
}
