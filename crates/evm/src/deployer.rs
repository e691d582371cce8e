//! Deploys organizations for wallets, at the server's expense and within budgets.

use crate::{
    client::ChainClient,
    config::SponsorBudget,
    contracts::HaitheOrchestrator,
    convert,
    on_behalf::{OnBehalf, Unsent, Wanted},
    sender::SenderHandle,
};
use alloy::{
    primitives::B256,
    providers::Provider,
    sol_types::{SolCall, SolEvent},
};
use async_trait::async_trait;
use haithe_billing::{
    outbox::{TxIntent, TxPurpose},
    ports::TxOutbox,
};
use haithe_kernel::{ClientNetwork, Clock, WalletAddress};
use haithe_orgs::{
    TransactionSummary, UnsignedTransaction,
    ports::{DeployError, OrgDeployer},
};
use std::sync::Arc;
use tokio::time::timeout_at;

/// [`OrgDeployer`] through the outbox.
#[derive(Debug)]
pub struct EvmOrgDeployer {
    chain: OnBehalf,
}

impl EvmOrgDeployer {
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

    /// A name that somebody has costs no transaction. An intent that is live may be why it is taken.
    async fn expect_free(&self, key: &str, name: &str) -> Result<(), DeployError> {
        if !self.chain.is_live(key).await? && self.name_exists(name).await? {
            return Err(DeployError::NameTaken);
        }
        Ok(())
    }

    async fn name_exists(&self, name: &str) -> Result<bool, Unsent> {
        let contract = self.chain.client.contract().await?;
        let exists = contract.organizationNameExists(name.to_owned());
        let exists = self.chain.node.ask("organizationNameExists()", exists.call());
        Ok(exists.await?)
    }

    /// The contract that a mined transaction made.
    async fn made(&self, intent: &TxIntent, name: &str) -> Result<WalletAddress, DeployError> {
        let (hash, _) = intent.mined.ok_or(DeployError::Pending)?;
        let node = &self.chain.node;
        let question = node.provider().get_transaction_receipt(B256::new(hash));
        let receipt = node.ask("eth_getTransactionReceipt", question).await;
        let receipt = receipt.map_err(Unsent::from)?.ok_or(DeployError::Pending)?;
        let orchestrator = convert::address(self.chain.client.orchestrator());
        let created = receipt
            .logs()
            .iter()
            .filter(|log| log.address() == orchestrator)
            .find_map(|log| {
                let event = HaitheOrchestrator::OrganizationCreated::decode_log(&log.inner).ok()?;
                Some(convert::wallet(event.organization))
            });
        match created {
            Some(org) => Ok(org),
            // It reverted. Most likely another transaction was first with the name.
            None if self.name_exists(name).await? => Err(DeployError::NameTaken),
            None => Err(DeployError::Unavailable("the transaction reverted".into())),
        }
    }
}

#[async_trait]
impl OrgDeployer for EvmOrgDeployer {
    async fn deploy(
        &self,
        name: String,
        owner: WalletAddress,
        network: Option<ClientNetwork>,
    ) -> Result<WalletAddress, DeployError> {
        let deadline = self.chain.deadline();
        let key = format!("org/{owner}/{name}");
        let asked = timeout_at(deadline, self.expect_free(&key, &name)).await;
        asked.unwrap_or_else(|_| Err(DeployError::Unavailable("no answer in time".into())))?;
        let call = HaitheOrchestrator::createOrganizationForCall {
            name: name.clone(),
            owner_: convert::address(owner),
        };
        let wanted = Wanted {
            key,
            purpose: TxPurpose::CreateOrganization,
            to: self.chain.client.orchestrator(),
            data: call.abi_encode(),
            on_behalf: owner,
            network,
        };
        let intent = self.chain.send(wanted, deadline).await?;
        self.made(&intent, &name).await
    }

    fn transaction(&self, name: String, owner: WalletAddress) -> UnsignedTransaction {
        let orchestrator = self.chain.client.orchestrator();
        let action = format!("Create the organization `{name}`, owned by the signing wallet");
        UnsignedTransaction {
            from: owner,
            to: orchestrator,
            data: HaitheOrchestrator::createOrganizationCall { name }.abi_encode(),
            chain_id: self.chain.client.chain_id(),
            summary: TransactionSummary::new(action, owner, orchestrator),
        }
    }
}

impl From<Unsent> for DeployError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::NotSponsored => Self::NotSponsored,
            Unsent::BudgetSpent(left) => Self::BudgetSpent(left),
            Unsent::Reserved => Self::Reserved,
            Unsent::Pending => Self::Pending,
            Unsent::Refused(words) if words.contains("NameTaken") => Self::NameTaken,
            Unsent::Refused(words) => Self::Unavailable(words.into()),
            Unsent::Away(source) => Self::Unavailable(source),
        }
    }
}
