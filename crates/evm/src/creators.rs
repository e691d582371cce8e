//! Registers creators: the orchestrator mints their identity on the server's word alone.

use crate::{
    client::ChainClient,
    config::SponsorBudget,
    contracts::{CreatorIdentity, HaitheOrchestrator},
    convert,
    on_behalf::{OnBehalf, Unsent, Wanted},
    sender::SenderHandle,
};
use alloy::sol_types::SolCall;
use async_trait::async_trait;
use haithe_billing::{outbox::TxPurpose, ports::TxOutbox};
use haithe_kernel::{ClientNetwork, Clock, WalletAddress};
use haithe_marketplace::{
    NewCreator,
    ports::{CreatorRegistrar, RegisterError},
};
use haithe_orgs::{TransactionSummary, UnsignedTransaction};
use std::sync::Arc;
use tokio::time::timeout_at;

/// [`CreatorRegistrar`] through the outbox.
#[derive(Debug)]
pub struct EvmCreatorRegistrar {
    chain: OnBehalf,
}

impl EvmCreatorRegistrar {
    /// `signer` is the server's address, whose [`Sender`](crate::Sender) gave the handle.
    pub fn new(
        client: ChainClient,
        outbox: Arc<dyn TxOutbox>,
        sender: SenderHandle,
        signer: WalletAddress,
        clock: Arc<dyn Clock>,
        budget: SponsorBudget,
    ) -> Self {
        Self {
            chain: OnBehalf::new(client, outbox, sender, signer, clock, budget),
        }
    }

    /// The seed of the creator's next identity; `None` when it has one.
    async fn seed(&self, creator: WalletAddress) -> Result<Option<[u8; 32]>, Unsent> {
        let contract = self.chain.client.contract().await?;
        let address = convert::address(creator);
        let question = contract.creators(address);
        let id = self.chain.node.ask("creators()", question.call()).await?;
        if !id.is_zero() {
            return Ok(None);
        }
        let question = contract.creatorIdentity();
        let identity = self.chain.node.ask("creatorIdentity()", question.call()).await?;
        let identity = CreatorIdentity::new(identity, self.chain.node.provider());
        let question = identity.determineNextSeed(address);
        let seed = self
            .chain
            .node
            .ask("determineNextSeed()", question.call())
            .await?;
        Ok(Some(seed.0))
    }

    async fn begin(&self, new: &NewCreator) -> Result<[u8; 32], RegisterError> {
        let seed = self.seed(new.address).await.map_err(RegisterError::from)?;
        seed.ok_or(RegisterError::Registered)
    }
}

#[async_trait]
impl CreatorRegistrar for EvmCreatorRegistrar {
    async fn register(
        &self,
        new: NewCreator,
        network: Option<ClientNetwork>,
    ) -> Result<[u8; 32], RegisterError> {
        let deadline = self.chain.deadline();
        let asked = timeout_at(deadline, self.begin(&new)).await;
        let seed = asked.unwrap_or_else(|_| Err(Unsent::Away("no answer in time".into()).into()))?;
        let call = HaitheOrchestrator::registerAsCreatorCall {
            creator: convert::address(new.address),
            uri: new.uri,
            seed: seed.into(),
            pubKey: new.pub_key,
        };
        let wanted = Wanted {
            key: format!("creator/{}", new.address),
            purpose: TxPurpose::RegisterCreator,
            to: self.chain.client.orchestrator(),
            data: call.abi_encode(),
            on_behalf: new.address,
            network,
        };
        self.chain.send(wanted, deadline).await?;
        Ok(seed)
    }

    fn transaction(&self, new: NewCreator) -> UnsignedTransaction {
        let orchestrator = self.chain.client.orchestrator();
        let call = HaitheOrchestrator::registerCreatorCall {
            uri: new.uri,
            pubKey: new.pub_key,
        };
        UnsignedTransaction {
            from: new.address,
            to: orchestrator,
            data: call.abi_encode(),
            chain_id: self.chain.client.chain_id(),
            summary: TransactionSummary::new(
                "Register the signing wallet as a creator",
                new.address,
                orchestrator,
            ),
        }
    }
}

impl From<Unsent> for RegisterError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::NotSponsored => Self::NotSponsored,
            Unsent::BudgetSpent(left) => Self::BudgetSpent(left),
            Unsent::Reserved => Self::Reserved,
            Unsent::Pending => Self::Pending,
            Unsent::Refused(words) if words.contains("AlreadyRegistered") => Self::Registered,
            Unsent::Refused(words) => Self::Unavailable(words.into()),
            Unsent::Away(source) => Self::Unavailable(source),
        }
    }
}
