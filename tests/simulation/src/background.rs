//! What runs beside requests in an instance: its leases, releases, indexer, settlement and sender.

use crate::{
    chain::Tx,
    plan::Mode,
    ports::{Access, Port, chain::ChainPort, settlement::SettlementPort},
    world::{Handle, Spawn, World},
};
use haithe_billing::{
    batch::SealPolicy,
    chain::Depths,
    gate::SettlementGate,
    indexer::{Indexer, IndexerConfig},
    outbox::{TxIntentId, TxState},
    settlement::{Settlement, SettlementError},
};
use haithe_kernel::{StoreError, Usdt};
use rand::Rng;
use std::{future::Future, sync::Arc, time::Duration};

/// Seconds between two renewals of a lease, which others take over after five times that.
const RENEWED_EVERY: u64 = 20;
/// Seconds after which a transaction that is not mined is sent again with a higher fee.
const REPLACED_AFTER: u64 = 180;

/// When batches are sealed, and how large they are.
pub fn policy(world: &World) -> SealPolicy {
    SealPolicy {
        max_items: world.setup.max_items,
        max_open: world.setup.max_open,
        min_credit: Usdt::from_nano(world.setup.min_credit),
        max_deferral: Duration::from_secs(1_500),
        ..SealPolicy::new(world.store.decimals())
    }
}

/// What the oracle forgets with an instance's memory.
pub fn forget(world: &mut World, _: usize) {
    if world.setup.mode == Mode::Memory {
        world.oracle.holds.clear();
        world.oracle.pending.clear();
    }
}

/// Starts an instance: it loads what is stored and begins its tasks.
pub fn start(handle: &Handle, number: usize) {
    let mut world = handle.lock();
    let now = world.now();
    world.log(format_args!("instance {number} starts"));
    let gate = Arc::new(SettlementGate::new(
        world.clock.clone(),
        crate::contract::WITHDRAWAL_DELAY,
    ));
    if world.setup.mode == Mode::Memory {
        world.instances[number].ledger = Some(world.store.load());
    }
    let (epoch, released) = world.store.end_epoch(number, now);
    for call in released {
        world.note_release(call);
    }
    let instance = &mut world.instances[number];
    (instance.epoch, instance.is_up) = (epoch, true);
    instance.gate = Arc::clone(&gate);
    let port = Port {
        world: handle.clone(),
        instance: number,
        start: instance.start,
    };
    let config = IndexerConfig {
        start: 1,
        depths: Depths {
            confirmations: world.setup.confirmations,
            finality: world.setup.finality,
        },
        range: world.setup.range,
        remembered: 64,
    };
    let chain = Arc::new(ChainPort(port.clone()));
    let indexer = Indexer::new(
        chain.clone(),
        chain,
        world.clock.clone(),
        Arc::clone(&gate),
        config,
    );
    let store = Arc::new(SettlementPort(port.clone()));
    let settlement = Settlement::new(
        store.clone(),
        store,
        world.clock.clone(),
        Arc::clone(&gate),
        policy(&world),
    );
    drop(world);
    port.spawn("lease", keep_lease(port.clone()));
    port.spawn("releases", send_releases(port.clone()));
    port.spawn("indexer", index(port.clone(), indexer, gate));
    port.spawn("settlement", settle(port.clone(), settlement));
    port.spawn("sender", send(port.clone()));
}

impl Port {
    fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let instance = Some((self.instance, self.start));
        self.world.lock().spawned.push(Spawn {
            name,
            instance,
            polls: None,
            future: Box::pin(future),
        });
    }

    fn has_lease(&self) -> bool {
        self.world.lock().has_lease(self.instance)
    }
}

async fn keep_lease(port: Port) {
    let number = port.instance;
    loop {
        let renewed = port.request(Access::Ledger, |world| {
            let now = world.now();
            world.store.epochs[number].1 = now;
            let expired = |at| now.since(at) > Duration::from_secs(5 * RENEWED_EVERY);
            let ended = (0..world.instances.len()).filter(|other| *other != number);
            let ended: Vec<usize> = ended
                .filter(|other| expired(world.store.epochs[*other].1))
                .collect();
            for other in ended {
                let (_, released) = world.store.end_epoch(other, now);
                world.log(format_args!(
                    "instance {number} releases {} holds of instance {other}",
                    released.len()
                ));
                for call in released {
                    world.note_release(call);
                }
            }
            let lease = &mut world.store.lease;
            let mine = world.instances[number].lease == Some(lease.epoch) && lease.holder == Some(number);
            if mine {
                lease.renewed_at = Some(now);
            } else if lease.renewed_at.is_none_or(expired) {
                lease.epoch += 1;
                (lease.holder, lease.renewed_at) = (Some(number), Some(now));
                world.instances[number].lease = Some(lease.epoch);
                world.log(format_args!("instance {number} takes the background work"));
            }
        });
        if renewed.await.is_ok() {
            port.world.lock().instances[number].is_failing = false;
        }
        port.world.seconds(RENEWED_EVERY).await;
    }
}

