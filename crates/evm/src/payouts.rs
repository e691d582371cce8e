//! Calldata for what only a creator's wallet can sign.

use crate::{client::ChainClient, contracts::CreatorIdentity, convert};
use alloy::{
    primitives::{Address, U256},
    sol_types::SolCall,
};
use async_trait::async_trait;
use haithe_billing::{chain::ChainError, earnings::CreatorCall, ports::CreatorTransactions};
use haithe_kernel::WalletAddress;
use haithe_orgs::UnsignedTransaction;
use std::time::Duration;
use tokio::{sync::OnceCell, time::timeout};

/// Somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// [`CreatorTransactions`] for the contracts in `abi/`.
#[derive(Debug)]
pub struct EvmCreatorTransactions {
    client: ChainClient,
    /// The identity contract, which the orchestrator names once and for all.
    identity: OnceCell<Address>,
}

impl EvmCreatorTransactions {
    /// For the client's contracts.
    pub fn new(client: ChainClient) -> Self {
        Self {
            client,
            identity: OnceCell::new(),
        }
    }

    async fn ask(&self) -> Result<Address, ChainError> {
        let contract = self.client.contract().await?;
        let question = contract.creatorIdentity();
        let node = self.client.node();
        Ok(node.ask("creatorIdentity()", question.call()).await?)
    }
}

#[async_trait]
impl CreatorTransactions for EvmCreatorTransactions {
    async fn compose(
        &self,
        creator: WalletAddress,
        identity: u64,
        call: CreatorCall,
    ) -> Result<UnsignedTransaction, ChainError> {
        let contract = self.identity.get_or_try_init(|| self.ask());
        let contract = timeout(PATIENCE, contract)
            .await
            .map_err(|_| ChainError::unavailable("no answer in time"))??;
        let contract = convert::wallet(*contract);
        Ok(UnsignedTransaction {
            from: creator,
            to: contract,
            data: calldata(U256::from(identity), call),
            chain_id: self.client.chain_id(),
            summary: call.summary(creator, contract),
        })
    }
}

fn calldata(id: U256, call: CreatorCall) -> Vec<u8> {
    let propose = |to| CreatorIdentity::proposePayoutAddressCall { id, to }.abi_encode();
    match call {
        CreatorCall::Withdraw => CreatorIdentity::withdrawFundsCall { id }.abi_encode(),
        CreatorCall::WithdrawTo(to) => CreatorIdentity::withdrawFundsToCall {
            id,
            to: convert::address(to),
        }
        .abi_encode(),
        CreatorCall::ProposePayout(to) => propose(convert::address(to)),
        CreatorCall::CancelPayout => CreatorIdentity::cancelPayoutAddressCall { id }.abi_encode(),
        // The contract removes both addresses when the zero address is proposed.
        CreatorCall::RemovePayout => propose(Address::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{hex, primitives::keccak256};

    #[test]
    fn calls_are_encoded_as_the_contract_reads_them() {
        let to = WalletAddress::new([0xaa; 20]);
        let (id, address, zero) = (
            format!("{:064x}", 5),
            format!("{:0>64}", "aa".repeat(20)),
            "0".repeat(64),
        );
        for (call, signature, words) in [
            (CreatorCall::Withdraw, "withdrawFunds(uint256)", vec![&id]),
            (
                CreatorCall::WithdrawTo(to),
                "withdrawFundsTo(uint256,address)",
                vec![&id, &address],
            ),
            (
                CreatorCall::ProposePayout(to),
                "proposePayoutAddress(uint256,address)",
                vec![&id, &address],
            ),
            (
                CreatorCall::CancelPayout,
                "cancelPayoutAddress(uint256)",
                vec![&id],
            ),
            (
                CreatorCall::RemovePayout,
                "proposePayoutAddress(uint256,address)",
                vec![&id, &zero],
            ),
        ] {
            let selector = hex::encode(keccak256(signature).get(..4).unwrap());
            let words: String = words.into_iter().map(String::as_str).collect();
            let encoded = hex::encode(calldata(U256::from(5u64), call));
            assert_eq!(encoded, format!("{selector}{words}"), "{call:?}");
        }
    }
}
