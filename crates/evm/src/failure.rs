//! What nodes say when they do not answer, and what it means.
//!
//! Ethereum's JSON-RPC has no agreed error codes beyond a few (EIP-1474), so clients read messages.
//! The lists here are the words of geth, reth, Erigon, Nethermind, anvil, our development chain and
//! the hosted services that were looked at.

use crate::contracts::HaitheOrchestrator::HaitheOrchestratorErrors;
use alloy::{
    primitives::Bytes,
    rpc::json_rpc::{ErrorPayload, RpcError},
    sol_types::{ContractError, SolInterface},
    transports::{TransportError, TransportErrorKind, http::reqwest},
};
use haithe_billing::chain::ChainError;
use std::{error::Error, fmt::Debug, time::Duration};

/// The node gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No answer in time.
    #[error("{what}: the node did not answer within {after:?}")]
    Timeout {
        /// The question.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// An error as JSON-RPC has it.
    #[error("the node refused: {} (code {})", .0.message, .0.code)]
    Refused(ErrorPayload),
    /// No connection, or not HTTP as expected. The address is kept out: it may hold an access key.
    #[error("the node cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// An answer that makes no sense.
    #[error("the node answered nonsense: {0}")]
    Nonsense(String),
}

/// A client could not be made, or the chain is not the one it should be.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not an address.
    #[error("the node's address (rpc_url) must be an http:// or https:// URL")]
    Url,
    /// Another chain.
    #[error("the node serves chain {found}, but chain_id says {wanted}: correct rpc_url or chain_id")]
    ChainId {
        /// The node's.
        found: u64,
        /// The configuration's.
        wanted: u64,
    },
    /// Nothing is there.
    #[error("there is no contract at the orchestrator's address {address}: correct it, or deploy first")]
    NoContract {
        /// The address.
        address: String,
    },
    /// Something else is there.
    #[error("the contract at {address} does not answer as an orchestrator: {reason}")]
    NotAnOrchestrator {
        /// The address.
        address: String,
        /// What it said.
        reason: String,
    },
    /// Another token than the books are kept in.
    #[error(
        "the payment token {token} has {found} decimals, but the configuration says {wanted}: every amount would be wrong"
    )]
    Decimals {
        /// The token.
        token: String,
        /// The token's.
        found: u8,
        /// The configuration's.
        wanted: u8,
    },
    /// Nothing is known yet; trying again may help.
    #[error("the chain cannot be reached to check the contracts")]
    Unreachable(#[source] NodeError),
}

impl ConnectError {
    /// Whether trying again later may help. All other refusals need a person.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

impl From<ConnectError> for ChainError {
    fn from(error: ConnectError) -> Self {
        Self::unavailable(error)
    }
}

impl From<TransportError> for NodeError {
    fn from(error: TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => Self::Refused(payload),
            RpcError::Transport(TransportErrorKind::Custom(source)) => {
                Self::Unreachable(without_address(source))
            }
            RpcError::Transport(TransportErrorKind::HttpError(http)) if http.status == 413 => {
                Self::Refused(ErrorPayload {
                    code: 413,
                    message: "response too large".into(),
                    data: None,
                })
            }
            RpcError::Transport(kind) => Self::Unreachable(Box::new(kind)),
            other => Self::Nonsense(bounded(&other.to_string())),
        }
    }
}

impl From<alloy::contract::Error> for NodeError {
    fn from(error: alloy::contract::Error) -> Self {
        match error {
            alloy::contract::Error::TransportError(error) => error.into(),
            other => Self::Nonsense(bounded(&other.to_string())),
        }
    }
}

fn without_address(source: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
    match source.downcast::<reqwest::Error>() {
        Ok(error) => Box::new(error.without_url()),
        Err(other) => other,
    }
}

impl From<NodeError> for ChainError {
    fn from(error: NodeError) -> Self {
        match error.revert_reason() {
            Some(reason) => Self::Refused(reason),
            None => Self::unavailable(error),
        }
    }
}

impl NodeError {
    /// The node wants a smaller `eth_getLogs`. Only meaningful for that question.
    pub fn is_range_too_large(&self) -> bool {
        /// Seen in: geth, reth, Erigon, anvil, our chain, Infura, Alchemy, QuickNode, Ankr,
        /// Chainstack, Cloudflare, dRPC, public BSC and Polygon nodes.
        const WORDS: [&str; 22] = [
            "block range",
            "blocks range",
            "range limit",
            "range is too",
            "range too",
            "max range",
            "maximum range",
            "range exceed",
            "ranges over",
            "limited to a",
            "query returned more than",
            "more than 10000 results",
            "log response size",
            "response size",
            "response is too big",
            "response too large",
            "too many results",
            "too many logs",
            "max results",
            "maximum number of logs",
            "query timeout",
            "query exceeds",
        ];
        let Self::Refused(payload) = self else {
            return false;
        };
        let message = payload.message.to_lowercase();
        let rate = [
            "rate",
            "per second",
            "daily request",
            "credits",
            "too many requests",
        ];
        if rate.iter().any(|word| message.contains(word)) {
            return false;
        }
        payload.code == -32005 || WORDS.iter().any(|word| message.contains(word))
    }

