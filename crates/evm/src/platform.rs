//! Takes the platform's share out of the orchestrator, which only its owner can.

use crate::{
    client::ChainClient,
    config::ServerKey,
    contracts::HaitheOrchestrator,
    convert,
    direct::{Direct, DirectError},
    failure::{ConnectError, NodeError},
    sign::Unsigned,
};
use alloy::{primitives::U256, sol_types::SolCall};
use haithe_billing::{chain::Hash32, platform::PlatformFunds};
use haithe_kernel::{TokenUnits, WalletAddress};
use haithe_orgs::{TransactionSummary, UnsignedTransaction};

impl ChainClient {
    /// The platform's side of the orchestrator at the head of the chain.
    ///
    /// # Errors
    /// As [`ChainClient::check`].
    pub async fn platform_funds(&self) -> Result<PlatformFunds, ConnectError> {
        let contract = self.contract().await?;
        let node = self.node();
        let (owner, funds, next) = (contract.owner(), contract.platformFunds(), contract.nextBatch());
        let read = async {
            let held = node.ask("platformFunds()", funds.call()).await?;
            let out_of_range = || NodeError::Nonsense("platformFunds() is out of range".into());
            Ok::<_, NodeError>(PlatformFunds {
                owner: convert::wallet(node.ask("owner()", owner.call()).await?),
                held: TokenUnits::new(convert::amount(held).ok_or_else(out_of_range)?),
                next_batch: node.ask("nextBatch()", next.call()).await?,
            })
        };
        read.await.map_err(ConnectError::Unreachable)
    }

    /// The transaction by which the orchestrator's `owner` pays `amount` base units of the platform's share
    /// to `to`. Nothing is asked.
    pub fn withdraw_platform(
        &self,
        owner: WalletAddress,
        to: WalletAddress,
        amount: TokenUnits,
    ) -> UnsignedTransaction {
        let orchestrator = self.orchestrator();
        let call = HaitheOrchestrator::withdrawPlatformCall {
            to: convert::address(to),
            amount: U256::from(amount.get()),
        };
        UnsignedTransaction {
            from: owner,
            to: orchestrator,
            data: call.abi_encode(),
            chain_id: self.chain_id(),
            summary: TransactionSummary::new("Withdraw the platform's share", orchestrator, to)
                .with_amount(Some(amount)),
        }
    }

    /// Signs and sends a transaction with `key`, and waits for its block; gives its hash. Never with a key
    /// that a [`Sender`](crate::Sender) is using at the same time.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn sign_and_send(
        &self,
        what: &'static str,
        key: &ServerKey,
        transaction: &UnsignedTransaction,
    ) -> Result<Hash32, DirectError> {
        let direct = Direct {
            node: self.node(),
            chain_id: transaction.chain_id,
            key,
        };
        let tx = Unsigned {
            to: Some(convert::address(transaction.to)),
            data: transaction.data.clone().into(),
        };
        Ok(direct.send(what, &tx).await?.transaction_hash.0)
    }
}
