//! Intents with a nonce: where they are on the chain, and what they need there.

use super::{
    Alarm, SendError,
    answer::Answer,
    writer::{Pass, View, Writer},
};
use crate::failure::NodeError;
use alloy::{eips::BlockNumberOrTag, primitives::B256, providers::Provider, rpc::types::TransactionReceipt};
use haithe_billing::outbox::{TxAttempt, TxIntent};

impl Writer {
    /// Moves one numbered intent on and says whether it is mined. `first_waits`: no lower nonce
    /// waits for a block, so this one is what the lane waits for.
    pub(super) async fn follow(
        &mut self,
        intent: &TxIntent,
        nonce: u64,
        first_waits: bool,
        view: &View,
        pass: &mut Pass,
    ) -> Result<bool, SendError> {
        if let Some((attempt, receipt)) = self.mined(intent).await? {
            self.settle(intent, attempt, &receipt, view, pass).await?;
            return Ok(true);
        }
        if intent.mined.is_some() {
            return self.put_back(intent, pass).await.map(|()| false);
        }
        if view.next_nonce > nonce {
            self.suspect(intent, nonce, view, pass).await?;
            return Ok(false);
        }
        if self.halted.is_none() {
            self.push(intent, nonce, first_waits, pass).await?;
        }
        Ok(false)
    }

