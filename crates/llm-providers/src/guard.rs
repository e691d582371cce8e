//! An upstream's stream that may not pause for longer than allowed.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use haithe_inference::ports::UpstreamError;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Passes `events` on. Ends with [`UpstreamError::TimedOut`] when the first read has not come at
/// `first_due`, or after a pause of `idle` between two reads.
pub(crate) fn guarded(
    events: impl Stream<Item = Result<Bytes, reqwest::Error>> + Send + 'static,
    first_due: Instant,
    idle: Duration,
) -> BoxStream<'static, Result<Bytes, UpstreamError>> {
    Guarded {
        events: events.boxed(),
        idle,
        due: first_due,
        alarm: Box::pin(sleep_until(first_due)),
    }
    .boxed()
}

struct Guarded {
    events: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    idle: Duration,
    /// When the next read is due. The alarm is moved only when it rings, not with every read.
    due: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Stream for Guarded {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(next) = self.events.poll_next_unpin(cx) {
            self.due = Instant::now() + self.idle;
            return Poll::Ready(next.map(|read| read.map_err(failed)));
        }
        // A pause may be allowed that ends before the alarm does: the alarm must not ring too late.
        if self.due < self.alarm.deadline() {
            let due = self.due;
            self.alarm.as_mut().reset(due);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.due;
            if due <= Instant::now() {
                return Poll::Ready(Some(Err(UpstreamError::TimedOut)));
            }
            self.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// A transport failure, without the address, which is nobody's business in a log of answers.
pub(crate) fn failed(error: reqwest::Error) -> UpstreamError {
    if error.is_timeout() {
        UpstreamError::TimedOut
    } else {
        UpstreamError::Failed(error.without_url().into())
    }
}
