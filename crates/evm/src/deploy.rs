//! Puts the contracts on a chain, in steps that may be run again.
//!
//! Nothing is kept between runs: an address made by a plain transaction follows from the key and
//! its nonce, so a step that was done before is found again by looking there.

use crate::{
    config::ServerKey,
    contracts::{HaitheOrchestrator, TestUsdt},
    convert,
    direct::{Direct, DirectError},
    failure::NodeError,
    node::Node,
    sign::Unsigned,
};
use alloy::{
    primitives::{Address, Bytes, U256},
    providers::Provider,
    rpc::types::Filter,
    sol_types::{SolConstructor, SolEvent},
};
use futures::future::try_join_all;
use haithe_kernel::{Decimals, MoneyError, TokenUnits, WalletAddress};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Contracts are looked for among this many first transactions of the deploying key.
const FIRST_TRANSACTIONS: u64 = 64;

/// Where the payment token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPlan {
    /// A test token (tUSDT) of the deploying key, with these decimals.
    Test(Decimals),
    /// A token that is there; the books are kept in these decimals.
    Existing(WalletAddress, Decimals),
}

/// What to deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployPlan {
    /// The payment token.
    pub token: TokenPlan,
    /// The cold key that governs.
    pub owner: WalletAddress,
    /// The hot key that settles.
    pub server: WalletAddress,
    /// The key that can pause; the zero address for none.
    pub guardian: WalletAddress,
    /// Between the request of a withdrawal and its execution: 1 s to 5 days.
    pub withdrawal_delay: Duration,
    /// The daily cap a new organization begins with; `None` is no cap.
    pub initial_daily_cap: Option<TokenUnits>,
    /// Between the announcement of a product's higher price and its effect: 1 s to 30 days.
    pub price_notice: Duration,
}

/// What is on the chain now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The chain.
    pub chain_id: u64,
    /// The orchestrator.
    pub orchestrator: WalletAddress,
    /// The payment token.
    pub usdt: WalletAddress,
    /// Its decimals.
    pub decimals: Decimals,
    /// The orchestrator's first block: nothing before it concerns the index.
    pub start_block: u64,
}

/// Why nothing, or not everything, was deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// Another chain.
    #[error("the node serves chain {found}, but chain_id says {wanted}: nothing was deployed")]
    ChainId {
        /// The node's.
        found: u64,
        /// The configuration's.
        wanted: u64,
    },
    /// The existing token does not fit.
    #[error("the token {token} has {found} decimals, not {wanted}: nothing was deployed")]
    Decimals {
        /// The token.
        token: WalletAddress,
        /// The token's.
        found: u8,
        /// The plan's.
        wanted: u8,
    },
    /// The existing token cannot be used.
    #[error("the token {token} cannot be used: {source}; nothing was deployed")]
    Token {
        /// The token.
        token: WalletAddress,
        /// Why.
        source: MoneyError,
    },
    /// A transaction.
    #[error(transparent)]
    Transaction(#[from] DirectError),
    /// The node.
    #[error("the chain cannot be read: {0}")]
    Node(#[from] NodeError),
}

/// Deploys what is missing of `plan` with `key`, and says what is there. Running it again, also
/// after it was interrupted, changes nothing that is done: contracts of the same plan are found
/// among the first 64 transactions of the key.
///
/// # Errors
/// See [`DeploymentError`]; what was deployed until then is found by the next run.
pub async fn deploy(
    node: &Node,
    chain_id: u64,
    key: &ServerKey,
    plan: &DeployPlan,
) -> Result<Deployment, DeploymentError> {
    expect_chain(node, chain_id).await?;
    let run = Run {
        node,
        direct: Direct { node, chain_id, key },
        plan,
    };
    let (usdt, decimals) = run.token().await?;
    let orchestrator = run.orchestrator(usdt).await?;
    Ok(Deployment {
        chain_id,
        orchestrator: convert::wallet(orchestrator),
        usdt: convert::wallet(usdt),
        decimals,
        start_block: run.first_block(orchestrator).await?,
    })
}

/// The decimals of a token that exists. Sends no transaction.
///
/// # Errors
/// [`DeploymentError::ChainId`], [`DeploymentError::Token`] for decimals that the ledger cannot keep,
/// and [`DeploymentError::Node`], also when there is no token at the address.
pub async fn token_decimals(
    node: &Node,
    chain_id: u64,
    token: WalletAddress,
) -> Result<Decimals, DeploymentError> {
    expect_chain(node, chain_id).await?;
    let found = decimals(node, convert::address(token)).await?;
    Decimals::new(found).map_err(|source| DeploymentError::Token { token, source })
}

async fn expect_chain(node: &Node, chain_id: u64) -> Result<(), DeploymentError> {
    let found = node.ask("eth_chainId", node.provider().get_chain_id()).await?;
    if found != chain_id {
        return Err(DeploymentError::ChainId {
            found,
            wanted: chain_id,
        });
    }
    Ok(())
}

async fn decimals(node: &Node, token: Address) -> Result<u8, NodeError> {
    let token = TestUsdt::new(token, node.provider().clone());
    let decimals = token.decimals();
    node.ask("decimals()", decimals.call()).await
}

struct Run<'a> {
    node: &'a Node,
    direct: Direct<'a>,
    plan: &'a DeployPlan,
}

