//! [`Ledger`]: decisions in the memory of one process, or in the store that instances share.

use super::{Access, Port};
use crate::{defect::Defect, plan::Mode, world::World};
use async_trait::async_trait;
use haithe_billing::{
    capture::{Capture, Captured},
    hold::{HoldError, HoldRequest},
    ledger::{Balance, CaptureDecision, DecidedCapture, HoldDecision, LedgerTotals, Unheld},
    ports::Ledger,
};
use haithe_kernel::{CallId, OrgId, StoreError, Usdt};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

type Answer = Arc<Mutex<Option<Result<Captured, StoreError>>>>;

/// [`Ledger`] of an instance.
#[derive(Clone)]
pub struct LedgerPort(pub Port);

impl World {
    /// What is covered is never refused: the refusal must have a reason of the payer's own.
    fn check_refusal(&mut self, request: &HoldRequest, spendable: i64, refusal: &HoldError) {
        if let HoldError::Funds { .. } = refusal
            && spendable >= request.least.nano().min(request.most.nano())
        {
            let detail = format!(
                "organization {} can spend {spendable} nano-USDT and is refused {}",
                request.org, request.least
            );
            self.violate("what is covered is not refused", detail);
        }
        // Without reorganizations every deposit of the first organization stays, and it never sets a cap.
        let is_foreign = match refusal {
            HoldError::Suspended => !self.oracle.had_reorganization,
            HoldError::DailyCap { .. } => true,
            _ => false,
        };
        if is_foreign && request.org == OrgId(1) {
            self.violate(
                "no tenant blocks another",
                format!("organization 1 is refused: {refusal}"),
            );
        }
    }
}

impl LedgerPort {
    async fn hold_in_memory(&self, request: &HoldRequest) -> Result<Usdt, HoldError> {
        self.0.world.pause().await;
        loop {
            let unread = {
                let mut world = self.0.world.lock();
                let now = world.now();
                let spendable = world.spendable(request.org);
                let instance = &mut world.instances[self.0.instance];
                if instance.is_failing {
                    return Err(StoreError::new("the database cannot be written for the moment").into());
                }
                let ledger = instance
                    .ledger
                    .as_mut()
                    .ok_or_else(|| StoreError::new("stopped"))?;
                match ledger.hold(request, now) {
                    Ok(HoldDecision::Granted(held)) => {
                        world.note_hold(request.call, request.org, held.hold.amount);
                        break Ok(held.hold.amount);
                    }
                    Ok(HoldDecision::Unread(unread)) => unread,
                    Err(refusal) => {
                        world.check_refusal(request, spendable, &refusal);
                        break Err(refusal);
                    }
                }
            };
            let sum = self
                .0
                .request(Access::Read, |world| world.store.read_budget(unread))
                .await?;
            if let Some(ledger) = &mut self.0.world.lock().instances[self.0.instance].ledger {
                ledger.budget_read(unread, sum);
            }
        }
    }

    fn decide(&self, capture: &Capture, unheld: Unheld) -> Result<CaptureDecision, StoreError> {
        let mut world = self.0.world.lock();
        let spendable = world.spendable(capture.org);
        let ledger = world.instances[self.0.instance].ledger.as_mut();
        let ledger = ledger.ok_or_else(|| StoreError::new("stopped"))?;
        let decision = ledger.capture(capture, unheld).map_err(StoreError::new)?;
        if let CaptureDecision::Decided(decided) = &decision {
            world.note_decision(capture, &decided.captured, spendable);
            let charged = decided.captured.charged.nano();
            world.oracle.pending.insert(capture.call, (capture.org, charged));
        }
        Ok(decision)
    }

    async fn capture_in_memory(&self, capture: Capture) -> Result<Captured, StoreError> {
        self.0.world.pause().await;
        let call = capture.call;
        let mut decision = self.decide(&capture, Unheld::Report)?;
        if decision == CaptureDecision::NotHeld {
            let stored = self
                .0
                .request(Access::Read, move |world| world.first_answer(call))
                .await?;
            if let Some(first) = stored {
                return Ok(first);
            }
            decision = self.decide(&capture, Unheld::Charge)?;
        }
        let decided = match decision {
            CaptureDecision::Decided(decided) => decided,
            CaptureDecision::InFlight => return self.wait_for(call).await,
            CaptureDecision::NotHeld => return Err(StoreError::new("the ledger could not decide a capture")),
        };
        let captured = decided.captured;
        let answer = Answer::default();
        self.spawn_commit(capture, decided, Arc::clone(&answer));
        if self.0.world.lock().defect == Some(Defect::AcknowledgedEarly) {
            return Ok(captured);
        }
        loop {
            self.0.world.sleep(Duration::from_millis(5)).await;
            let taken = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(answer) = taken {
                return answer;
            }
        }
    }

