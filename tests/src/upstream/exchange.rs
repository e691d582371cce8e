//! What an upstream saw of one request, and how far it got with the answer.

use crate::DEADLINE;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

/// How an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// The request was read; nothing was sent.
    #[default]
    Received,
    /// Some of the answer was handed to the connection.
    Answering,
    /// The whole answer was handed to the connection.
    Finished,
    /// The script broke it off.
    BrokenOff,
    /// The other side closed the connection first.
    ClientLeft,
}

/// What the provider would put on its invoice, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metered {
    /// Input tokens; due as soon as something was generated.
    pub input: u64,
    /// Of these, from the provider's cache.
    pub cached: u64,
    /// Output tokens generated so far.
    pub output: u64,
    /// Stream events sent so far.
    pub events: u64,
    /// How the answer stands.
    pub stage: Stage,
}

/// One request and its answer's progress.
#[derive(Debug)]
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    progress: watch::Sender<Metered>,
    resumed: Semaphore,
}

impl Exchange {
    pub(super) fn new(method: Method, path: String, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            method,
            path,
            headers,
            body,
            progress: watch::Sender::new(Metered::default()),
            resumed: Semaphore::new(0),
        }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the gateway sends JSON upstream")
    }

    /// The same, or null.
    pub(super) fn loose(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What was metered so far.
    pub fn metered(&self) -> Metered {
        *self.progress.borrow()
    }

    /// Waits until the meter satisfies the condition.
    pub async fn until(&self, what: &str, condition: impl FnMut(&Metered) -> bool) -> Metered {
        let mut progress = self.progress.subscribe();
        let reached = tokio::time::timeout(DEADLINE, progress.wait_for(condition)).await;
        match reached {
            Ok(metered) => *metered.expect("the exchange owns its meter"),
            Err(_) => panic!(
                "waited in vain until {what}; the upstream stands at {:?}",
                self.metered()
            ),
        }
    }

    /// Waits until the other side has closed the connection.
    pub async fn until_client_left(&self) -> Metered {
        self.until("the gateway closes the connection", |m| {
            m.stage == Stage::ClientLeft
        })
        .await
    }

    /// Waits until the whole answer was handed to the connection.
    pub async fn until_finished(&self) -> Metered {
        self.until("the answer is sent", |m| m.stage == Stage::Finished)
            .await
    }

    /// Lets a paused stream go on.
    pub fn resume(&self) {
        self.resumed.add_permits(1);
    }

    pub(super) async fn resumed(&self) {
        self.resumed.acquire().await.expect("never closed").forget();
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Metered)) {
        self.progress.send_modify(change);
    }

    pub(super) fn end(&self, stage: Stage) {
        self.progress.send_if_modified(|metered| {
            let open = matches!(metered.stage, Stage::Received | Stage::Answering);
            if open {
                metered.stage = stage;
            }
            open
        });
    }
}