impl Run<'_> {
    async fn token(&self) -> Result<(Address, Decimals), DeploymentError> {
        match self.plan.token {
            TokenPlan::Existing(token, planned) => {
                let found = decimals(self.node, convert::address(token)).await?;
                let wanted = u8::from(planned);
                if found != wanted {
                    return Err(DeploymentError::Decimals { token, found, wanted });
                }
                Ok((convert::address(token), planned))
            }
            TokenPlan::Test(wanted) => {
                for candidate in self.made(TestUsdt::DEPLOYED_BYTECODE.len()).await? {
                    if decimals(self.node, candidate).await? == u8::from(wanted) {
                        return Ok((candidate, wanted));
                    }
                }
                let arguments = TestUsdt::constructorCall {
                    decimals_: wanted.into(),
                    owner_: self.direct.address(),
                };
                let token = self
                    .create("deploying tUSDT", &TestUsdt::BYTECODE, &arguments.abi_encode())
                    .await?;
                Ok((token, wanted))
            }
        }
    }

    async fn orchestrator(&self, usdt: Address) -> Result<Address, DeploymentError> {
        for candidate in self.made(HaitheOrchestrator::DEPLOYED_BYTECODE.len()).await? {
            if self.is_planned(candidate, usdt).await? {
                return Ok(candidate);
            }
        }
        let arguments = HaitheOrchestrator::constructorCall {
            usdt_: usdt,
            owner_: convert::address(self.plan.owner),
            server_: convert::address(self.plan.server),
            guardian_: convert::address(self.plan.guardian),
            withdrawalDelay_: self.plan.withdrawal_delay.as_secs(),
            initialDailyCap_: self.cap(),
            priceNotice_: self.plan.price_notice.as_secs(),
        };
        let code = &HaitheOrchestrator::BYTECODE;
        Ok(self
            .create("deploying the orchestrator", code, &arguments.abi_encode())
            .await?)
    }

    fn cap(&self) -> U256 {
        self.plan
            .initial_daily_cap
            .map_or(U256::MAX, |cap| U256::from(cap.get()))
    }

    /// Whether a contract of the right size is the orchestrator of this plan.
    async fn is_planned(&self, candidate: Address, usdt: Address) -> Result<bool, NodeError> {
        let contract = HaitheOrchestrator::new(candidate, self.node.provider().clone());
        let (token, owner, server) = (contract.usdt(), contract.owner(), contract.server());
        let (delay, cap) = (contract.withdrawalDelay(), contract.initialDailyCap());
        let notice = contract.priceNotice();
        let same = self.node.ask("usdt()", token.call()).await? == usdt
            && self.node.ask("owner()", owner.call()).await? == convert::address(self.plan.owner)
            && self.node.ask("server()", server.call()).await? == convert::address(self.plan.server)
            && self.node.ask("withdrawalDelay()", delay.call()).await?
                == self.plan.withdrawal_delay.as_secs()
            && self.node.ask("initialDailyCap()", cap.call()).await? == self.cap()
            && self.node.ask("priceNotice()", notice.call()).await? == self.plan.price_notice.as_secs();
        Ok(same)
    }

    /// Contracts with this much code that the key's first transactions made, the oldest first.
    async fn made(&self, size: usize) -> Result<Vec<Address>, DeploymentError> {
        let count = self.direct.quiet_nonce().await?.min(FIRST_TRANSACTIONS);
        let codes = try_join_all((0..count).map(|nonce| async move {
            let address = self.direct.address().create(nonce);
            let code = self
                .node
                .ask("eth_getCode", self.node.provider().get_code_at(address))
                .await?;
            Ok::<_, NodeError>((code.len() == size).then_some(address))
        }));
        Ok(codes.await?.into_iter().flatten().collect())
    }

    async fn create(
        &self,
        what: &'static str,
        code: &Bytes,
        arguments: &[u8],
    ) -> Result<Address, DirectError> {
        let tx = Unsigned {
            to: None,
            data: [code.as_ref(), arguments].concat().into(),
        };
        let receipt = self.direct.send(what, &tx).await?;
        receipt.contract_address.ok_or(DirectError::Reverted {
            what,
            hash: receipt.transaction_hash,
        })
    }

    /// The block of the orchestrator's first event. A node that cannot say gives the chain's
    /// first block, from which indexing only takes longer.
    async fn first_block(&self, orchestrator: Address) -> Result<u64, NodeError> {
        let first = Filter::new()
            .address(orchestrator)
            .event_signature(HaitheOrchestrator::ServerChanged::SIGNATURE_HASH)
            .topic1(Address::ZERO.into_word())
            .from_block(0);
        match self
            .node
            .ask("eth_getLogs", self.node.provider().get_logs(&first))
            .await
        {
            Ok(logs) => Ok(logs.first().and_then(|log| log.block_number).unwrap_or(0)),
            Err(error) if error.is_range_too_large() => Ok(0),
            Err(error) => Err(error),
        }
    }
}
