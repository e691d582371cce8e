//! The state of a lane, and the order in which a step looks at its intents.

use super::{Alarm, Lane, SendError, SenderHealth, Step, answer::Answer, handle::Signals};
use crate::{convert, failure::NodeError, node::Node};
use alloy::{eips::BlockNumberOrTag, primitives::Address, providers::Provider};
use haithe_billing::{
    outbox::{TxIntent, TxIntentId, TxPurpose, TxState},
    ports::TxOutbox,
};
use haithe_kernel::{Clock, MonotonicTime, Timestamp, WalletAddress};
use std::{collections::HashMap, sync::Arc};

/// What the sender knows beyond the outbox. All of it can be lost: the next step finds it again.
pub(super) struct Writer {
    pub lane: Lane,
    pub outbox: Arc<dyn TxOutbox>,
    pub clock: Arc<dyn Clock>,
    pub signals: Arc<Signals>,
    /// The newest attempt of each numbered intent, as far as this process sent it.
    pub watches: HashMap<TxIntentId, Watch>,
    /// Intents that could not start and must some day.
    pub resting: HashMap<TxIntentId, Rest>,
    pub halted: Option<Alarm>,
}

/// What happened to the newest attempt in this process.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub hash: [u8; 32],
    /// Since when it has been out there.
    pub since: MonotonicTime,
    /// When it was last sent.
    pub sent: MonotonicTime,
    pub answer: Answer,
}

/// Why an intent rests, and until when.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    pub reason: String,
    pub retry_at: MonotonicTime,
}

/// The chain at the beginning of a step.
pub(super) struct View {
    pub head: u64,
    /// Nonces below are used in blocks.
    pub next_nonce: u64,
}

/// What a step gathers.
#[derive(Default)]
pub(super) struct Pass {
    pub progressed: bool,
    pub alarms: Vec<Alarm>,
    /// Nothing new may start in this step.
    pub blocked: bool,
    pub in_flight: usize,
    /// Batches with a nonce that were not mined when the step began.
    pub settling: u64,
    pub mined: usize,
    pub queued: usize,
    pub oldest: Option<Timestamp>,
}

impl Writer {
    pub fn new(lane: Lane, outbox: Arc<dyn TxOutbox>, clock: Arc<dyn Clock>, signals: Arc<Signals>) -> Self {
        Self {
            lane,
            outbox,
            clock,
            signals,
            watches: HashMap::new(),
            resting: HashMap::new(),
            halted: None,
        }
    }

    pub fn address(&self) -> WalletAddress {
        self.lane.key.address()
    }

    /// One look at every open intent.
    pub(super) async fn step(&mut self) -> Result<Step, SendError> {
        let mut pass = Pass::default();
        let outcome = self.advance(&mut pass).await;
        let step = Step {
            progressed: pass.progressed,
            busy: pass.in_flight + pass.mined + pass.queued > 0,
        };
        self.publish(pass, outcome.as_ref().err());
        if step.progressed {
            self.signals.progressed();
        }
        outcome.map(|()| step)
    }

    async fn advance(&mut self, pass: &mut Pass) -> Result<(), SendError> {
        let open = self.outbox.open(self.address()).await?;
        self.forget_closed(&open);
        pass.oldest = open.iter().map(|intent| intent.created_at).min();
        let (mut numbered, mut queued): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|intent| intent.nonce.is_some());
        numbered.sort_by_key(|intent| intent.nonce);
        // Settlement first: what the server pays for others waits.
        queued.sort_by_key(|intent| (!intent.purpose.is_settlement(), intent.id));
        pass.queued = queued.len();
        pass.mined = numbered
            .iter()
            .filter(|intent| intent.state == TxState::Mined)
            .count();
        pass.in_flight = numbered.len() - pass.mined;
        let settling = numbered
            .iter()
            .filter(|intent| intent.purpose == TxPurpose::SettleBatch && intent.state != TxState::Mined);
        pass.settling = u64::try_from(settling.count()).unwrap_or(u64::MAX);
        if numbered.is_empty() && queued.is_empty() {
            return Ok(());
        }
        // The nonce first: a receipt read later is never older than it.
        let next_nonce = self.nonce_at(BlockNumberOrTag::Latest).await?;
        let head = self
            .node()
            .ask("eth_blockNumber", self.node().provider().get_block_number())
            .await?;
        let view = View { head, next_nonce };
        self.look_for_gap(&numbered, &view, pass);
        let mut first_waits = true;
        for intent in &numbered {
            let Some(nonce) = intent.nonce else { continue };
            let is_mined = self.follow(intent, nonce, first_waits, &view, pass).await?;
            first_waits &= is_mined;
        }
        self.start(&queued, &view, pass).await
    }

    /// Final nonces the chain has never heard of.
    fn look_for_gap(&self, numbered: &[TxIntent], view: &View, pass: &mut Pass) {
        let lowest = numbered.first().and_then(|intent| intent.nonce);
        if let Some(lowest) = lowest.filter(|lowest| *lowest > view.next_nonce) {
            pass.blocked = true;
            pass.alarms.push(Alarm::NonceGap {
                chain: view.next_nonce,
                lowest,
            });
        }
    }

    fn forget_closed(&mut self, open: &[TxIntent]) {
        let is_open = |id: &TxIntentId| open.iter().any(|intent| intent.id == *id);
        self.watches.retain(|id, _| is_open(id));
        self.resting.retain(|id, _| is_open(id));
    }

    fn publish(&mut self, mut pass: Pass, failure: Option<&SendError>) {
        let before = self.signals.health().clone();
        if failure.is_some() {
            // A step that was cut short has not seen everything: what was alarming still is.
            let unseen = before.alarms.iter().filter(|alarm| !pass.alarms.contains(alarm));
            let unseen: Vec<_> = unseen.cloned().collect();
            pass.alarms.extend(unseen);
        }
        for alarm in pass.alarms.iter().filter(|alarm| !before.alarms.contains(alarm)) {
            tracing::error!(account = %self.address(), "{alarm}");
        }
        self.signals.publish(SenderHealth {
            alarms: pass.alarms,
            halted: self.halted.is_some(),
            in_flight: pass.in_flight,
            mined: pass.mined,
            queued: pass.queued,
            oldest: pass.oldest,
            failures: failure.map_or(0, |_| before.failures.saturating_add(1)),
            failure: failure.map(ToString::to_string),
            last_good: failure.map_or_else(|| Some(self.clock.now()), |_| before.last_good),
        });
    }

    pub(super) fn node(&self) -> &Node {
        &self.lane.node
    }

    pub(super) fn account(&self) -> Address {
        convert::address(self.address())
    }

    pub(super) async fn nonce_at(&self, block: BlockNumberOrTag) -> Result<u64, NodeError> {
        let question = self.node().provider().get_transaction_count(self.account());
        self.node()
            .ask("eth_getTransactionCount", question.block_id(block.into()))
            .await
    }
}
