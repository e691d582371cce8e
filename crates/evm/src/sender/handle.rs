//! What others hold of a sender that runs in its own task.

use super::health::SenderHealth;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, watch};

/// Talks to a [`Sender`](super::Sender). Cheap to clone.
#[derive(Debug, Clone)]
pub struct SenderHandle {
    wake: Arc<Notify>,
    progress: watch::Receiver<u64>,
    health: watch::Receiver<SenderHealth>,
    cancels: Arc<Mutex<BTreeSet<String>>>,
}

impl SenderHandle {
    /// Something was written to the outbox: look now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Changes whenever an intent was mined or closed.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.clone()
    }

    /// The lane's state.
    pub fn health(&self) -> SenderHealth {
        self.health.borrow().clone()
    }

    /// Gives an intent up. One without a nonce fails at once; one that is under way is outbid by a
    /// transfer of nothing to ourselves on its nonce, and whichever is mined counts. Nothing
    /// happens to what is mined already. Forgotten when the process ends before it is acted on.
    pub fn cancel(&self, key: impl Into<String>) {
        self.cancels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.into());
        self.wake();
    }
}

/// The sender's end.
#[derive(Debug)]
pub(super) struct Signals {
    wake: Arc<Notify>,
    progress: watch::Sender<u64>,
    health: watch::Sender<SenderHealth>,
    cancels: Arc<Mutex<BTreeSet<String>>>,
}

impl Signals {
    pub fn new() -> Self {
        Self {
            wake: Arc::default(),
            progress: watch::Sender::new(0),
            health: watch::Sender::default(),
            cancels: Arc::default(),
        }
    }

    pub fn handle(&self) -> SenderHandle {
        SenderHandle {
            wake: self.wake.clone(),
            progress: self.progress.subscribe(),
            health: self.health.subscribe(),
            cancels: self.cancels.clone(),
        }
    }

    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    pub fn progressed(&self) {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn health(&self) -> watch::Ref<'_, SenderHealth> {
        self.health.borrow()
    }

    pub fn publish(&self, health: SenderHealth) {
        self.health.send_replace(health);
    }

    pub fn wants_cancelled(&self, key: &str) -> bool {
        self.cancels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(key)
    }

    pub fn cancelled(&self, key: &str) {
        self.cancels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}
