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

/// Gives `first`, then what follows; ends with [`UpstreamError::TimedOut`] after a pause of `idle`.
pub(crate) fn guarded(
    first: Bytes,
    rest: impl Stream<Item = Result<Bytes, reqwest::Error>> + Send + 'static,
    idle: Duration,
) -> BoxStream<'static, Result<Bytes, UpstreamError>> {
    let now = Instant::now();
    Guarded {
        first: Some(first),
        rest: rest.boxed(),
        idle,
        last: now,
        alarm: Box::pin(sleep_until(now + idle)),
    }
    .boxed()
}

struct Guarded {
    first: Option<Bytes>,
    rest: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    idle: Duration,
    /// When something last came. The alarm is moved only when it rings, not with every event.
    last: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Stream for Guarded {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Poll::Ready(next) = self.rest.poll_next_unpin(cx) {
            self.last = Instant::now();
            return Poll::Ready(next.map(|read| read.map_err(failed)));
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.last + self.idle;
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
