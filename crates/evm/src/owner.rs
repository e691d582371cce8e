//! Calldata for the transactions that only an owner's wallet can sign. No network, no state.

use crate::{contracts::HaitheOrganization, convert};
use alloy::{primitives::U256, sol_types::SolCall};
use haithe_kernel::{TokenUnits, WalletAddress};
use haithe_orgs::{OwnerCall, UnsignedTransaction, ports::OwnerTransactions};

/// [`OwnerTransactions`] for the contracts in `abi/`.
#[derive(Debug, Clone, Copy)]
pub struct EvmOwnerTransactions {
    chain_id: u64,
}

impl EvmOwnerTransactions {
    /// For contracts on this chain.
    pub const fn new(chain_id: u64) -> Self {
        Self { chain_id }
    }
}

impl OwnerTransactions for EvmOwnerTransactions {
    fn encode(&self, from: WalletAddress, contract: WalletAddress, call: OwnerCall) -> UnsignedTransaction {
        UnsignedTransaction {
            from,
            to: contract,
            data: calldata(call),
            chain_id: self.chain_id,
            summary: call.summary(from, contract),
        }
    }
}

fn calldata(call: OwnerCall) -> Vec<u8> {
    match call {
        OwnerCall::SetRole { account, role } => HaitheOrganization::setRoleCall {
            account: convert::address(account),
            role: role.number(),
        }
        .abi_encode(),
        OwnerCall::OfferOwnership { to } => HaitheOrganization::transferOwnershipCall {
            newOwner: convert::address(to),
        }
        .abi_encode(),
        OwnerCall::AcceptOwnership => HaitheOrganization::acceptOwnershipCall {}.abi_encode(),
        OwnerCall::RequestWithdrawal { to, amount } => HaitheOrganization::requestWithdrawalCall {
            to: convert::address(to),
            amount: units(amount),
        }
        .abi_encode(),
        OwnerCall::ExecuteWithdrawal => HaitheOrganization::executeWithdrawalCall {}.abi_encode(),
        OwnerCall::CancelWithdrawal => HaitheOrganization::cancelWithdrawalCall {}.abi_encode(),
        OwnerCall::SetDailyCap(cap) => HaitheOrganization::setDailyCapCall {
            cap: cap.map_or(U256::MAX, units),
        }
        .abi_encode(),
    }
}

fn units(amount: TokenUnits) -> U256 {
    U256::from(amount.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{hex, primitives::keccak256};
    use haithe_orgs::ChainRole;

    const OWNER: WalletAddress = WalletAddress::new([1; 20]);
    const ORG: WalletAddress = WalletAddress::new([9; 20]);
    const ALICE: WalletAddress = WalletAddress::new([0xaa; 20]);

    /// Calldata written by hand: selector, then words.
    fn by_hand(signature: &str, words: &[String]) -> String {
        let selector = hex::encode(keccak256(signature).get(..4).unwrap());
        format!("{selector}{}", words.concat())
    }

    #[test]
    fn calls_are_encoded_as_the_contract_reads_them() {
        let alice = format!("{:0>64}", "aa".repeat(20));
        let number = |number: u128| format!("{number:064x}");
        let amount = TokenUnits::new(1_500_000_000_000_000_000);
        for (call, expected) in [
            (
                OwnerCall::SetRole {
                    account: ALICE,
                    role: ChainRole::Admin,
                },
                by_hand("setRole(address,uint8)", &[alice.clone(), number(2)]),
            ),
            (
                OwnerCall::OfferOwnership { to: ALICE },
                by_hand("transferOwnership(address)", std::slice::from_ref(&alice)),
            ),
            (OwnerCall::AcceptOwnership, by_hand("acceptOwnership()", &[])),
            (
                OwnerCall::RequestWithdrawal { to: ALICE, amount },
                by_hand(
                    "requestWithdrawal(address,uint256)",
                    &[alice, number(amount.get())],
                ),
            ),
            (OwnerCall::ExecuteWithdrawal, by_hand("executeWithdrawal()", &[])),
            (OwnerCall::CancelWithdrawal, by_hand("cancelWithdrawal()", &[])),
            (
                OwnerCall::SetDailyCap(Some(amount)),
                by_hand("setDailyCap(uint256)", &[number(amount.get())]),
            ),
            (
                OwnerCall::SetDailyCap(None),
                by_hand("setDailyCap(uint256)", &["f".repeat(64)]),
            ),
        ] {
            let transaction = EvmOwnerTransactions::new(31_337).encode(OWNER, ORG, call);
            assert_eq!(hex::encode(&transaction.data), expected, "{call:?}");
            assert_eq!(
                (transaction.from, transaction.to, transaction.chain_id),
                (OWNER, ORG, 31_337)
            );
        }
    }
}
