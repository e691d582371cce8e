//! A chain with Haithe on it.

use alloy::primitives::{Address, B256};
use haithe_billing::chain::Depths;
use haithe_devchain::{DemoAccount, DevChain, DevChainConfig, demo_accounts};
use haithe_evm::{
    ChainClient, DeployPlan, Deployment, EvmConfig, Node, RpcLimits, ServerKey, TestMoney, TokenPlan, deploy,
};
use haithe_kernel::{Decimals, TokenUnits, WalletAddress};
use secrecy::SecretString;
use std::time::Duration;

pub const DAY: u64 = 86_400;
pub const LIMITS: RpcLimits = RpcLimits {
    timeout: Duration::from_secs(10),
    request_timeout: Duration::from_secs(3),
    concurrency: 16,
    stranger_concurrency: 8,
    stranger_gas: 5_000_000,
};

pub fn wallet(address: Address) -> WalletAddress {
    WalletAddress::new(address.into_array())
}

pub fn address(wallet: WalletAddress) -> Address {
    Address::new(*wallet.as_bytes())
}

pub fn key(account: &DemoAccount) -> ServerKey {
    secret(account.key)
}

pub fn secret(key: B256) -> ServerKey {
    ServerKey::parse(&SecretString::from(key.to_string())).unwrap()
}

/// Who is who on the chain: the first demo account deploys, owns and mints.
pub fn owner() -> &'static DemoAccount {
    &demo_accounts()[0]
}
/// The server's hot key.
pub fn server() -> &'static DemoAccount {
    &demo_accounts()[1]
}
/// Somebody with an organization.
pub fn alice() -> &'static DemoAccount {
    &demo_accounts()[2]
}
/// Somebody with another one.
pub fn bob() -> &'static DemoAccount {
    &demo_accounts()[3]
}

pub fn decimals(digits: u8) -> Decimals {
    Decimals::new(digits).unwrap()
}

pub fn plan(digits: u8) -> DeployPlan {
    DeployPlan {
        token: TokenPlan::Test(decimals(digits)),
        owner: wallet(owner().address),
        server: wallet(server().address),
        guardian: wallet(owner().address),
        withdrawal_delay: Duration::from_secs(DAY),
        initial_daily_cap: None,
    }
}

pub fn config(deployment: &Deployment) -> EvmConfig {
    EvmConfig {
        rpc_url: SecretString::from("http://127.0.0.1:1"),
        chain_id: deployment.chain_id,
        orchestrator: deployment.orchestrator,
        decimals: deployment.decimals,
        depths: Depths {
            confirmations: 1,
            finality: 3,
        },
        limits: LIMITS,
    }
}

/// A chain in process with the contracts deployed.
pub struct Chain {
    pub dev: DevChain,
    pub node: Node,
    pub deployment: Deployment,
    pub client: ChainClient,
}

impl Chain {
    pub async fn new() -> Self {
        Self::with(DevChainConfig::default(), 18).await
    }

    pub async fn with(config_: DevChainConfig, digits: u8) -> Self {
        let dev = DevChain::start(config_).unwrap();
        let node = Node::over(dev.rpc_client(), LIMITS);
        let deployment = deploy(&node, dev.chain_id(), &key(owner()), &plan(digits))
            .await
            .unwrap();
        let client = ChainClient::on(node.clone(), &config(&deployment));
        Self {
            dev,
            node,
            deployment,
            client,
        }
    }

    pub fn money(&self) -> TestMoney {
        TestMoney::new(
            self.node.clone(),
            self.deployment.chain_id,
            self.deployment.usdt,
            key(owner()),
        )
    }

    /// Puts tokens into a contract or a wallet.
    pub async fn mint(&self, to: WalletAddress, units: u128) {
        self.money().top_up(to, TokenUnits::new(units)).await.unwrap();
    }
}
