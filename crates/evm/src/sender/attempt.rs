//! Signing, storing and sending: always in that order.

use super::{
    Alarm, SendError,
    answer::Answer,
    fees,
    follow::unsigned,
    start::Simulated,
    writer::{Pass, Watch, Writer},
};
use crate::{
    failure::NodeError,
    sign::{Fees, Terms, Unsigned, sign},
};
use alloy::{eips::BlockNumberOrTag, primitives::Bytes, providers::Provider};
use haithe_billing::outbox::{TxAttempt, TxIntent};

/// The terms of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub nonce: u64,
    pub gas_limit: u64,
    pub fees: Fees,
}

/// What an attempt does with its nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What the intent asks for.
    AsAsked,
    /// A transfer of nothing to ourselves.
    Nothing,
}

impl Writer {
    /// An intent that got its nonce before a crash and nothing more.
    pub(super) async fn first_attempt(
        &mut self,
        intent: &TxIntent,
        nonce: u64,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        // The intent itself is one of those that are on their way.
        match self.simulate(intent, pass.settling.saturating_sub(1)).await? {
            Simulated::Ready { gas_limit } => {
                let fees = self.first_fees().await?;
                let offer = Offer {
                    nonce,
                    gas_limit,
                    fees,
                };
                self.attempt(intent, Purpose::AsAsked, offer, pass).await
            }
            Simulated::Unclear(answer) => {
                self.report(intent, &answer, pass);
                Ok(())
            }
            // It would fail now, but its nonce must be used by something.
            Simulated::Refused { .. } => {
                let fees = self.first_fees().await?;
                self.cancel_with(intent, nonce, fees, pass).await
            }
        }
    }

    /// Offers more for the same nonce, or waits at the limit.
    pub(super) async fn raise(
        &mut self,
        intent: &TxIntent,
        nonce: u64,
        newest: &TxAttempt,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        let estimate = self.estimate().await?;
        match fees::raised(offered(newest), estimate, self.lane.policy.max_fee_ceiling) {
            Some(fees) if newest.cancels => self.cancel_with(intent, nonce, fees, pass).await,
            Some(fees) => {
                let gas_limit = newest.gas_limit;
                let offer = Offer {
                    nonce,
                    gas_limit,
                    fees,
                };
                self.attempt(intent, Purpose::AsAsked, offer, pass).await
            }
            None => {
                self.at_cap(intent, newest, pass);
                Ok(())
            }
        }
    }

    /// A transfer of nothing to ourselves on the nonce, for an intent that was given up.
    pub(super) async fn outbid_with_nothing(
        &mut self,
        intent: &TxIntent,
        nonce: u64,
        newest: &TxAttempt,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        let estimate = self.estimate().await?;
        match fees::raised(offered(newest), estimate, self.lane.policy.max_fee_ceiling) {
            Some(fees) => self.cancel_with(intent, nonce, fees, pass).await,
            None => {
                self.at_cap(intent, newest, pass);
                Ok(())
            }
        }
    }

    fn at_cap(&self, intent: &TxIntent, newest: &TxAttempt, pass: &mut Pass) {
        pass.alarms.push(Alarm::FeesAtCap {
            key: intent.key.clone(),
            max_fee_per_gas: newest.max_fee_per_gas,
        });
    }

    async fn cancel_with(
        &mut self,
        intent: &TxIntent,
        nonce: u64,
        fees: Fees,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        let question = self
            .node()
            .provider()
            .estimate_gas(self.nothing().question(self.account()));
        let gas = self
            .node()
            .ask("eth_estimateGas", question.block(BlockNumberOrTag::Latest.into()))
            .await?;
        tracing::warn!(
            intent = intent.key,
            nonce,
            "the nonce is used for nothing instead"
        );
        let gas_limit = gas.saturating_add(gas / 5);
        let offer = Offer {
            nonce,
            gas_limit,
            fees,
        };
        self.attempt(intent, Purpose::Nothing, offer, pass).await
    }

    fn nothing(&self) -> Unsigned {
        Unsigned {
            to: Some(self.account()),
            data: Bytes::new(),
        }
    }

    /// Signs, stores, sends.
    pub(super) async fn attempt(
        &mut self,
        intent: &TxIntent,
        purpose: Purpose,
        offer: Offer,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        let tx = match purpose {
            Purpose::AsAsked => unsigned(intent),
            Purpose::Nothing => self.nothing(),
        };
        let Offer {
            nonce,
            gas_limit,
            fees,
        } = offer;
        let terms = Terms {
            chain_id: self.lane.chain_id,
            nonce,
            gas_limit,
            fees,
        };
        let signed = sign(&self.lane.key, &tx, terms)?;
        let attempt = TxAttempt {
            hash: signed.hash.0,
            raw: signed.raw,
            max_fee_per_gas: fees.max,
            max_priority_fee_per_gas: fees.priority,
            gas_limit,
            cancels: purpose == Purpose::Nothing,
            sent_at: self.clock.now(),
        };
        self.outbox.record_attempt(intent.id, attempt.clone()).await?;
        tracing::info!(
            intent = intent.key,
            purpose = intent.purpose.as_str(),
            tx = %signed.hash,
            nonce,
            gas_limit,
            max_fee_per_gas = fees.max,
            "a transaction goes out"
        );
        self.send(intent, &attempt).await;
        pass.progressed = true;
        if let Some(watch) = self.watches.get(&intent.id) {
            self.report(intent, &watch.answer, pass);
        }
        Ok(())
    }

    /// Hands stored bytes to the node and remembers the answer. Never fails: silence is an answer.
    pub(super) async fn send(&mut self, intent: &TxIntent, attempt: &TxAttempt) {
        let question = self.node().provider().send_raw_transaction(&attempt.raw);
        let outcome = self.node().ask("eth_sendRawTransaction", question).await;
        let answer = outcome.map_or_else(|error| Answer::of(&error), |_| Answer::Accepted);
        if answer != Answer::Accepted {
            tracing::warn!(
                intent = intent.key,
                ?answer,
                "the node did not simply take the transaction"
            );
        }
        let now = self.clock.monotonic();
        let since = self
            .watches
            .get(&intent.id)
            .filter(|watch| watch.hash == attempt.hash);
        let since = since.map_or(now, |watch| watch.since);
        let watch = Watch {
            hash: attempt.hash,
            since,
            sent: now,
            answer,
        };
        self.watches.insert(intent.id, watch);
    }

    pub(super) async fn first_fees(&self) -> Result<Fees, NodeError> {
        Ok(fees::first(
            self.estimate().await?,
            self.lane.policy.max_fee_ceiling,
        ))
    }

    async fn estimate(&self) -> Result<Fees, NodeError> {
        let question = self.node().provider().estimate_eip1559_fees();
        Ok(self.node().ask("eth_feeHistory", question).await?.into())
    }
}

fn offered(attempt: &TxAttempt) -> Fees {
    Fees {
        max: attempt.max_fee_per_gas,
        priority: attempt.max_priority_fee_per_gas,
    }
}
