//! The thread that makes a block per interval.

use crate::{Mining, chain::Shared};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Shortest interval; anything less is rounded up to it.
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
struct Orders {
    interval: Option<Duration>,
    thread: Option<JoinHandle<()>>,
    stop: bool,
}

/// Tells the mining thread when to tick; the thread exists once an interval was asked for.
#[derive(Debug, Default)]
pub(crate) struct Ticker {
    orders: Mutex<Orders>,
    changed: Condvar,
}

impl Ticker {
    /// Follows a mining mode.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn follow(self: &Arc<Self>, mining: Mining, chain: Weak<Shared>) -> io::Result<()> {
        let mut orders = self.lock();
        orders.interval = match mining {
            Mining::Interval(interval) => Some(interval.max(SHORTEST)),
            Mining::Instant | Mining::Manual => None,
        };
        if orders.interval.is_some() && orders.thread.is_none() {
            let me = Arc::clone(self);
            let name = "devchain-mining".to_owned();
            orders.thread = Some(thread::Builder::new().name(name).spawn(move || me.run(&chain))?);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Ends the thread and waits until it has let go of the chain.
    pub fn stop(&self) {
        let mut orders = self.lock();
        orders.stop = true;
        let thread = orders.thread.take();
        drop(orders);
        self.changed.notify_all();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("the mining thread ended early");
        }
    }

    fn run(&self, chain: &Weak<Shared>) {
        let mut due: Option<(Duration, Instant)> = None;
        let mut orders = self.lock();
        loop {
            if orders.stop {
                return;
            }
            let Some(interval) = orders.interval else {
                due = None;
                orders = self.changed.wait(orders).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let now = Instant::now();
            let next = match due {
                Some((before, next)) if before == interval => next,
                _ => now + interval,
            };
            if now < next {
                due = Some((interval, next));
                orders = self
                    .changed
                    .wait_timeout(orders, next - now)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
            // A machine that slept is not paid back with a burst of blocks.
            due = Some((interval, (next + interval).max(now)));
            drop(orders);
            let Some(chain) = chain.upgrade() else { return };
            chain.tick(interval);
            drop(chain);
            orders = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
