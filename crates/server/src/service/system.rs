//! The kernel's ports on this machine: its clock, its randomness, its runtime.

use crate::state::Drain;
use futures::FutureExt;
use haithe_kernel::{Clock, MonotonicTime, Random, Tasks, Timer, Timestamp};
use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio_util::task::TaskTracker;

/// The start of every [`SystemClock`]'s monotonic time in this process.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the system's clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> MonotonicTime {
        MonotonicTime::from_start(START.elapsed())
    }
}

/// A cryptographic generator per thread, seeded and reseeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn bytes16(&self) -> [u8; 16] {
        rand::random()
    }
}

/// Work that outlives its request, waited for by a graceful stop.
#[derive(Debug, Clone, Default)]
pub struct TokioTasks {
    /// Counts the tasks that have not ended.
    pub tracker: TaskTracker,
    /// Cancelled when a stop closes callers' connections.
    pub drain: Drain,
}

impl TokioTasks {
    /// Waits until every task has ended, those included that are started meanwhile.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Tasks for TokioTasks {
    fn stopping(&self) -> bool {
        self.drain.0.is_cancelled()
    }

    fn spawn(&self, name: &'static str, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.tracker.spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked");
            }
        });
    }
}

/// The runtime's timers.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(span))
    }
}
