//! Gives test tokens away: plain transfers of the payment token from the server's own wallet.

use crate::{
    client::ChainClient,
    config::SponsorBudget,
    contracts::TestUsdt,
    convert,
    on_behalf::{DAY, OnBehalf, Unsent},
    sender::SenderHandle,
};
use alloy::{
    primitives::{B256, U256},
    providers::Provider,
    sol_types::SolCall,
};
use async_trait::async_trait;
use haithe_billing::{
    faucet::{FaucetError, Grant, Granted},
    outbox::{NewTx, Rationed, TxIntent, TxPurpose, TxRation, TxState},
    ports::{TestTokens, TxOutbox},
};
use haithe_kernel::{ClientNetwork, Clock, StoreError, Usdt, WalletAddress};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// [`TestTokens`] through the outbox.
pub struct EvmFaucet {
    chain: OnBehalf,
    outbox: Arc<dyn TxOutbox>,
    signer: WalletAddress,
    clock: Arc<dyn Clock>,
    budget: SponsorBudget,
}

impl EvmFaucet {
    /// `signer` is the server's address, whose [`Sender`](crate::Sender) gave the handle; what it
    /// gives away is its own.
    pub fn new(
        client: ChainClient,
        outbox: Arc<dyn TxOutbox>,
        sender: SenderHandle,
        signer: WalletAddress,
        clock: Arc<dyn Clock>,
        budget: SponsorBudget,
    ) -> Self {
        Self {
            chain: OnBehalf::new(client, outbox.clone(), sender, signer, clock.clone(), budget),
            outbox,
            signer,
            clock,
            budget,
        }
    }

    /// Writes the transfer, within what a wallet and a day may cost.
    async fn write(
        &self,
        wallet: WalletAddress,
        amount: Usdt,
        every: Duration,
        network: Option<ClientNetwork>,
        deadline: Instant,
    ) -> Result<TxIntent, FaucetError> {
        let sponsored = timeout_at(deadline, self.chain.expect_sponsored()).await;
        match sponsored.unwrap_or_else(|_| Err(Unsent::Away("no answer in time".into()))) {
            Ok(()) => {}
            Err(Unsent::Away(source)) => return Err(FaucetError::Unavailable(source)),
            Err(_) => return Err(FaucetError::Reserved),
        }
        // The chain alone is given a time: whatever is written is seen to its end.
        let token = timeout_at(deadline, self.chain.client.token()).await;
        let token = token.map_err(|_| FaucetError::Unavailable("no answer in time".into()))?;
        let token = token.map_err(|error| FaucetError::Unavailable(Box::new(error)))?;
        let units = amount.to_units(self.chain.client.decimals());
        let (units, _) = units.map_err(|error| FaucetError::Unavailable(Box::new(error)))?;
        let call = TestUsdt::transferCall {
            to: convert::address(wallet),
            value: U256::from(units.get()),
        };
        let now = self.clock.now();
        let tx = NewTx {
            key: format!("faucet/{wallet}/{}", now.micros()),
            purpose: TxPurpose::Faucet,
            signer: self.signer,
            to: Some(convert::wallet(token)),
            data: call.abi_encode(),
            on_behalf: Some(wallet),
            created_at: now,
        };
        let ration = TxRation {
            every,
            window: DAY,
            per_wallet: self.budget.per_wallet,
            per_network: self.budget.per_network,
            network,
            global: self.budget.global,
        };
        match self.outbox.enqueue_rationed(tx, ration).await? {
            Rationed::Written(intent) => Ok(intent),
            Rationed::TooSoon(since) => {
                let left = every.saturating_sub(now.since(since));
                Err(FaucetError::TooSoon(left))
            }
            Rationed::BudgetSpent(until) => Err(FaucetError::BudgetSpent(until.since(now))),
        }
    }

    /// The hash of the intent's transaction, once it is on its way.
    async fn transaction(&self, key: &str, deadline: Instant) -> Result<[u8; 32], FaucetError> {
        let intent = match self.chain.outcome(key.to_owned(), deadline).await {
            Ok(intent) => intent,
            // Not mined in time is not failed: its hash tells the caller where to look.
            Err(Unsent::Pending) => self
                .outbox
                .find(key.to_owned())
                .await?
                .ok_or(FaucetError::Pending)?,
            // It is written, and sent whether or not anybody can look at it now.
            Err(_) => return Err(FaucetError::Pending),
        };
        if intent.state == TxState::Failed {
            let reason = intent.failure.unwrap_or_else(|| "it failed".to_owned());
            return Err(FaucetError::Dry(reason.into()));
        }
        let Some((mined, _)) = intent.mined else {
            return hash(&intent).ok_or(FaucetError::Pending);
        };
        // Simulated before it was sent, so that a revert is a race for the last tokens.
        let question = self
            .chain
            .node
            .provider()
            .get_transaction_receipt(B256::new(mined));
        let receipt = self.chain.node.ask("eth_getTransactionReceipt", question).await;
        match receipt {
            Ok(Some(receipt)) if !receipt.status() => {
                Err(FaucetError::Dry("the transaction reverted".into()))
            }
            _ => Ok(mined),
        }
    }
}

/// The mined attempt, else the newest that does what was asked.
fn hash(intent: &TxIntent) -> Option<[u8; 32]> {
    let mut sent = intent.attempts.iter().rev().filter(|attempt| !attempt.cancels);
    let newest = sent.next().map(|attempt| attempt.hash);
    intent.mined.map(|(hash, _)| hash).or(newest)
}

#[async_trait]
impl TestTokens for EvmFaucet {
    async fn newest(&self, wallet: WalletAddress) -> Result<Option<Grant>, StoreError> {
        let newest = self.outbox.newest_of(TxPurpose::Faucet, wallet).await?;
        Ok(newest.map(|intent| Grant {
            id: intent.id,
            requested_at: intent.created_at,
            state: intent.state,
            transaction: hash(&intent),
        }))
    }

    async fn grant(
        &self,
        wallet: WalletAddress,
        amount: Usdt,
        every: Duration,
        network: Option<ClientNetwork>,
    ) -> Result<Granted, FaucetError> {
        let deadline = self.chain.deadline();
        let intent = self.write(wallet, amount, every, network, deadline).await?;
        self.chain.wake();
        let transaction = timeout_at(deadline + GRACE, self.transaction(&intent.key, deadline)).await;
        Ok(Granted {
            amount,
            recipient: wallet,
            transaction: transaction.unwrap_or(Err(FaucetError::Pending))?,
        })
    }
}

/// How long the last question to the node may take when the deadline has come.
const GRACE: Duration = Duration::from_millis(500);

impl fmt::Debug for EvmFaucet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmFaucet")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}