    /// The attempt that is in a block now. The one that was there last is asked for first.
    async fn mined<'a>(
        &self,
        intent: &'a TxIntent,
    ) -> Result<Option<(&'a TxAttempt, TransactionReceipt)>, NodeError> {
        let known = intent.mined.map(|(hash, _)| hash);
        let (known, others): (Vec<_>, Vec<_>) = intent
            .attempts
            .iter()
            .rev()
            .partition(|attempt| Some(attempt.hash) == known);
        for attempt in known.into_iter().chain(others) {
            let question = self
                .node()
                .provider()
                .get_transaction_receipt(B256::new(attempt.hash));
            let receipt = self.node().ask("eth_getTransactionReceipt", question).await?;
            if let Some(receipt) = receipt.filter(|receipt| receipt.block_number.is_some()) {
                return Ok(Some((attempt, receipt)));
            }
        }
        Ok(None)
    }

    async fn settle(
        &mut self,
        intent: &TxIntent,
        attempt: &TxAttempt,
        receipt: &TransactionReceipt,
        view: &View,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        let block = receipt.block_number.unwrap_or_default();
        self.watches.remove(&intent.id);
        if intent.mined != Some((attempt.hash, block)) {
            self.outbox.mark_mined(intent.id, attempt.hash, block).await?;
            tracing::info!(
                intent = intent.key,
                tx = %B256::new(attempt.hash),
                block,
                succeeded = receipt.status(),
                "a transaction was mined"
            );
            pass.progressed = true;
            if intent.mined.is_none() {
                pass.in_flight = pass.in_flight.saturating_sub(1);
                pass.mined += 1;
            }
        }
        let depth = (view.head + 1).saturating_sub(block);
        if depth < self.lane.finality.max(1) {
            return Ok(());
        }
        let failure = match (receipt.status(), attempt.cancels) {
            (true, false) => None,
            (true, true) => Some("cancelled".to_owned()),
            (false, _) => Some(self.why_it_reverted(intent, block).await),
        };
        if let Some(failure) = &failure {
            tracing::warn!(intent = intent.key, failure, "a transaction failed for good");
        }
        self.outbox.close(intent.id, failure).await?;
        self.signals.cancelled(&intent.key);
        pass.mined = pass.mined.saturating_sub(1);
        pass.progressed = true;
        Ok(())
    }

    /// The contract's words, as far as they can be had by running the call before its block again.
    async fn why_it_reverted(&self, intent: &TxIntent, block: u64) -> String {
        let question = self
            .node()
            .provider()
            .call(unsigned(intent).question(self.account()));
        let question = question.block(BlockNumberOrTag::Number(block.saturating_sub(1)).into());
        let reason = self
            .node()
            .ask("eth_call", question)
            .await
            .err()
            .and_then(|error| error.revert_reason());
        reason.map_or_else(|| "reverted".to_owned(), |reason| format!("reverted: {reason}"))
    }

    /// Its block is gone: the attempts are live again, and the same bytes go out again.
    async fn put_back(&mut self, intent: &TxIntent, pass: &mut Pass) -> Result<(), SendError> {
        self.outbox.mark_unmined(intent.id).await?;
        tracing::warn!(
            intent = intent.key,
            "a reorganization took the transaction's block away"
        );
        pass.progressed = true;
        pass.mined = pass.mined.saturating_sub(1);
        pass.in_flight += 1;
        let was_mined = intent.mined.map(|(hash, _)| hash);
        let attempt = intent
            .attempts
            .iter()
            .find(|attempt| Some(attempt.hash) == was_mined);
        if let Some(attempt) = attempt.filter(|_| self.halted.is_none()) {
            self.send(intent, attempt).await;
        }
        Ok(())
    }

    /// The nonce is used and none of our attempts has a receipt. Shortly that may be a node that
    /// lags behind itself; in a final block it is a stranger's transaction.
    async fn suspect(
        &mut self,
        intent: &TxIntent,
        nonce: u64,
        view: &View,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        pass.blocked = true;
        let final_block = (view.head + 1).saturating_sub(self.lane.finality.max(1));
        if self.nonce_at(BlockNumberOrTag::Number(final_block)).await? <= nonce {
            return Ok(());
        }
        if self.signals.wants_cancelled(&intent.key) {
            let failure = "its nonce was used by a transaction that is not ours".to_owned();
            self.outbox.close(intent.id, Some(failure)).await?;
            self.signals.cancelled(&intent.key);
            self.halted = None;
            pass.in_flight = pass.in_flight.saturating_sub(1);
            pass.progressed = true;
            return Ok(());
        }
        let alarm = Alarm::ForeignNonce {
            key: intent.key.clone(),
            nonce,
        };
        pass.alarms.push(alarm.clone());
        self.halted = Some(alarm);
        Ok(())
    }

    /// Makes sure that the newest attempt is out there, and raises its fees when it waits too long.
    async fn push(
        &mut self,
        intent: &TxIntent,
        nonce: u64,
        first_waits: bool,
        pass: &mut Pass,
    ) -> Result<(), SendError> {
        let Some(newest) = intent.attempts.last() else {
            return self.first_attempt(intent, nonce, pass).await;
        };
        if self.signals.wants_cancelled(&intent.key) && !newest.cancels {
            return self.outbid_with_nothing(intent, nonce, newest, pass).await;
        }
        let now = self.clock.monotonic();
        let watch = self
            .watches
            .get(&intent.id)
            .filter(|watch| watch.hash == newest.hash)
            .cloned();
        let due = watch.as_ref().is_none_or(|watch| {
            watch.answer == Answer::Lost || now.since(watch.sent) >= self.lane.policy.resend_every
        });
        if due {
            self.send(intent, newest).await;
        }
        let watch = self.watches.get(&intent.id).cloned();
        if let Some(watch) = watch.filter(|watch| watch.hash == newest.hash) {
            self.report(intent, &watch.answer, pass);
            let waited = now.since(watch.since) >= self.lane.policy.bump_after;
            let may_raise = !matches!(
                watch.answer,
                Answer::NoFunds(_) | Answer::Rejected(_) | Answer::NonceUsed
            );
            if first_waits && may_raise && (waited || watch.answer == Answer::TooCheap) {
                self.raise(intent, nonce, newest, pass).await?;
            }
        }
        Ok(())
    }

    /// What an answer means for the lane.
    pub(super) fn report(&self, intent: &TxIntent, answer: &Answer, pass: &mut Pass) {
        let alarm = match answer {
            Answer::NoFunds(reason) => Alarm::InsufficientFunds {
                account: self.address(),
                reason: reason.clone(),
            },
            Answer::Rejected(reason) => Alarm::Rejected {
                key: intent.key.clone(),
                reason: reason.clone(),
            },
            _ => return,
        };
        pass.blocked = true;
        pass.alarms.push(alarm);
    }
}

pub(super) fn unsigned(intent: &TxIntent) -> crate::sign::Unsigned {
    crate::sign::Unsigned {
        to: intent.to.map(crate::convert::address),
        data: intent.data.clone().into(),
    }
}