    /// The contract's words, when the node ran the call and it reverted.
    pub fn revert_reason(&self) -> Option<String> {
        let Self::Refused(payload) = self else { return None };
        if let Some(data) = payload.as_revert_data().filter(|data| !data.is_empty()) {
            return Some(reason_of(&data));
        }
        let message = payload.message.to_lowercase();
        let reverted =
            payload.code == 3 || message.contains("execution reverted") || message.contains("vm exception");
        reverted.then(|| bounded(&payload.message))
    }

    /// What the contract said when it reverted; empty when it said nothing or did not revert.
    pub(crate) fn revert_data(&self) -> Bytes {
        match self {
            Self::Refused(payload) => payload.as_revert_data().unwrap_or_default(),
            _ => Bytes::new(),
        }
    }

    /// Whether the node ran the code and the code failed by itself, by whatever means.
    pub(crate) fn is_execution_failure(&self) -> bool {
        const WORDS: [&str; 11] = [
            "revert",
            "out of gas",
            "outofgas",
            "gas required exceeds",
            "invalid opcode",
            "opcode",
            "invalid jump",
            "stack",
            "vm exception",
            "evm error",
            "code size",
        ];
        let Self::Refused(payload) = self else {
            return false;
        };
        let message = payload.message.to_lowercase();
        payload.code == 3 || WORDS.iter().any(|word| message.contains(word))
    }
}

/// Revert data in words: our custom errors by name and arguments, `Error(string)`, `Panic`, or hex.
pub(crate) fn reason_of(data: &Bytes) -> String {
    match ContractError::<HaitheOrchestratorErrors>::abi_decode(data) {
        Ok(ContractError::CustomError(error)) => bounded(&inner(&error)),
        Ok(ContractError::Revert(revert)) => bounded(&revert.reason),
        Ok(ContractError::Panic(panic)) => bounded(&panic.to_string()),
        Err(_) => bounded(&format!("an unknown error {data}")),
    }
}

/// `NameTaken { name: "x" }` instead of `NameTaken(NameTaken { name: "x" })`.
fn inner(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    let inside = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.map_or_else(|| text.clone(), str::to_owned)
}

/// At most 300 characters, none of them a control character.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::HaitheOrchestrator;
    use alloy::sol_types::SolError;
    use serde_json::value::to_raw_value;

    fn refused(code: i64, message: &'static str, data: Option<Vec<u8>>) -> NodeError {
        NodeError::Refused(ErrorPayload {
            code,
            message: message.into(),
            data: data.map(|data| to_raw_value(&Bytes::from(data)).unwrap()),
        })
    }

    #[test]
    fn custom_errors_are_told_by_name_and_arguments() {
        let taken = HaitheOrchestrator::NameTaken {
            name: "ac\nme".to_owned(),
        };
        let error = refused(3, "execution reverted", Some(taken.abi_encode()));
        assert_eq!(error.revert_reason().unwrap(), r#"NameTaken { name: "ac\nme" }"#);
        let paused = refused(
            -32000,
            "execution reverted",
            Some(HaitheOrchestrator::EnforcedPause {}.abi_encode()),
        );
        assert_eq!(paused.revert_reason().unwrap(), "EnforcedPause");
    }

    #[test]
    fn other_reverts_are_told_as_well_as_they_can_be() {
        let text = alloy::sol_types::Revert::from("too late").abi_encode();
        assert_eq!(
            refused(3, "execution reverted", Some(text))
                .revert_reason()
                .unwrap(),
            "too late"
        );
        let unknown = refused(3, "execution reverted", Some(vec![1, 2, 3, 4]));
        assert_eq!(unknown.revert_reason().unwrap(), "an unknown error 0x01020304");
        let silent = refused(3, "execution reverted", None);
        assert_eq!(silent.revert_reason().unwrap(), "execution reverted");
    }

    #[test]
    fn what_is_no_revert_has_no_reason() {
        for error in [
            refused(-32005, "limit exceeded", None),
            refused(-32000, "nonce too low", None),
            NodeError::Nonsense("what".to_owned()),
        ] {
            assert_eq!(error.revert_reason(), None, "{error}");
            assert!(!error.is_execution_failure(), "{error}");
        }
        assert!(refused(-32000, "out of gas", None).is_execution_failure());
        assert!(refused(-32003, "EVM error InvalidFEOpcode", None).is_execution_failure());
    }
}
