//! Signatures of smart-contract wallets: ERC-1271, and ERC-6492 before they are deployed.

use crate::{
    admission::Admission, client::ChainClient, contracts::SignatureProbe, convert, failure::NodeError,
    node::Node,
};
use alloy::{
    network::TransactionBuilder,
    primitives::{B256, Bytes},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::SolConstructor,
};
use async_trait::async_trait;
use haithe_identity::{
    challenge::MessageDigest,
    fair_queue::FairLimits,
    ports::{ContractWallets, WalletCheck, WalletCheckError},
};
use haithe_kernel::WalletAddress;
use std::{error::Error, sync::Arc, time::Duration};

/// Longest signature looked at, in bytes. An ERC-6492 wrapper carries a factory's calldata.
const LONGEST: usize = 16 * 1024;

/// Checks of one client network that wait for a place, at most.
const WAITING_PER_CLIENT: usize = 16;

/// [`ContractWallets`] by `eth_call`s that deploy nothing, one per digest.
#[derive(Debug, Clone)]
pub struct EvmContractWallets {
    client: ChainClient,
    node: Node,
    gas: u64,
    /// For all questions about one signature together, their queue included.
    patience: Duration,
    /// Who asks next.
    admission: Arc<Admission>,
}

impl EvmContractWallets {
    /// Asks the node of `client`, in a queue of its own.
    pub fn new(client: ChainClient) -> Self {
        let limits = *client.node().limits();
        let node = client
            .node()
            .lane(limits.stranger_concurrency, limits.request_timeout);
        Self {
            client,
            node,
            gas: limits.stranger_gas,
            patience: limits.request_timeout,
            admission: Arc::new(Admission::new(FairLimits {
                places: limits.stranger_concurrency,
                per_client: (limits.stranger_concurrency / 4).max(1),
                per_wallet: (limits.stranger_concurrency / 2).max(1),
                waiting_per_client: WAITING_PER_CLIENT,
            })),
        }
    }
}

impl EvmContractWallets {
    /// One question: does the wallet accept the signature over this digest?
    async fn accepts(
        &self,
        address: WalletAddress,
        digest: MessageDigest,
        signature: &Bytes,
    ) -> Result<bool, NodeError> {
        let arguments = SignatureProbe::constructorCall {
            signer: convert::address(address),
            hash: B256::new(digest.0),
            signature: signature.clone(),
        };
        let code: Bytes = [SignatureProbe::BYTECODE.as_ref(), &arguments.abi_encode()]
            .concat()
            .into();
        let question = TransactionRequest::default()
            .with_deploy_code(code)
            .with_gas_limit(self.gas);
        let call = self.node.provider().call(question).block(convert::at(None));
        match self.node.ask("eth_call", call).await {
            Ok(answer) => Ok(answer.as_ref() == [1]),
            Err(error) if error.is_execution_failure() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn first_accepted(
        &self,
        address: WalletAddress,
        digests: Vec<MessageDigest>,
        signature: Bytes,
    ) -> Result<Option<MessageDigest>, WalletCheckError> {
        // Another chain's wallets are other people's.
        self.client.check().await.map_err(unavailable)?;
        for digest in digests {
            let accepted = self.accepts(address, digest, &signature).await;
            if accepted.map_err(unavailable)? {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }
}

fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> WalletCheckError {
    WalletCheckError::Unavailable(error.into())
}

#[async_trait]
impl ContractWallets for EvmContractWallets {
    async fn accepted(&self, check: WalletCheck) -> Result<Option<MessageDigest>, WalletCheckError> {
        let WalletCheck {
            client,
            address,
            digests,
            signature,
        } = check;
        if signature.len() > LONGEST {
            return Ok(None);
        }
        let answer = async {
            let turn = self.admission.enter(client, address);
            let _turn = turn.await.map_err(|_| WalletCheckError::Crowded)?;
            self.first_accepted(address, digests, signature.into()).await
        };
        tokio::time::timeout(self.patience, answer)
            .await
            .unwrap_or_else(|elapsed| Err(unavailable(elapsed)))
    }
}
