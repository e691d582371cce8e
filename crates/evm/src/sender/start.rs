//! Intents without a nonce: whether they would go through, and if so, their first attempt.

use super::{
    Alarm, SendError,
    answer::Answer,
    attempt::{Offer, Purpose},
    follow::unsigned,
    writer::{Pass, Rest, View, Writer},
};
use crate::{
    contracts::HaitheOrchestrator::WrongSequence,
    failure::{NodeError, bounded},
};
use alloy::{eips::BlockNumberOrTag, primitives::Bytes, providers::Provider, sol_types::SolError};
use haithe_billing::outbox::{TxIntent, TxPurpose};

/// What the node says an intent would do now.
pub(crate) enum Simulated {
    /// It would go through.
    Ready { gas_limit: u64 },
    /// It would fail.
    Refused { reason: String, data: Bytes },
    /// The node will not try it: [`Answer::NoFunds`] or [`Answer::Rejected`].
    Unclear(Answer),
}

impl Writer {
    /// Starts as many queued intents as may be under way at once: settlement first, then the oldest.
    pub(super) async fn start(
        &mut self,
        queued: &[TxIntent],
        view: &View,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        // Batches start in order: one that cannot start holds back those after it, without an alarm.
        let mut batch_waits = false;
        for intent in queued {
            if self.signals.wants_cancelled(&intent.key) {
                self.fail(intent, "cancelled before it was sent".to_owned(), pass)
                    .await?;
                continue;
            }
            let is_batch = intent.purpose == TxPurpose::SettleBatch;
            if is_batch && batch_waits {
                continue;
            }
            let started = self.start_one(intent, view, pass).await?;
            batch_waits |= is_batch && !started;
        }
        Ok(())
    }

    /// Starts one intent, if it can start now; says whether it did.
    async fn start_one(
        &mut self,
        intent: &TxIntent,
        view: &View,
        pass: &mut Pass,
    ) -> Result<bool, SendError> {
        let full = pass.in_flight >= self.lane.policy.places_for(intent.purpose);
        if full || pass.blocked || self.halted.is_some() {
            return Ok(false);
        }
        if self.is_resting(intent) {
            self.alarm_refused(intent, pass);
            return Ok(false);
        }
        match self.simulate(intent, pass.settling).await? {
            Simulated::Ready { gas_limit } => {
                self.number(intent, gas_limit, view, pass).await?;
                return Ok(true);
            }
            Simulated::Refused { reason, data } => self.refuse(intent, reason, &data, view, pass).await?,
            // What one call lacks must not hold up the others.
            Simulated::Unclear(Answer::Rejected(reason)) => self.rest(intent, reason, pass),
            Simulated::Unclear(answer) => self.report(intent, &answer, pass),
        }
        Ok(false)
    }

    async fn number(
        &mut self,
        intent: &TxIntent,
        gas_limit: u64,
        view: &View,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        self.resting.remove(&intent.id);
        let fees = self.first_fees().await?;
        let nonce = self.outbox.assign_nonce(intent.id, view.next_nonce).await?;
        pass.queued = pass.queued.saturating_sub(1);
        pass.in_flight += 1;
        pass.settling += u64::from(intent.purpose == TxPurpose::SettleBatch);
        let offer = Offer {
            nonce,
            gas_limit,
            fees,
        };
        self.attempt(intent, Purpose::AsAsked, offer, pass).await
    }

    /// Runs the call on the newest block without sending it. A batch behind others that are on their
    /// way (there are `ahead` of them) cannot be simulated yet; it gets the gas that bounds every batch.
    pub(super) async fn simulate(&self, intent: &TxIntent, ahead: u64) -> Result<Simulated, NodeError> {
        let question = self
            .node()
            .provider()
            .estimate_gas(unsigned(intent).question(self.account()));
        let gas = match self
            .node()
            .ask("eth_estimateGas", question.block(BlockNumberOrTag::Latest.into()))
            .await
        {
            Ok(gas) => gas,
            Err(error) => {
                return Ok(match understood(error)? {
                    Simulated::Refused { data, .. } if follows(intent, &data, ahead) => Simulated::Ready {
                        gas_limit: self.lane.policy.batch_gas,
                    },
                    simulated => simulated,
                });
            }
        };
        let cap = self.lane.policy.gas_cap;
        if gas > cap {
            let reason = format!("it needs {gas} gas, more than the {cap} that are allowed");
            return Ok(Simulated::Refused {
                reason,
                data: Bytes::new(),
            });
        }
        let gas_limit = gas.saturating_add(gas / 5).min(cap);
        Ok(Simulated::Ready { gas_limit })
    }

