//! A value that is shared for a moment.

use haithe_kernel::{Clock, MonotonicTime};
use std::{fmt, future::Future, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// A value that is read at most once in a span, however many ask for it; those who ask at once wait for one read.
pub struct Brief<T> {
    clock: Arc<dyn Clock>,
    span: Duration,
    last: Mutex<Option<(MonotonicTime, Arc<T>)>>,
}

impl<T> Brief<T> {
    /// Nothing is read yet.
    pub fn new(clock: Arc<dyn Clock>, span: Duration) -> Self {
        Self {
            clock,
            span,
            last: Mutex::new(None),
        }
    }

    /// The value as it was at most the span ago, or what `read` returns now.
    ///
    /// # Errors
    /// The error of `read`, which is not kept.
    pub async fn get<E, F>(&self, read: impl FnOnce() -> F) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut last = self.last.lock().await;
        if let Some((at, value)) = &*last
            && self.clock.monotonic().since(*at) < self.span
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(read().await?);
        *last = Some((self.clock.monotonic(), Arc::clone(&value)));
        Ok(value)
    }
}

impl<T> fmt::Debug for Brief<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brief")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::{FixedClock, Timestamp};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    const SPAN: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn it_is_read_once_in_a_span_however_many_ask() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        let brief = Brief::new(clock.clone(), SPAN);
        let reads = AtomicUsize::new(0);
        let read = || async {
            tokio::task::yield_now().await;
            Ok::<_, ()>(reads.fetch_add(1, SeqCst))
        };
        let all = futures::future::join_all((0..100).map(|_| brief.get(read))).await;
        assert!(all.iter().all(|value| value.as_deref() == Ok(&0)));
        clock.set(Timestamp::from_seconds(0));
        assert_eq!(brief.get(read).await.as_deref(), Ok(&0));
        clock.advance(SPAN);
        assert_eq!(brief.get(read).await.as_deref(), Ok(&1));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        let brief = Brief::new(clock, SPAN);
        assert_eq!(brief.get(|| async { Err::<u8, _>("down") }).await, Err("down"));
        assert_eq!(brief.get(|| async { Ok::<_, &str>(7) }).await.as_deref(), Ok(&7));
    }
}
