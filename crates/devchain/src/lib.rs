//! An Ethereum chain for development and tests, whole in one process.
//!
//! [`DevChain`] is a node without a network: it takes signed transactions into a mempool, runs
//! them with revm, seals blocks with real header hashes, transaction and receipt roots, and
//! answers the JSON-RPC that wallets and libraries speak. Use it in three ways:
//!
//! - **in a test**: [`DevChain::rpc_client`] is an alloy transport, no port and no process;
//! - **over HTTP**: [`DevChain::serve`] for viem, MetaMask, cast;
//! - **as a program**: `haithe-devchain`, which keeps its chain in a journal file.
//!
//! ```
//! use haithe_devchain::{DevChain, DevChainConfig};
//!
//! let chain = DevChain::start(DevChainConfig::default())?;
//! let provider = alloy::providers::ProviderBuilder::new().connect_client(chain.rpc_client());
//! chain.advance_time(3600);
//! assert_eq!(chain.head().number, 1);
//! # let _ = provider;
//! # Ok::<(), haithe_devchain::StartError>(())
//! ```
//!
//! What real networks do to software can be done to it on purpose: time travel, snapshots,
//! reorgs, a mempool that holds or forgets, base-fee spikes, slow, failing and lost answers.
//!
//! The way of a transaction: `rpc` parses → `admission` checks it as geth would → `pool` orders
//! it → `mine` runs it through `execute` on `state` and seals a block in `blocks` → `journal`
//! writes it down. `simulate` and `logs` answer questions; `node` holds all of it behind one lock.
//!
//! What is deliberately absent: consensus, peers, blobs, uncles, traces, unlocked accounts
//! (the node holds no keys), and Merkle-Patricia state roots: the header's `stateRoot` is a hash
//! over all state changes, good for comparing chains and useless for proofs, so there is no
//! `eth_getProof`. The system contracts of EIP-4788 and EIP-2935 are not deployed.

mod accounts;
mod admission;
mod blocks;
mod chain;
mod clock;
mod config;
mod error;
mod execute;
mod faults;
mod filters;
mod journal;
mod logs;
mod mine;
mod node;
mod pool;
mod render;
mod replay;
mod rpc;
mod server;
mod simulate;
mod state;
mod ticker;
mod transport;

pub use accounts::{DEMO_ACCOUNTS, DEMO_BALANCE, DemoAccount, demo_accounts};
pub use chain::DevChain;
pub use config::{DEFAULT_CHAIN_ID, DevChainConfig, GWEI, Hardfork, LogLimits, Mining};
pub use error::{RpcError, StartError};
pub use mine::ReorgTxs;
pub use server::ServedChain;
