//! The chain adapter: everything Haithe knows of contracts, logs and transactions.
//!
//! It owns alloy, the bindings made from the artifacts in `abi/`, and every rule of dealing with a
//! node that is slow, behind, mistaken or away. It must never know of tables, HTTP routes or what a
//! call costs: it implements ports of the domains and speaks their types.
//!
//! - [`Node`] bounds every question in time and number. [`ChainClient`] is Haithe on one chain: it
//!   checks chain id, contract and token once, before anything it reads is believed, and can be
//!   made while the chain is away.
//! - **Reading**: [`EvmChainReader`] turns logs into the domain's events (`events`), in chain order
//!   and each understood or left out by itself. [`EvmContractWallets`] asks smart wallets about
//!   signatures, which runs a stranger's code, bounded in gas and time.
//! - **Writing**: [`Sender`] is the one writer of a signing key. It takes intents from the durable
//!   outbox to final blocks through crashes, lost answers and reorganizations, and raises an
//!   [`Alarm`] where a person is needed. [`EvmSettler`], [`EvmOrgDeployer`],
//!   [`EvmRoleMirror`] and [`EvmFaucet`] only write intents and wake it. What only an owner can sign is encoded by
//!   [`EvmOwnerTransactions`].
//! - **Setting up**: [`deploy`] puts the contracts on a chain and finds them again; [`TestMoney`]
//!   mints for development. Both send plain transactions, with other keys than a sender's.
//!
//! What a node says when it refuses is read in one place (`failure`) for questions and in one
//! (`sender::answer`) for transactions: there are no codes to rely on, only words.
//!
//! Addresses of nodes are secrets, because hosted nodes put the access key into them: they are in
//! no error and no `Debug` output here. alloy's own HTTP transport names them in spans of level
//! `DEBUG`, so leave its log targets at `INFO`.

mod admission;
mod again;
mod client;
mod config;
mod contracts;
mod convert;
mod creators;
mod deploy;
mod deployer;
mod direct;
mod events;
mod failure;
mod faucet;
mod governance;
mod money;
mod node;
mod on_behalf;
mod owner;
mod payouts;
mod platform;
mod reader;
mod roles;
mod sender;
mod settler;
mod sign;
mod wallets;

pub use client::ChainClient;
pub use config::{EvmConfig, GWEI, KeyError, RoleBudget, RpcLimits, SendPolicy, ServerKey, SponsorBudget};
pub use contracts::Contract;
pub use creators::EvmCreatorRegistrar;
pub use deploy::{DeployPlan, Deployment, DeploymentError, TokenPlan, deploy, token_decimals};
pub use deployer::EvmOrgDeployer;
pub use direct::DirectError;
pub use failure::{ConnectError, NodeError};
pub use faucet::EvmFaucet;
pub use money::TestMoney;
pub use node::Node;
pub use owner::EvmOwnerTransactions;
pub use payouts::EvmCreatorTransactions;
pub use reader::EvmChainReader;
pub use roles::EvmRoleMirror;
pub use sender::{Alarm, Lane, SendError, Sender, SenderHandle, SenderHealth, Step};
pub use settler::EvmSettler;
pub use wallets::EvmContractWallets;
