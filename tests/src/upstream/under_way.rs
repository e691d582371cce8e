//! Requests that are being answered: how many there are, and whether the other side leaves them.

use super::{Exchange, Stage};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many there are, and how many there were at the same time.
#[derive(Debug, Default)]
pub struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Counts {
    pub fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A request that is being answered. Notes that the other side left, should the answer be dropped before
/// its end.
pub struct Watched {
    exchange: Arc<Exchange>,
    counts: Arc<Counts>,
}

impl Watched {
    pub fn new(exchange: &Arc<Exchange>, counts: &Arc<Counts>) -> Self {
        let now = counts.now.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(now, Ordering::SeqCst);
        Self {
            exchange: Arc::clone(exchange),
            counts: Arc::clone(counts),
        }
    }

    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.exchange.end(Stage::ClientLeft);
        self.counts.now.fetch_sub(1, Ordering::SeqCst);
    }
}