    /// A refused one-shot intent has failed. A batch is tried again later: funds arrive, pauses end.
    async fn refuse(
        &mut self,
        intent: &TxIntent,
        reason: String,
        data: &Bytes,
        view: &View,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        if intent.purpose != TxPurpose::SettleBatch {
            return self.fail(intent, reason, pass).await;
        }
        if is_behind(data) && self.is_settled_for_good(intent, view).await? {
            return self
                .fail(intent, format!("settled already: {reason}"), pass)
                .await;
        }
        self.rest(intent, reason, pass);
        Ok(())
    }

    fn rest(&mut self, intent: &TxIntent, reason: String, pass: &mut Pass) {
        let retry_at = self.clock.monotonic().plus(self.lane.policy.retry_refused);
        self.resting.insert(intent.id, Rest { reason, retry_at });
        self.alarm_refused(intent, pass);
    }

    /// Whether the batch's number was behind the contract's in a final block, too.
    async fn is_settled_for_good(&self, intent: &TxIntent, view: &View) -> Result<bool, NodeError> {
        let final_block = (view.head + 1).saturating_sub(self.lane.finality.max(1));
        let question = self
            .node()
            .provider()
            .call(unsigned(intent).question(self.account()));
        let question = question.block(BlockNumberOrTag::Number(final_block).into());
        match self.node().ask("eth_call", question).await {
            Ok(_) => Ok(false),
            Err(error) => match understood(error)? {
                Simulated::Refused { data, .. } => Ok(is_behind(&data)),
                Simulated::Ready { .. } | Simulated::Unclear(_) => Ok(false),
            },
        }
    }

    async fn fail(&mut self, intent: &TxIntent, reason: String, pass: &mut Pass) -> Result<(), SendError> {
        tracing::warn!(
            intent = intent.key,
            reason,
            "a transaction failed before it was sent"
        );
        self.outbox.close(intent.id, Some(reason)).await?;
        self.signals.cancelled(&intent.key);
        pass.queued = pass.queued.saturating_sub(1);
        pass.progressed = true;
        Ok(())
    }

    fn is_resting(&self, intent: &TxIntent) -> bool {
        let now = self.clock.monotonic();
        self.resting
            .get(&intent.id)
            .is_some_and(|refusal| now < refusal.retry_at)
    }

    fn alarm_refused(&self, intent: &TxIntent, pass: &mut Pass) {
        if let Some(refusal) = self.resting.get(&intent.id) {
            pass.alarms.push(Alarm::Refused {
                key: intent.key.clone(),
                purpose: intent.purpose,
                reason: refusal.reason.clone(),
            });
        }
    }
}

/// Tells what the contract or the account lacks from what the node lacks.
pub(crate) fn understood(error: NodeError) -> Result<Simulated, NodeError> {
    let data = error.revert_data();
    if let Some(reason) = error.revert_reason() {
        return Ok(Simulated::Refused { reason, data });
    }
    if error.is_execution_failure() {
        let reason = bounded(&error.to_string());
        return Ok(Simulated::Refused { reason, data });
    }
    match Answer::of(&error) {
        answer @ (Answer::NoFunds(_) | Answer::Rejected(_)) => Ok(Simulated::Unclear(answer)),
        _ => Err(error),
    }
}

/// The contract expects an earlier batch, and all batches before this one are on their way.
fn follows(intent: &TxIntent, data: &Bytes, ahead: u64) -> bool {
    intent.purpose == TxPurpose::SettleBatch
        && WrongSequence::abi_decode(data)
            .is_ok_and(|error| error.got > error.expected && error.got - error.expected <= ahead)
}

/// The contract has settled a batch of this number or a later one.
fn is_behind(data: &Bytes) -> bool {
    WrongSequence::abi_decode(data).is_ok_and(|error| error.got < error.expected)
}