    async fn wait_for(&self, call: CallId) -> Result<Captured, StoreError> {
        loop {
            self.0.world.sleep(Duration::from_millis(5)).await;
            let world = self.0.world.lock();
            if let Some(first) = world.first_answer(call) {
                return Ok(first);
            }
            if !world.oracle.pending.contains_key(&call) {
                return Err(StoreError::new("the capture was not stored"));
            }
        }
    }

    /// The writer stores a decision whether or not its caller still waits.
    fn spawn_commit(&self, capture: Capture, decided: DecidedCapture, answer: Answer) {
        let port = self.0.clone();
        let commit = async move {
            let result = port.commit(&capture, &decided).await;
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        };
        let mut world = self.0.world.lock();
        world.spawned.push(crate::world::Spawn {
            name: "commit",
            instance: Some((self.0.instance, self.0.start)),
            polls: None,
            future: Box::pin(commit),
        });
    }
}

impl Port {
    async fn commit(&self, capture: &Capture, decided: &DecidedCapture) -> Result<Captured, StoreError> {
        let call = capture.call;
        let committed = self
            .request(Access::Ledger, |world| {
                let committed = world.store.commit(capture, decided);
                if committed.is_ok() {
                    world.oracle.pending.remove(&call);
                }
                committed.map(|()| world.store.mark())
            })
            .await;
        let mut world = self.world.lock();
        let first = world.first_answer(call);
        world.oracle.pending.remove(&call);
        let instance = &mut world.instances[self.instance];
        let ledger = instance
            .ledger
            .as_mut()
            .ok_or_else(|| StoreError::new("stopped"))?;
        match committed {
            Ok(Ok(mark)) => {
                ledger.stored(call, mark);
                instance.is_failing = false;
                Ok(decided.captured)
            }
            Ok(Err(_)) if first.is_some() => {
                ledger.undo(decided, true);
                Ok(first.unwrap_or(decided.captured))
            }
            Ok(Err(error)) | Err(error) => {
                ledger.undo(decided, false);
                let restored = ledger.hold_of(call).map(|hold| hold.amount.nano());
                instance.is_failing = true;
                if let Some(nano) = restored {
                    world.oracle.holds.insert(call, (capture.org, nano));
                }
                Err(error)
            }
        }
    }
}

impl World {
    /// The first answer to a capture.
    pub fn first_answer(&self, call: CallId) -> Option<Captured> {
        self.store.usage_of(call).map(|usage| usage.captured)
    }

    fn hold_in_store(&mut self, request: &HoldRequest, instance: usize) -> Result<Usdt, HoldError> {
        let (now, spendable) = (self.now(), self.spendable(request.org));
        let decision = self.store.hold(request, now, instance);
        match &decision {
            Ok(amount) => self.note_hold(request.call, request.org, *amount),
            Err(refusal) => self.check_refusal(request, spendable, refusal),
        }
        decision
    }

    fn capture_in_store(&mut self, capture: &Capture) -> Result<Captured, StoreError> {
        let spendable = self.spendable(capture.org);
        let (captured, is_new) = self.store.capture(capture)?;
        if is_new {
            self.note_decision(capture, &captured, spendable);
        }
        let records = self.store.records_of(capture.call);
        if records != 1 {
            self.violate(
                "a call is charged once",
                format!("call {} is stored {records} times", capture.call),
            );
        }
        Ok(captured)
    }
}

#[async_trait]
impl Ledger for LedgerPort {
    async fn hold(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        if self.0.world.lock().setup.mode == Mode::Memory {
            return self.hold_in_memory(&request).await;
        }
        let instance = self.0.instance;
        self.0
            .request(Access::Ledger, |world| world.hold_in_store(&request, instance))
            .await?
    }

    async fn available(&self, _: HoldRequest) -> Result<Usdt, HoldError> {
        Err(StoreError::new("not part of the simulation").into())
    }

    fn release(&self, call: CallId) {
        let mut world = self.0.world.lock();
        let instance = &mut world.instances[self.0.instance];
        if instance.start != self.0.start {
            return;
        }
        match &mut instance.ledger {
            Some(ledger) => {
                ledger.release(call);
                world.note_release(call);
            }
            None => instance.releases.push(call),
        }
    }

    async fn capture(&self, capture: Capture) -> Result<Captured, StoreError> {
        if self.0.world.lock().setup.mode == Mode::Memory {
            return self.capture_in_memory(capture).await;
        }
        self.0
            .request(Access::Ledger, |world| world.capture_in_store(&capture))
            .await?
    }

    async fn balance(&self, org: OrgId) -> Result<Balance, StoreError> {
        self.0
            .request(Access::Read, |world| {
                world.store.load().balance(org, world.store.scale())
            })
            .await
    }

    async fn expenditure(&self, org: OrgId) -> Result<Usdt, StoreError> {
        self.0
            .request(Access::Read, |world| world.store.charged(org))
            .await
    }

    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        self.0
            .request(Access::Read, |world| world.store.load().totals())
            .await
    }
}
