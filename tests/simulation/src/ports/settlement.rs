//! [`SettlementStore`] on the model store, and [`Settler`] through the model outbox.

use super::{Access, Port};
use crate::contract::batch_hash;
use async_trait::async_trait;
use haithe_billing::{
    batch::{Batch, BatchState, SealPolicy, Sealing, Unsealed, waiting_charges},
    chain::{ChainError, Hash32},
    outbox::TxState,
    ports::{SettlementStore, Settler, Submission},
};
use haithe_kernel::{CallId, StoreError, Timestamp};

/// How often sealing is tried while what it was built from keeps changing.
const ATTEMPTS: usize = 3;

/// [`SettlementStore`] and [`Settler`] of an instance.
#[derive(Clone)]
pub struct SettlementPort(pub Port);

impl SettlementPort {
    /// `None` when what the batch was built from has changed.
    async fn attempt(&self, policy: SealPolicy, now: Timestamp) -> Result<Option<Option<Batch>>, StoreError> {
        let number = self.0.instance;
        let gathered = self
            .0
            .request(Access::Read, |world| {
                if !policy.may_open(world.store.open().count()) {
                    return None;
                }
                let aside = &world.instances[number].aside;
                let next = world.store.next_batch();
                Some(
                    world
                        .store
                        .gather(policy, now, aside)
                        .map(|gathered| (next, gathered)),
                )
            })
            .await?;
        let Some(gathered) = gathered else {
            return Ok(Some(None));
        };
        let (next, gathered) = gathered.map_err(StoreError::new)?;
        let unsealable = gathered.unsealable.iter().map(|charge| charge.call);
        self.0.world.lock().instances[number].aside.extend(unsealable);
        if gathered.input.is_empty() {
            return Ok(Some(None));
        }
        let carry = gathered.input.carry.clone();
        let batch = Batch::build(next, gathered.input, &policy, now).map_err(StoreError::new);
        let batch = batch.inspect_err(|error| {
            let detail = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
            self.0
                .world
                .lock()
                .violate("what is gathered makes a batch", detail);
        })?;
        let sealing = Sealing::new(batch.clone(), gathered.places, carry, policy);
        let is_stored = self.0.request(Access::Background, |world| {
            let is_stored = world.store.seal(&sealing);
            if is_stored {
                let (seq, calls, lines) =
                    (sealing.batch.seq, sealing.places.len(), sealing.batch.lines.len());
                world.log(format_args!(
                    "batch {seq} is sealed: {calls} calls in {lines} lines"
                ));
            }
            is_stored
        });
        Ok(is_stored.await?.then_some(Some(batch)))
    }
}

#[async_trait]
impl SettlementStore for SettlementPort {
    async fn unsealed(&self, policy: SealPolicy, now: Timestamp) -> Result<Unsealed, StoreError> {
        let number = self.0.instance;
        self.0
            .request(Access::Read, |world| {
                let withdrawing = world.store.payers().withdrawing;
                let overdue = policy.overdue_carry(now, &withdrawing);
                let count = world
                    .store
                    .carry
                    .values()
                    .filter(|carry| overdue.selects(carry))
                    .count();
                let groups = world.store.groups(&world.instances[number].aside);
                let orgs = waiting_charges(groups, &withdrawing);
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                Unsealed::of(orgs, count, world.store.escrow(), &policy, now)
            })
            .await
    }

    async fn open_batches(&self) -> Result<Vec<(Batch, BatchState)>, StoreError> {
        let read = self.0.request(Access::Read, |world| {
            world
                .store
                .open()
                .map(|row| (row.batch.clone(), row.state()))
                .collect()
        });
        read.await
    }

    async fn seal(&self, policy: SealPolicy, now: Timestamp) -> Result<Option<Batch>, StoreError> {
        for _ in 0..ATTEMPTS {
            if let Some(done) = self.attempt(policy, now).await? {
                return Ok(done);
            }
        }
        Err(StoreError::new("sealing gave up"))
    }

    async fn dissolve(&self, seq: u64) -> Result<bool, StoreError> {
        let dissolved = self.0.request(Access::Background, |world| {
            let dissolved = world.store.dissolve(seq);
            world.log(format_args!("batches from {seq} on are dissolved: {dissolved:?}"));
            dissolved
        });
        dissolved.await?.map_err(StoreError::new)
    }

    async fn set_aside(&self, calls: Vec<CallId>, _: String) -> Result<(), StoreError> {
        self.0.world.lock().instances[self.0.instance].aside.extend(calls);
        Ok(())
    }

    async fn batch(&self, seq: u64) -> Result<Option<(Batch, BatchState)>, StoreError> {
        let read = self.0.request(Access::Read, |world| {
            let row = world.store.batches.get(&seq)?;
            Some((row.batch.clone(), row.state()))
        });
        read.await
    }
}

#[async_trait]
impl Settler for SettlementPort {
    async fn next_sequence(&self) -> Result<u64, ChainError> {
        self.0.node(|world| world.chain.state().next_batch).await
    }

    async fn submit(&self, batch: Batch) -> Result<Submission, ChainError> {
        let seq = batch.seq;
        let newest = self.0.request(Access::Read, |world| {
            let (newest, key) = world.store.newest_intent(seq);
            (newest.map(|intent| (intent.state, intent.nonce)), key)
        });
        let (newest, key) = newest.await.map_err(ChainError::unavailable)?;
        let live = newest.filter(|(state, _)| *state != TxState::Failed);
        if live.is_some_and(|(_, nonce)| nonce.is_some()) {
            return Ok(Submission::Queued);
        }
        let next = self.next_sequence().await?;
        if newest.is_some() && next > seq {
            return Ok(Submission::Queued);
        }
        let refused = self
            .0
            .node(|world| world.chain.would_refuse(&batch, world.now()))
            .await?;
        if next == seq && refused {
            return Ok(Submission::Refused {
                reason: "too much gas".to_owned(),
            });
        }
        if live.is_none() {
            let written = self
                .0
                .request(Access::Background, |world| world.store.enqueue(key, batch));
            written.await.map_err(ChainError::unavailable)?;
        }
        Ok(Submission::Queued)
    }

    async fn expected_hash(&self, batch: Batch) -> Result<Hash32, ChainError> {
        Ok(batch_hash(&batch))
    }

    async fn settled_hash(&self, seq: u64) -> Result<Option<Hash32>, ChainError> {
        self.0
            .node(|world| world.chain.state().hashes.get(&seq).copied())
            .await
    }

    async fn verify_receipt(&self, _: u64, _: u32, _: Hash32, _: Vec<Hash32>) -> Result<bool, ChainError> {
        Err(ChainError::unavailable("not part of the simulation"))
    }
}
