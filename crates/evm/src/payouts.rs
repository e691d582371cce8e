//! Calldata for what only a creator's wallet can sign.

use crate::{client::ChainClient, contracts::CreatorIdentity, convert};
use alloy::{
    primitives::{Address, U256},
    sol_types::SolCall,
};
use async_trait::async_trait;
use haithe_billing::{chain::ChainError, ports::CreatorTransactions};
use haithe_kernel::WalletAddress;
use haithe_orgs::{TransactionSummary, UnsignedTransaction};
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
    async fn withdraw(
        &self,
        creator: WalletAddress,
        identity: u64,
    ) -> Result<UnsignedTransaction, ChainError> {
        let contract = self.identity.get_or_try_init(|| self.ask());
        let contract = timeout(PATIENCE, contract)
            .await
            .map_err(|_| ChainError::unavailable("no answer in time"))??;
        let contract = convert::wallet(*contract);
        Ok(UnsignedTransaction {
            from: creator,
            to: contract,
            data: CreatorIdentity::withdrawFundsCall {
                id: U256::from(identity),
            }
            .abi_encode(),
            chain_id: self.client.chain_id(),
            summary: TransactionSummary::new("Withdraw all settled creator earnings", contract, creator),
        })
    }
}
