//! Ports for what the domain cannot compute: time, chance, and work that outlives a request.

use crate::Timestamp;
use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

/// The time of day, UTC.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now. Never decreases by more than the operating system's own corrections.
    fn now(&self) -> Timestamp;
}

/// Unpredictable bytes.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait Random: Send + Sync {
    /// 16 bytes from the operating system's cryptographic generator.
    fn bytes16(&self) -> [u8; 16];
    /// 32 bytes from the operating system's cryptographic generator.
    fn bytes32(&self) -> [u8; 32] {
        let mut both = [0; 32];
        let halves = [self.bytes16(), self.bytes16()];
        for (slot, byte) in both.iter_mut().zip(halves.iter().flatten()) {
            *slot = *byte;
        }
        both
    }
}

/// Work that must finish although the request that started it may be dropped, such as a capture.
///
/// A graceful stop waits for these tasks.
pub trait Tasks: Send + Sync {
    /// Starts `work`; `name` appears in logs.
    fn spawn(&self, name: &'static str, work: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Whether the service is stopping and closes callers' connections itself. A connection that
    /// closes while this is `true` does not mean that its caller left.
    fn stopping(&self) -> bool {
        false
    }
}

/// Waiting, such as between two tries.
pub trait Timer: Send + Sync {
    /// Ends after `span`. Dropping it ends the wait.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A clock that stands still until it is moved. For tests and replays.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// Stands at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.micros()))
    }

    /// Moves forward.
    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

impl Timer for FixedClock {
    /// Moves the clock at once: whoever waits on it finds that the time has passed.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.advance(span);
        Box::pin(std::future::ready(()))
    }
}
