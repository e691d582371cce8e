//! Signatures of smart-contract wallets: ERC-1271, and ERC-6492 before they are deployed.

use crate::{client::ChainClient, contracts::SignatureProbe, convert, node::Node};
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
    ports::{ContractWallets, WalletCheckError},
};
use haithe_kernel::WalletAddress;

/// Longest signature looked at, in bytes. An ERC-6492 wrapper carries a factory's calldata.
const LONGEST: usize = 16 * 1024;

/// [`ContractWallets`] by one `eth_call` that deploys nothing.
#[derive(Debug, Clone)]
pub struct EvmContractWallets {
    client: ChainClient,
    node: Node,
    gas: u64,
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
        }
    }
}

#[async_trait]
impl ContractWallets for EvmContractWallets {
    async fn accepts(
        &self,
        address: WalletAddress,
        digest: MessageDigest,
        signature: Vec<u8>,
    ) -> Result<bool, WalletCheckError> {
        if signature.len() > LONGEST {
            return Ok(false);
        }
        // Another chain's wallets are other people's.
        self.client
            .check()
            .await
            .map_err(|error| WalletCheckError::Unavailable(Box::new(error)))?;
        let arguments = SignatureProbe::constructorCall {
            signer: convert::address(address),
            hash: B256::new(digest.0),
            signature: signature.into(),
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
            Err(error) => Err(WalletCheckError::Unavailable(Box::new(error))),
        }
    }
}
