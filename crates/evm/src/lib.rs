//! The chain adapter: everything Haithe knows of contracts, logs and transactions.

mod again;
mod client;
mod config;
mod contracts;
mod convert;
mod deploy;
mod deployer;
mod direct;
mod events;
mod failure;
mod money;
mod node;
mod reader;
mod sender;
mod settler;
mod sign;
mod wallets;

pub use client::ChainClient;
pub use config::{DeployBudget, EvmConfig, GWEI, KeyError, RpcLimits, SendPolicy, ServerKey};
pub use contracts::Contract;
pub use deploy::{DeployPlan, Deployment, DeploymentError, TokenPlan, deploy};
pub use deployer::EvmOrgDeployer;
pub use direct::DirectError;
pub use failure::{ConnectError, NodeError};
pub use money::TestMoney;
pub use node::Node;
pub use reader::EvmChainReader;
pub use sender::{Alarm, Lane, SendError, Sender, SenderHandle, SenderHealth, Step};
pub use settler::EvmSettler;
pub use wallets::EvmContractWallets;
