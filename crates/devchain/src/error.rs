//! Why a chain did not start, and why a request was refused.

use alloy::{
    primitives::Bytes,
    sol_types::{Panic, Revert, SolError},
};
use std::{io, path::PathBuf};

/// A chain could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// The journal could not be opened, locked, read or written.
    #[error("the chain journal {path} cannot be used: {source}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The journal belongs to another chain.
    #[error("the chain journal {path} is of chain {found}, not {wanted}: choose another file or chain id")]
    OtherChain {
        /// The file.
        path: PathBuf,
        /// Chain id in the file.
        found: u64,
        /// Chain id asked for.
        wanted: u64,
    },
    /// The journal does not say what this program would have written.
    #[error(
        "line {line} of the chain journal {path} cannot be replayed: {reason}; move the file away to begin a new chain"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused a thread.
    #[error("the mining thread cannot be started: {0}")]
    Thread(io::Error),
}

/// A JSON-RPC error, worded as geth words it where clients look at the words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// JSON-RPC or EIP-1474 code; 3 is an execution that reverted.
    pub code: i64,
    /// One line for a person, and for clients that match on it.
    pub message: String,
    /// What the contract said when it reverted.
    pub data: Option<Bytes>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// -32000: the node will not do it.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(-32_000, message)
    }

    /// -32602: the parameters make no sense.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(-32_602, message)
    }

    /// -32005: more than the node is willing to answer.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(-32_005, message)
    }

    /// -32601: no such method.
    pub fn method(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(
            -32_601,
            format!("the method {name} does not exist/is not available"),
        )
    }

    /// -32603: the node itself failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(-32_603, message)
    }

    /// 3: the contract reverted with `data`.
    pub fn reverted(data: Bytes) -> Self {
        let reason = match (Revert::abi_decode(&data), Panic::abi_decode(&data)) {
            (Ok(revert), _) => format!(": {}", revert.reason),
            (_, Ok(panic)) => format!(": {panic}"),
            _ => String::new(),
        };
        let message = format!("execution reverted{reason}");
        Self {
            code: 3,
            message,
            data: Some(data),
        }
    }
}