async fn send_releases(port: Port) {
    let number = port.instance;
    loop {
        port.world.seconds(2).await;
        let calls = std::mem::take(&mut port.world.lock().instances[number].releases);
        if calls.is_empty() {
            continue;
        }
        let released = port.request(Access::Ledger, |world| {
            for call in &calls {
                world.store.holds.remove(call);
                world.note_release(*call);
            }
        });
        if released.await.is_err() {
            port.world.lock().instances[number].releases.extend(calls);
        }
    }
}

async fn index(port: Port, indexer: Indexer, gate: Arc<SettlementGate>) {
    loop {
        let mut is_behind = false;
        if port.has_lease() {
            match indexer.step().await {
                Ok(progress) => is_behind = !progress.is_caught_up(),
                Err(error) => port
                    .world
                    .lock()
                    .log(format_args!("the indexer of instance {}: {error}", port.instance)),
            }
        } else if let Ok(Some(time)) = port.request(Access::Read, |world| world.store.chain_time()).await {
            gate.indexed_through(time);
        }
        let pause = if is_behind {
            1
        } else {
            port.world.lock().setup.block_seconds / 2
        };
        port.world.seconds(pause).await;
    }
}

async fn settle(port: Port, settlement: Settlement) {
    loop {
        let result = if port.has_lease() {
            settlement.step().await.map(drop)
        } else {
            settlement.resume().await.map_err(SettlementError::from)
        };
        if let Err(error) = result {
            let mut world = port.world.lock();
            world.log(format_args!("settlement of instance {}: {error}", port.instance));
            if matches!(
                error,
                SettlementError::Behind { .. } | SettlementError::Foreign { .. }
            ) {
                world.violate("the chain has our batches", error.to_string());
            }
        }
        port.world.seconds(15).await;
    }
}

async fn send(port: Port) {
    loop {
        port.world.seconds(10).await;
        if port.has_lease() {
            // A failure is repeated with the next step.
            let _ = send_step(&port).await;
        }
    }
}

async fn send_step(port: &Port) -> Result<(), StoreError> {
    let open = port.request(Access::Read, |world| {
        let open = world.store.intents.iter().filter(|intent| intent.state.is_open());
        let mut open: Vec<(Option<u64>, TxIntentId)> = open.map(|intent| (intent.nonce, intent.id)).collect();
        open.sort_by_key(|(nonce, id)| (nonce.unwrap_or(u64::MAX), *id));
        open
    });
    for (nonce, id) in open.await? {
        if nonce.is_none() {
            let chain = port
                .node(|world| world.chain.state().nonce)
                .await
                .map_err(StoreError::new)?;
            port.request(Access::Background, |world| world.store.assign_nonce(id, chain))
                .await?;
        }
        advance(port, id).await?;
    }
    Ok(())
}

/// Looks what became of an intent's attempts, makes another one where none was mined for long, and sends them.
async fn advance(port: &Port, id: TxIntentId) -> Result<(), StoreError> {
    let read = port.request(Access::Read, |world| world.store.intent(id).cloned());
    let Some(intent) = read
        .await?
        .filter(|intent| intent.nonce.is_some() && intent.state.is_open())
    else {
        return Ok(());
    };
    let attempts = intent.attempts.clone();
    let seen = port.node(move |world| {
        let head = world.chain.head().reference.number;
        let mined = attempts
            .iter()
            .find_map(|attempt| Some((*attempt, world.chain.mined(attempt.0)?)));
        mined.map(|((_, cancels, _), (block, success))| (head + 1 - block, success && !cancels))
    });
    let seen = seen.await.map_err(StoreError::new)?;
    if let Some((depth, success)) = seen {
        return port
            .request(Access::Background, |world| {
                let finality = world.setup.finality;
                if let Some(intent) = world.store.intent(id) {
                    intent.state = match (depth >= finality, success) {
                        (false, _) => TxState::Mined,
                        (true, true) => TxState::Done,
                        (true, false) => TxState::Failed,
                    };
                }
            })
            .await;
    }
    let made = port.request(Access::Background, |world| {
        let (now, hash) = (world.now(), world.chain.new_hash());
        let cancels = intent.attempts.len() >= 3 && world.rng.random_bool(0.5);
        let intent = world.store.intent(id)?;
        intent.state = TxState::Sent;
        let newest = intent.attempts.last().map(|(_, _, at)| *at);
        if newest.is_none_or(|at| now.since(at) >= Duration::from_secs(REPLACED_AFTER)) {
            intent.attempts.push((hash, cancels, now));
        }
        Some(
            intent
                .attempts
                .iter()
                .map(|attempt| intent.tx(attempt))
                .collect::<Vec<Tx>>(),
        )
    });
    let Some(txs) = made.await? else {
        return Ok(());
    };
    let sent = port.node(|world| txs.into_iter().for_each(|tx| world.chain.broadcast(tx)));
    sent.await.map_err(StoreError::new)
}
