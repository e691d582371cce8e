//! Transactions that the server sends for a wallet, at its own expense and within daily budgets.

use crate::{
    again,
    client::ChainClient,
    config::SponsorBudget,
    convert,
    failure::{ConnectError, NodeError},
    node::Node,
    sender::SenderHandle,
};
use alloy::{primitives::U256, providers::Provider};
use haithe_billing::{
    outbox::{NewTx, Rationed, TxIntent, TxPurpose, TxRation, TxState},
    ports::TxOutbox,
};
use haithe_kernel::{ClientNetwork, Clock, StoreError, WalletAddress};
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
    /// The server pays for no other wallet.
    NotSponsored,
    /// A budget of the day is spent for so long.
    BudgetSpent(Duration),
    /// What coin the server has is reserved for settlement.
    Reserved,
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
    pub network: Option<ClientNetwork>,
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
    budget: SponsorBudget,
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
        budget: SponsorBudget,
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
        if !self.is_live(&wanted.key).await? {
            let sponsored = timeout_at(deadline, self.expect_sponsored()).await;
            sponsored.unwrap_or_else(|_| Err(Unsent::Away("no answer in time".into())))?;
        }
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

    /// Settlement comes first: others are paid for only with what it cannot need soon.
    pub async fn expect_sponsored(&self) -> Result<(), Unsent> {
        if !self.budget.enabled {
            return Err(Unsent::NotSponsored);
        }
        let balance = self.node.provider().get_balance(convert::address(self.signer));
        let balance = self.node.ask("eth_getBalance", balance).await?;
        if balance <= U256::from(self.budget.reserve) {
            return Err(Unsent::Reserved);
        }
        Ok(())
    }

    async fn write(&self, wanted: Wanted) -> Result<TxIntent, Unsent> {
        let _alone = self.counting.lock().await;
        let newest = again::newest(&*self.outbox, &wanted.key).await?;
        if let Some(live) = newest.live() {
            return Ok(live.clone());
        }
        let now = self.clock.now();
        let ration = TxRation {
            every: Duration::ZERO,
            window: DAY,
            per_wallet: self.budget.per_wallet,
            per_network: self.budget.per_network,
            network: wanted.network,
            global: self.budget.global,
        };
        let tx = NewTx {
            key: newest.next_key,
            purpose: wanted.purpose,
            signer: self.signer,
            to: Some(wanted.to),
            data: wanted.data,
            on_behalf: Some(wanted.on_behalf),
            created_at: now,
        };
        match self.outbox.enqueue_rationed(tx, ration).await? {
            Rationed::Written(intent) => Ok(intent),
            Rationed::TooSoon(until) | Rationed::BudgetSpent(until) => {
                Err(Unsent::BudgetSpent(until.since(now)))
            }
        }
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
