//! Who may ask contracts about signatures next: a [`FairQueue`] with wakers.

use haithe_identity::fair_queue::{FairLimits, FairQueue, QueueFull, TurnId};
use haithe_kernel::{ClientNetwork, WalletAddress};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// A client's network; `None` when it is not known, which is one client more.
pub(crate) type Client = Option<ClientNetwork>;

/// Places for checks.
#[derive(Debug)]
pub(crate) struct Admission(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    queue: FairQueue<Client, WalletAddress>,
    waiting: HashMap<TurnId, oneshot::Sender<()>>,
}

/// A place in the queue, then a place at work; dropping it gives either to the next.
#[derive(Debug)]
pub(crate) struct Turn {
    admission: Arc<Admission>,
    id: TurnId,
}

impl Admission {
    pub(crate) fn new(limits: FairLimits) -> Self {
        Self(Mutex::new(Inner {
            queue: FairQueue::new(limits),
            waiting: HashMap::new(),
        }))
    }

    /// Waits for a place. Giving up waiting leaves the queue.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        client: Client,
        wallet: WalletAddress,
    ) -> Result<Turn, QueueFull> {
        let (turn, admitted) = self.join(client, wallet)?;
        // The sender is dropped only with the turn.
        let _ = admitted.await;
        Ok(turn)
    }

    fn join(
        self: &Arc<Self>,
        client: Client,
        wallet: WalletAddress,
    ) -> Result<(Turn, oneshot::Receiver<()>), QueueFull> {
        let mut inner = self.lock();
        let id = inner.queue.join(client, wallet)?;
        let (wake, admitted) = oneshot::channel();
        inner.waiting.insert(id, wake);
        inner.wake();
        let turn = Turn {
            admission: self.clone(),
            id,
        };
        Ok((turn, admitted))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wake(&mut self) {
        while let Some(id) = self.queue.admit() {
            if let Some(wake) = self.waiting.remove(&id) {
                // Who does not listen any more is about to drop its turn.
                let _ = wake.send(());
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.admission.lock();
        inner.waiting.remove(&self.id);
        inner.queue.leave(self.id);
        inner.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use haithe_kernel::ClientIp;

    const LIMITS: FairLimits = FairLimits {
        places: 2,
        per_client: 1,
        per_wallet: 2,
        waiting_per_client: 2,
    };

    fn client(number: u8) -> Client {
        Some(ClientIp::new([192, 0, 2, number].into()).network())
    }

    const WALLET: WalletAddress = WalletAddress::new([1; 20]);

    #[test]
    fn a_flood_of_one_client_leaves_a_place_for_another() {
        let admission = Arc::new(Admission::new(LIMITS));
        let enter = |number| admission.enter(client(number), WALLET);
        let first = enter(1).now_or_never().unwrap().unwrap();
        let mut second = Box::pin(enter(1));
        assert!(
            second.as_mut().now_or_never().is_none(),
            "one place for each client"
        );
        let mut third = Box::pin(enter(1));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(
            enter(1).now_or_never().unwrap().is_err(),
            "the client's queue is full"
        );
        let other = enter(2).now_or_never().unwrap().unwrap();
        drop(first);
        let second = second.now_or_never().unwrap().unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        // Who gives up waiting leaves no trace.
        drop(third);
        drop((second, other));
        let inner = admission.lock();
        assert_eq!((inner.queue.running(), inner.queue.waiting()), (0, 0));
        assert!(inner.waiting.is_empty());
    }
}
