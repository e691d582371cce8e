//! The way from a loop to its caller: a document at the end, or events as they come.

use crate::{
    completions::Answer,
    error::CompletionError,
    presence::{Connection, Presence},
};
use bytes::Bytes;
use futures::{
    SinkExt, Stream, StreamExt,
    channel::{mpsc, oneshot},
};
use haithe_kernel::{CallId, Usdt};
use serde_json::Value;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Events on their way to a caller who reads slowly.
const BUFFERED: usize = 16;

/// Where a loop's answer goes.
pub(super) enum Output {
    Document(oneshot::Sender<Result<Answer, CompletionError>>),
    Events(Sending),
}

/// The loop's end of a stream.
pub(super) struct Sending {
    /// Until the stream has begun, a failure is an answer of its own.
    begun: Option<oneshot::Sender<Result<(), CompletionError>>>,
    events: mpsc::Sender<Bytes>,
}

impl Sending {
    /// Says that there will be a stream.
    pub fn begin(&mut self) {
        if let Some(begun) = self.begun.take() {
            // A caller who left is noticed elsewhere.
            let _ = begun.send(Ok(()));
        }
    }

    /// Fails: as an answer of its own, or as the stream's last event.
    pub async fn fail(&mut self, error: CompletionError) {
        match self.begun.take() {
            Some(begun) => {
                let _ = begun.send(Err(error));
            }
            None => self.send(crate::dialect::ErrorObject::from(&error).event()).await,
        }
    }

    pub async fn say(&mut self, chunk: &Value) {
        self.send(Bytes::from(format!("data: {chunk}\n\n"))).await;
    }

    /// Nothing for clients, and a sign of life for whoever stands between.
    pub async fn sign_of_life(&mut self) {
        self.send(Bytes::from_static(b": working\n\n")).await;
    }

    pub async fn send(&mut self, event: Bytes) {
        self.begin();
        // A caller who left is noticed elsewhere.
        let _ = self.events.send(event).await;
    }
}

/// A stream to be, and whether it will be.
pub(super) struct Receiving {
    begun: oneshot::Receiver<Result<(), CompletionError>>,
    events: Events,
}

/// What the caller reads. Dropping it tells the loop.
struct Events {
    events: mpsc::Receiver<Bytes>,
    _connection: Connection,
}

impl Stream for Events {
    type Item = Bytes;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.events.poll_next_unpin(cx)
    }
}

/// Both ends of a stream.
pub(super) fn events() -> (Sending, Presence, Receiving) {
    let (begin, begun) = oneshot::channel();
    let (send, receive) = mpsc::channel(BUFFERED);
    let (connection, presence) = Presence::watched();
    let sending = Sending {
        begun: Some(begin),
        events: send,
    };
    let events = Events {
        events: receive,
        _connection: connection,
    };
    (sending, presence, Receiving { begun, events })
}

impl Receiving {
    /// Waits until the stream begins or fails. A caller who leaves meanwhile has left the loop.
    pub async fn answer(self, call: CallId, most: Usdt) -> Result<Answer, CompletionError> {
        self.begun.await.map_err(|_| CompletionError::Interrupted)??;
        Ok(Answer::Stream {
            call,
            most,
            events: self.events.boxed(),
        })
    }
}
