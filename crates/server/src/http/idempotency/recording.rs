//! A stream that is kept as it passes.
//!
//! Its end reaches the caller after the answer is kept, so that who has heard all of it is replayed
//! all of it. A caller who leaves in the middle stops the stream; what had passed is kept, with a last
//! event that says so.

use super::kept::Head;
use crate::http::dialect::Dialect;
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{Stream, StreamExt, future::BoxFuture};
use haithe_identity::idempotency::{Ending, LARGEST, Ticket};
use haithe_inference::ErrorObject;
use haithe_kernel::{Failure, Kind};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The caller left.
#[derive(Debug, thiserror::Error)]
#[error(
    "the caller left this stream here; its input and what was generated until then are charged; use a new \
     Idempotency-Key to ask again"
)]
struct CutOff;

impl Failure for CutOff {
    fn kind(&self) -> Kind {
        Kind::Conflict
    }
    fn code(&self) -> &'static str {
        "idempotency_stream_cut_off"
    }
}

/// The stream.
pub struct Recording {
    body: BodyDataStream,
    /// `None` once its end has come.
    record: Option<Record>,
    /// The end, being kept.
    ending: Option<BoxFuture<'static, ()>>,
}

struct Record {
    ticket: Ticket,
    /// Head and body so far; `None` when they are too large to keep.
    kept: Option<Vec<u8>>,
    openai: bool,
}

impl Recording {
    /// Over `body`, an answer with this head to this path.
    pub fn new(body: Body, ticket: Ticket, head: &Head, path: &str) -> Self {
        Self {
            body: body.into_data_stream(),
            record: Some(Record {
                ticket,
                kept: Some(head.encoded()),
                openai: Dialect::of(path) == Dialect::OpenAi,
            }),
            ending: None,
        }
    }
}

impl Record {
    fn pass(&mut self, bytes: &[u8]) {
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        self.kept.take_if(|kept| kept.len() > LARGEST);
    }

    fn ended(self) -> (Ticket, Ending) {
        let ending = self
            .kept
            .map_or(Ending::TooLarge, |kept| Ending::Answered(kept.into()));
        (self.ticket, ending)
    }

    /// Ends with a word about why it ends here, in a task of its own.
    fn cut_off(mut self) {
        if self.openai {
            self.pass(&ErrorObject::new(&CutOff, None).event());
        }
        let (ticket, ending) = self.ended();
        ticket.finish_later(ending);
    }
}

impl Stream for Recording {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(ending) = &mut this.ending {
                ready!(ending.as_mut().poll(cx));
                this.ending = None;
                return Poll::Ready(None);
            }
            let next = ready!(this.body.poll_next_unpin(cx));
            let Some(mut record) = this.record.take() else {
                return Poll::Ready(next);
            };
            match next {
                Some(Ok(bytes)) => {
                    record.pass(&bytes);
                    this.record = Some(record);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Err(error)) => {
                    record.cut_off();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let (ticket, ending) = record.ended();
                    this.ending = Some(Box::pin(ticket.finish(ending)));
                }
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.cut_off();
        }
    }
}
