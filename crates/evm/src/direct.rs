//! Transactions sent one by one and waited for, outside the outbox: deployment and development.
//!
//! Never with a key that a [`Sender`](crate::Sender) is using at the same time.

use crate::{
    config::ServerKey,
    failure::NodeError,
    node::Node,
    sign::{Fees, Terms, Unsigned, sign},
};
use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256},
    providers::Provider,
    rpc::types::TransactionReceipt,
};
use std::time::Duration;

/// Longest wait for a transaction's block.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked for.
const POLL: Duration = Duration::from_millis(200);

/// Why a plain transaction did not go through.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// The contract refuses; nothing was sent.
    #[error("{what} was refused: {reason}")]
    Refused {
        /// The step.
        what: &'static str,
        /// The contract's words.
        reason: String,
    },
    /// Mined, and failed there.
    #[error("{what} failed in transaction {hash}")]
    Reverted {
        /// The step.
        what: &'static str,
        /// The transaction.
        hash: B256,
    },
    /// Sent and not mined in three minutes. Trying again finds it.
    #[error("{what} was sent as {hash} and is not mined yet; run the same command again")]
    Slow {
        /// The step.
        what: &'static str,
        /// The transaction.
        hash: B256,
    },
    /// Earlier transactions of the key wait for a block.
    #[error("earlier transactions of {0} wait for a block; run the same command again once they are mined")]
    Busy(Address),
    /// The node.
    #[error("{what}: {source}")]
    Node {
        /// The step.
        what: &'static str,
        /// What it said.
        source: NodeError,
    },
}

/// A key that sends plain transactions.
pub(crate) struct Direct<'a> {
    pub node: &'a Node,
    pub chain_id: u64,
    pub key: &'a ServerKey,
}

impl Direct<'_> {
    pub fn address(&self) -> Address {
        self.key.0.address()
    }

    /// The next nonce, once nothing of an earlier run is under way.
    pub async fn quiet_nonce(&self) -> Result<u64, DirectError> {
        let pause = |source| DirectError::Node {
            what: "reading the account",
            source,
        };
        let wait = async {
            loop {
                let mined = self.nonce(BlockNumberOrTag::Latest).await.map_err(pause)?;
                if self.nonce(BlockNumberOrTag::Pending).await.map_err(pause)? == mined {
                    return Ok(mined);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or(Err(DirectError::Busy(self.address())))
    }

    async fn nonce(&self, tag: BlockNumberOrTag) -> Result<u64, NodeError> {
        let question = self
            .node
            .provider()
            .get_transaction_count(self.address())
            .block_id(tag.into());
        self.node.ask("eth_getTransactionCount", question).await
    }

    /// Sends and waits for the block; `what` names the step in errors.
    pub async fn send(&self, what: &'static str, tx: &Unsigned) -> Result<TransactionReceipt, DirectError> {
        let nonce = self.quiet_nonce().await?;
        let prepared = self.prepare(tx, nonce).await;
        let signed = prepared.map_err(|source| match source.revert_reason() {
            Some(reason) => DirectError::Refused { what, reason },
            None => DirectError::Node { what, source },
        })?;
        let hash = signed.hash;
        let sent = self
            .node
            .ask(
                "eth_sendRawTransaction",
                self.node.provider().send_raw_transaction(&signed.raw),
            )
            .await;
        if let Err(source @ NodeError::Refused(_)) = sent {
            return Err(DirectError::Node { what, source });
        }
        // No answer is no refusal: the transaction may be there.
        let receipt = async {
            loop {
                let question = self.node.provider().get_transaction_receipt(hash);
                match self.node.ask("eth_getTransactionReceipt", question).await {
                    Ok(Some(receipt)) if receipt.status() => return Ok(receipt),
                    Ok(Some(_)) => return Err(DirectError::Reverted { what, hash }),
                    Ok(None) | Err(_) => tokio::time::sleep(POLL).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, receipt)
            .await
            .unwrap_or(Err(DirectError::Slow { what, hash }))
    }

    async fn prepare(&self, tx: &Unsigned, nonce: u64) -> Result<crate::sign::Signed, NodeError> {
        let provider = self.node.provider();
        let question = provider
            .estimate_gas(tx.question(self.address()))
            .block(BlockNumberOrTag::Latest.into());
        let gas = self.node.ask("eth_estimateGas", question).await?;
        let fees: Fees = self
            .node
            .ask("eth_feeHistory", provider.estimate_eip1559_fees())
            .await?
            .into();
        let terms = Terms {
            chain_id: self.chain_id,
            nonce,
            gas_limit: gas.saturating_add(gas / 5),
            fees,
        };
        sign(self.key, tx, terms)
    }
}
