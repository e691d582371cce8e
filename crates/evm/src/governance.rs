//! Reads who governs a deployment.

use crate::{
    client::ChainClient,
    contracts::{HaitheOrchestrator, TestUsdt},
    convert,
    failure::{ConnectError, NodeError},
};
use alloy::{
    consensus::Transaction as _, network::TransactionResponse as _, primitives::Address, providers::Provider,
    rpc::types::Filter, sol_types::SolEvent,
};
use haithe_billing::deployment::Governance;
use haithe_kernel::{TokenUnits, WalletAddress};

impl ChainClient {
    /// The address that may settle: the orchestrator's `server()`.
    ///
    /// # Errors
    /// As [`ChainClient::check`].
    pub async fn server(&self) -> Result<WalletAddress, ConnectError> {
        let contract = self.contract().await?;
        let server = contract.server();
        let server = self.node().ask("server()", server.call()).await;
        server.map(convert::wallet).map_err(ConnectError::Unreachable)
    }

    /// Who governs the contracts now. The deployer is the sender of the transaction in `start_block`
    /// that created the orchestrator; it is unknown when the node does not have that block.
    ///
    /// # Errors
    /// As [`ChainClient::check`].
    pub async fn governance(&self, start_block: u64) -> Result<Governance, ConnectError> {
        let contract = self.contract().await?;
        let token = self.token().await?;
        let node = self.node();
        let (owner, server, guardian) = (contract.owner(), contract.server(), contract.guardian());
        let cap = contract.initialDailyCap();
        let read = async {
            let guardian = node.ask("guardian()", guardian.call()).await?;
            let cap = node.ask("initialDailyCap()", cap.call()).await?;
            let code = node
                .ask("eth_getCode", node.provider().get_code_at(token))
                .await?;
            Ok::<_, NodeError>(Governance {
                chain_id: self.chain_id(),
                owner: convert::wallet(node.ask("owner()", owner.call()).await?),
                server: convert::wallet(node.ask("server()", server.call()).await?),
                guardian: (guardian != Address::ZERO).then(|| convert::wallet(guardian)),
                deployer: self.deployer(start_block).await?,
                initial_daily_cap: convert::amount(cap).map(TokenUnits::new),
                decimals: self.decimals(),
                is_test_token: code.len() == TestUsdt::DEPLOYED_BYTECODE.len(),
            })
        };
        read.await.map_err(ConnectError::Unreachable)
    }

    /// The sender of the transaction that created the orchestrator, if it was created in this block.
    async fn deployer(&self, start_block: u64) -> Result<Option<WalletAddress>, NodeError> {
        let node = self.node();
        let first = Filter::new()
            .address(convert::address(self.orchestrator()))
            .event_signature(HaitheOrchestrator::ServerChanged::SIGNATURE_HASH)
            .topic1(Address::ZERO.into_word())
            .from_block(start_block)
            .to_block(start_block);
        let logs = match node.ask("eth_getLogs", node.provider().get_logs(&first)).await {
            Ok(logs) => logs,
            // A node without old logs does not know; that is not an outage.
            Err(error) if error.is_range_too_large() => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(hash) = logs.first().and_then(|log| log.transaction_hash) else {
            return Ok(None);
        };
        let transaction = node
            .ask(
                "eth_getTransactionByHash",
                node.provider().get_transaction_by_hash(hash),
            )
            .await?;
        let created = transaction.filter(|transaction| transaction.to().is_none());
        Ok(created.map(|transaction| convert::wallet(transaction.from())))
    }
}
