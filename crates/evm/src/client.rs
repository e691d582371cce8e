//! The orchestrator on its chain, checked before anything is believed.

use crate::{
    config::EvmConfig,
    contracts::{
        HaitheOrchestrator::{self, HaitheOrchestratorInstance},
        TestUsdt,
    },
    convert,
    failure::{ConnectError, NodeError},
    node::Node,
};
use alloy::{primitives::Address, providers::Provider, rpc::client::RpcClient};
use haithe_billing::chain::Depths;
use haithe_kernel::{Decimals, WalletAddress};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// Haithe's contracts on one chain. Cheap to clone.
///
/// Making one sends nothing, so that a server starts while the chain is away. What it is told about
/// chain and contracts is checked once, at the first question; [`ChainClient::check`] does it at a
/// moment of the caller's choice.
#[derive(Debug, Clone)]
pub struct ChainClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: Node,
    chain_id: u64,
    orchestrator: Address,
    decimals: Decimals,
    depths: Depths,
    token: OnceCell<Address>,
}

impl ChainClient {
    /// A client over HTTP. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when `rpc_url` is no address.
    pub fn new(config: &EvmConfig) -> Result<Self, ConnectError> {
        Ok(Self::on(Node::http(&config.rpc_url, config.limits)?, config))
    }

    /// A client over any transport; `config.rpc_url` is not used.
    pub fn over(client: RpcClient, config: &EvmConfig) -> Self {
        Self::on(Node::over(client, config.limits), config)
    }

    /// A client on a node that is there already.
    pub fn on(node: Node, config: &EvmConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                node,
                chain_id: config.chain_id,
                orchestrator: convert::address(config.orchestrator),
                decimals: config.decimals,
                depths: config.depths,
                token: OnceCell::new(),
            }),
        }
    }

    /// [`ChainClient::new`] and [`ChainClient::check`].
    ///
    /// # Errors
    /// As these two.
    pub async fn connect(config: &EvmConfig) -> Result<Self, ConnectError> {
        let client = Self::new(config)?;
        client.check().await?;
        Ok(client)
    }

    /// Checks chain id, contract, token and decimals, unless that was done before; gives the
    /// payment token's address.
    ///
    /// # Errors
    /// What does not fit. [`ConnectError::is_outage`] tells an outage, which passes, from a
    /// mismatch, with which nothing may run.
    pub async fn check(&self) -> Result<WalletAddress, ConnectError> {
        self.token().await.map(convert::wallet)
    }

    /// How long an owner's withdrawal waits: the time there is to notice and to settle.
    ///
    /// # Errors
    /// As [`ChainClient::check`].
    pub async fn withdrawal_delay(&self) -> Result<Duration, ConnectError> {
        let contract = self.contract().await?;
        let delay = contract.withdrawalDelay();
        let seconds = self.node().ask("withdrawalDelay()", delay.call()).await;
        Ok(Duration::from_secs(seconds.map_err(ConnectError::Unreachable)?))
    }

    /// The chain's id, as configured.
    pub fn chain_id(&self) -> u64 {
        self.inner.chain_id
    }

    /// The orchestrator's address, as configured.
    pub fn orchestrator(&self) -> WalletAddress {
        convert::wallet(self.inner.orchestrator)
    }

    /// The payment token's decimals, as configured and checked.
    pub fn decimals(&self) -> Decimals {
        self.inner.decimals
    }

    /// Depths of confirmed and of final blocks.
    pub fn depths(&self) -> Depths {
        self.inner.depths
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.inner.node
    }

    /// The checked payment token.
    pub(crate) async fn token(&self) -> Result<Address, ConnectError> {
        self.inner.token.get_or_try_init(|| self.examine()).await.copied()
    }

    /// The checked orchestrator.
    pub(crate) async fn contract(
        &self,
    ) -> Result<HaitheOrchestratorInstance<impl Provider + Clone>, ConnectError> {
        self.token().await?;
        Ok(self.unchecked())
    }

    fn unchecked(&self) -> HaitheOrchestratorInstance<impl Provider + Clone + use<>> {
        HaitheOrchestrator::new(self.inner.orchestrator, self.node().provider().clone())
    }

    async fn examine(&self) -> Result<Address, ConnectError> {
        let (node, provider) = (self.node(), self.node().provider());
        let found = node
            .ask("eth_chainId", provider.get_chain_id())
            .await
            .map_err(ConnectError::Unreachable)?;
        if found != self.inner.chain_id {
            return Err(ConnectError::ChainId {
                found,
                wanted: self.inner.chain_id,
            });
        }
        let address = self.inner.orchestrator;
        let code = node
            .ask("eth_getCode", provider.get_code_at(address))
            .await
            .map_err(ConnectError::Unreachable)?;
        if code.is_empty() {
            return Err(ConnectError::NoContract {
                address: address.to_string(),
            });
        }
        let contract = self.unchecked();
        let usdt = contract.usdt();
        let token = node
            .ask("usdt()", usdt.call())
            .await
            .map_err(|error| misfit(address, error))?;
        let coin = TestUsdt::new(token, provider.clone());
        let decimals = coin.decimals();
        let found = node
            .ask("decimals()", decimals.call())
            .await
            .map_err(|error| misfit(token, error))?;
        let wanted = u8::from(self.inner.decimals);
        if found != wanted {
            return Err(ConnectError::Decimals {
                token: token.to_string(),
                found,
                wanted,
            });
        }
        Ok(token)
    }
}

/// A contract that reverts or answers nonsense is the wrong one; silence says nothing about it.
fn misfit(address: Address, error: NodeError) -> ConnectError {
    let reason = match &error {
        NodeError::Nonsense(reason) => Some(reason.clone()),
        _ => error.revert_reason(),
    };
    match reason {
        Some(reason) => ConnectError::NotAnOrchestrator {
            address: address.to_string(),
            reason,
        },
        None => ConnectError::Unreachable(error),
    }
}
