//! A stream of events as a body that a stop of the service can end.

use crate::{service::metrics::Open, state::Drain};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use haithe_inference::ErrorObject;
use haithe_kernel::{Failure, Kind};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// The service stops while a stream is open.
#[derive(Debug, thiserror::Error)]
#[error("the service is restarting; what was answered so far is charged; try again")]
struct Stopping;

impl Failure for Stopping {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }
    fn code(&self) -> &'static str {
        "service_stopping"
    }
}

/// Passes events on, each as its own write, until they end or the service's patience does; then the
/// last event says so, the provider is stopped, and what was generated is charged.
pub struct Events {
    /// `None` once ended. Dropping them is what stops the provider.
    open: Option<(BoxStream<'static, Bytes>, Open)>,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Events {
    /// Over `events`, counted as `open`.
    pub fn new(events: BoxStream<'static, Bytes>, drain: Drain, open: Open) -> Self {
        Self {
            open: Some((events, open)),
            drained: Box::pin(drain.0.cancelled_owned()),
        }
    }
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some((events, ..)) = &mut this.open else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(next) = events.poll_next_unpin(cx) {
            if next.is_none() {
                this.open = None;
            }
            return Poll::Ready(next.map(Ok));
        }
        if this.drained.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.open = None;
        Poll::Ready(Some(Ok(ErrorObject::new(&Stopping, None).event())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::metrics::Figures;

    #[tokio::test]
    async fn events_pass_one_by_one() {
        let events = futures::stream::iter([Bytes::from_static(b"a"), Bytes::from_static(b"b")]).boxed();
        let mut stream = Events::new(events, Drain::default(), Figures::new().stream());
        assert_eq!(stream.next().await, Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(stream.next().await, Some(Ok(Bytes::from_static(b"b"))));
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn a_stop_ends_an_open_stream_with_an_error_event() {
        let drain = Drain::default();
        let events = futures::stream::pending().boxed();
        let mut stream = Events::new(events, drain.clone(), Figures::new().stream());
        drain.0.cancel();
        let last = stream.next().await.unwrap().unwrap();
        let last = std::str::from_utf8(&last).unwrap();
        assert!(
            last.starts_with("data: {\"error\"") && last.contains("service_stopping"),
            "{last}"
        );
        assert_eq!(stream.next().await, None);
    }
}
