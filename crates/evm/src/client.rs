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
use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::{Address, Bytes, U256},
    providers::Provider,
    rpc::{client::RpcClient, types::TransactionRequest},
};
use haithe_billing::chain::Depths;
use haithe_kernel::{Decimals, WalletAddress};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// The most gas of one transaction (EIP-7825).
const MOST_GAS: u64 = 1 << 24;

/// What the call of [`ChainClient::gas_ceiling`] uses before its code reads the gas that is left.
const CALL_GAS: u64 = 60_000;

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

    /// The most gas that one call can use: the block's gas limit, or the node's own limit for
    /// `eth_call` if that is lower. `None` when the node does not show it.
    pub async fn gas_ceiling(&self) -> Option<u64> {
        let (node, provider) = (self.node(), self.node().provider());
        let latest = provider.get_block(BlockNumberOrTag::Latest.into());
        let block = async { latest.await };
        let block = node.ask("eth_getBlockByNumber", block).await.ok()??;
        let limit = block.header.gas_limit;
        // Code that returns the gas that is left: GAS, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN.
        let code = Bytes::from_static(&[0x5a, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
        let request = TransactionRequest::default()
            .with_deploy_code(code)
            .with_gas_limit(limit.min(MOST_GAS));
        let left = node.ask("eth_call", provider.call(request)).await;
        let left = left.ok().filter(|left| left.len() == 32);
        let left = left.and_then(|left| u64::try_from(U256::from_be_slice(&left)).ok());
        // What the call itself took is less than this.
        let called = left.map_or(u64::MAX, |left| left.saturating_add(CALL_GAS));
        Some(called.min(limit))
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
