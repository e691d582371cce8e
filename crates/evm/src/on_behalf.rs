//! Transactions that the server sends for a wallet, at its own expense and within daily budgets.

use crate::{
    again,
    client::ChainClient,
    config::DeployBudget,
    failure::{ConnectError, NodeError},
    node::Node,
    sender::SenderHandle,
};
use haithe_billing::{
    outbox::{NewTx, TxIntent, TxPurpose, TxState},
    ports::TxOutbox,
};
use haithe_kernel::{Clock, StoreError, WalletAddress};
use std::{error::Error, fmt, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

/// The span of a budget.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Questions under way at once.
const PLACES: usize = 8;

/// Why a transaction for a wallet did not happen, or not yet.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The day's budget is spent.
    BudgetSpent,
    /// Sent and not mined in time.
    Pending,
    /// The contract refused; its words.
    Refused(String),
    /// The chain or the store is away.
    Away(Box<dyn Error + Send + Sync>),
}

impl From<StoreError> for Unsent {
    fn from(error: StoreError) -> Self {
        Self::Away(Box::new(error))
    }
}

impl From<NodeError> for Unsent {
    fn from(error: NodeError) -> Self {
        Self::Away(Box::new(error))
    }
}

impl From<ConnectError> for Unsent {
    fn from(error: ConnectError) -> Self {
        Self::Away(Box::new(error))
    }
}

/// What a transaction is, beside who sends it.
pub(crate) struct Wanted {
    pub key: String,
    pub purpose: TxPurpose,
    pub to: WalletAddress,
    pub data: Vec<u8>,
    pub on_behalf: WalletAddress,
}

/// Writes to the outbox and waits for what comes of it.
pub(crate) struct OnBehalf {
    pub client: ChainClient,
    /// A queue and a deadline of its own: this is a request's path.
    pub node: Node,
    outbox: Arc<dyn TxOutbox>,
    sender: SenderHandle,
    signer: WalletAddress,
    clock: Arc<dyn Clock>,
    budget: DeployBudget,
    /// Counting and writing go together.
    counting: Mutex<()>,
}

impl OnBehalf {
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

    /// When what begins now must have an answer.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.node.limits().timeout
    }

    /// Writes the intent, unless one of its key is live, and waits until it is mined. One that failed is
    /// followed by a new one, which counts against the budgets like any other.
    pub async fn send(&self, wanted: Wanted, deadline: Instant) -> Result<TxIntent, Unsent> {
        let intent = self.write(wanted).await?;
        self.sender.wake();
        let intent = self.outcome(intent.key, deadline).await?;
        match intent.state {
            TxState::Failed => Err(Unsent::Refused(
                intent.failure.unwrap_or_else(|| "it failed".into()),
            )),
            _ => Ok(intent),
        }
    }

    /// Whether an intent of this key is under way, or done.
    pub async fn is_live(&self, key: &str) -> Result<bool, Unsent> {
        Ok(again::newest(&*self.outbox, key).await?.live().is_some())
    }

    async fn write(&self, wanted: Wanted) -> Result<TxIntent, Unsent> {
        let _alone = self.counting.lock().await;
        let newest = again::newest(&*self.outbox, &wanted.key).await?;
        if let Some(live) = newest.live() {
            return Ok(live.clone());
        }
        let since = self.clock.now().minus(DAY);
        let count = |on_behalf| self.outbox.count_since(wanted.purpose, on_behalf, since);
        let (own, all) = (count(Some(wanted.on_behalf)).await?, count(None).await?);
        if own >= self.budget.per_wallet || all >= self.budget.global {
            return Err(Unsent::BudgetSpent);
        }
        let tx = NewTx {
            key: wanted.key,
            purpose: wanted.purpose,
            signer: self.signer,
            to: Some(wanted.to),
            data: wanted.data,
            on_behalf: Some(wanted.on_behalf),
            created_at: self.clock.now(),
        };
        Ok(newest.enqueue(&*self.outbox, tx).await?)
    }

    /// Something was written to the outbox: the sender looks now.
    pub fn wake(&self) {
        self.sender.wake();
    }

    /// Waits until the intent is mined or has failed.
    pub async fn outcome(&self, key: String, deadline: Instant) -> Result<TxIntent, Unsent> {
        let mut progress = self.sender.progress();
        loop {
            match self.outbox.find(key.clone()).await? {
                Some(intent) if !matches!(intent.state, TxState::Queued | TxState::Sent) => {
                    return Ok(intent);
                }
                _ => {}
            }
            // An ended sender makes no progress any more; the transaction is as durable as before.
            let changed = timeout_at(deadline, progress.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(Unsent::Pending);
            }
        }
    }
}

impl fmt::Debug for OnBehalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnBehalf")
            .field("client", &self.client)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
