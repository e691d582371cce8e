//! The thread that makes a block per interval.

use crate::{Mining, chain::Shared};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// Shortest interval; anything less is rounded up to it.
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
struct Orders {
    interval: Option<Duration>,
    running: bool,
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
        if orders.interval.is_some() && !orders.running {
            let me = Arc::clone(self);
            thread::Builder::new()
                .name("devchain-mining".to_owned())
                .spawn(move || me.run(&chain))?;
            orders.running = true;
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
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
