//! Deploys organizations for wallets, at the server's expense and within budgets.

use crate::{
    again,
    client::ChainClient,
    config::DeployBudget,
    contracts::HaitheOrchestrator,
    convert,
    failure::{ConnectError, NodeError},
    node::Node,
    sender::SenderHandle,
};
use alloy::{
    primitives::B256,
    providers::Provider,
    sol_types::{SolCall, SolEvent},
};
use async_trait::async_trait;
use haithe_billing::{
    outbox::{NewTx, TxIntent, TxPurpose, TxState},
    ports::TxOutbox,
};
use haithe_kernel::{Clock, StoreError, WalletAddress};
use haithe_orgs::ports::{DeployError, OrgDeployer};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

/// The span of a budget.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Deployments whose questions are under way at once.
const PLACES: usize = 8;

/// [`OrgDeployer`] through the outbox.
pub struct EvmOrgDeployer {
    client: ChainClient,
    /// A queue and a deadline of its own: this is a request's path.
    node: Node,
    outbox: Arc<dyn TxOutbox>,
    sender: SenderHandle,
    signer: WalletAddress,
    clock: Arc<dyn Clock>,
    budget: DeployBudget,
    /// Counting and writing go together.
    counting: Mutex<()>,
}

impl EvmOrgDeployer {
    /// `signer` is the server's address, whose [`Sender`](crate::Sender) gave the handle.
    pub fn new(
        client: ChainClient,
        outbox: Arc<dyn TxOutbox>,
        sender: SenderHandle,
        signer: WalletAddress,
        clock: Arc<dyn Clock>,
        budget: DeployBudget,
    ) -> Self {
        let node = client.node().lane(PLACES, client.node().limits().request_timeout);
        Self {
            client,
            node,
            outbox,
            sender,
            signer,
            clock,
            budget,
            counting: Mutex::new(()),
        }
    }

    /// The intent of this name and owner that has not failed, written now if need be.
    async fn intent(&self, name: &str, owner: WalletAddress) -> Result<TxIntent, DeployError> {
        let key = format!("org/{owner}/{name}");
        let newest = again::newest(&*self.outbox, &key).await.map_err(stored)?;
        if let Some(live) = newest.live() {
            return Ok(live.clone());
        }
        if self.name_exists(name).await? {
            return Err(DeployError::NameTaken);
        }
        let _alone = self.counting.lock().await;
        // Looked at again: somebody may have written it while this one waited.
        let newest = again::newest(&*self.outbox, &key).await.map_err(stored)?;
        if let Some(live) = newest.live() {
            return Ok(live.clone());
        }
        self.spend(owner).await?;
        let call = HaitheOrchestrator::createOrganizationForCall {
            name: name.to_owned(),
            owner_: convert::address(owner),
        };
        let tx = NewTx {
            key,
            purpose: TxPurpose::CreateOrganization,
            signer: self.signer,
            to: Some(self.client.orchestrator()),
            data: call.abi_encode(),
            on_behalf: Some(owner),
            created_at: self.clock.now(),
        };
        newest.enqueue(&*self.outbox, tx).await.map_err(stored)
    }

    async fn spend(&self, owner: WalletAddress) -> Result<(), DeployError> {
        let since = self.clock.now().minus(DAY);
        let purpose = TxPurpose::CreateOrganization;
        let own = self
            .outbox
            .count_since(purpose, Some(owner), since)
            .await
            .map_err(stored)?;
        let all = self
            .outbox
            .count_since(purpose, None, since)
            .await
            .map_err(stored)?;
        if own >= self.budget.per_wallet || all >= self.budget.global {
            return Err(DeployError::BudgetSpent);
        }
        Ok(())
    }

    async fn name_exists(&self, name: &str) -> Result<bool, DeployError> {
        let contract = self.client.contract().await.map_err(unfit)?;
        let exists = contract.organizationNameExists(name.to_owned());
        self.node
            .ask("organizationNameExists()", exists.call())
            .await
            .map_err(away)
    }

    /// Waits until the intent is mined or has failed.
    async fn outcome(&self, key: String, deadline: Instant) -> Result<TxIntent, DeployError> {
        let mut progress = self.sender.progress();
        loop {
            let intent = self.outbox.find(key.clone()).await.map_err(stored)?;
            match intent {
                Some(intent) if !matches!(intent.state, TxState::Queued | TxState::Sent) => {
                    return Ok(intent);
                }
                _ => {}
            }
            // An ended sender makes no progress any more; the transaction is as durable as before.
            let changed = timeout_at(deadline, progress.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(DeployError::Pending);
            }
        }
    }

    /// The contract that a mined transaction made.
    async fn made(&self, intent: &TxIntent, name: &str) -> Result<WalletAddress, DeployError> {
        let (hash, _) = intent.mined.ok_or(DeployError::Pending)?;
        let question = self.node.provider().get_transaction_receipt(B256::new(hash));
        let receipt = self
            .node
            .ask("eth_getTransactionReceipt", question)
            .await
            .map_err(away)?;
        let receipt = receipt.ok_or(DeployError::Pending)?;
        let orchestrator = convert::address(self.client.orchestrator());
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
    /// An earlier transaction of the same name and owner that failed is followed by a new one,
    /// which counts against the budgets like any other.
    async fn deploy(&self, name: String, owner: WalletAddress) -> Result<WalletAddress, DeployError> {
        let deadline = Instant::now() + self.node.limits().timeout;
        let intent = timeout_at(deadline, self.intent(&name, owner)).await;
        let intent = intent.unwrap_or_else(|_| Err(DeployError::Unavailable("no answer in time".into())))?;
        self.sender.wake();
        let intent = self.outcome(intent.key, deadline).await?;
        match (intent.state, intent.failure.as_deref()) {
            (TxState::Failed, Some(reason)) if reason.contains("NameTaken") => Err(DeployError::NameTaken),
            (TxState::Failed, reason) => Err(DeployError::Unavailable(reason.unwrap_or("it failed").into())),
            _ => self.made(&intent, &name).await,
        }
    }
}

fn stored(error: StoreError) -> DeployError {
    DeployError::Unavailable(Box::new(error))
}

fn away(error: NodeError) -> DeployError {
    DeployError::Unavailable(Box::new(error))
}

fn unfit(error: ConnectError) -> DeployError {
    DeployError::Unavailable(Box::new(error))
}

impl fmt::Debug for EvmOrgDeployer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmOrgDeployer")
            .field("client", &self.client)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
