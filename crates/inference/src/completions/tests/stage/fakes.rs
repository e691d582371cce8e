//! A ledger and a provider that do as they are told, and can be watched.

use crate::ports::{ChatModel, UpstreamAnswer, UpstreamError, UpstreamRequest};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};
use haithe_billing::{
    capture::{Capture, Captured},
    hold::{HoldError, HoldRequest},
    ledger::{Balance, LedgerTotals},
    ports::Ledger,
};
use haithe_kernel::{CallId, OrgId, StoreError, Tasks, Usdt};
use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

/// A ledger of one organization, in memory.
pub struct FakeLedger {
    pub balance: Mutex<i64>,
    pub held: Mutex<HashMap<CallId, i64>>,
    pub asked: Mutex<Vec<HoldRequest>>,
    pub captured: Mutex<Vec<Capture>>,
    pub broken: AtomicBool,
    /// The next capture fails.
    pub hiccup: AtomicBool,
    /// While set, captures wait for [`FakeLedger::gate`].
    pub slow: AtomicBool,
    pub gate: Notify,
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        unreachable!("calls do not ask for totals")
    }

    async fn hold(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        self.asked.lock().unwrap().push(request.clone());
        let mut held = self.held.lock().unwrap();
        let spendable = *self.balance.lock().unwrap() - held.values().sum::<i64>();
        let granted = request.most.nano().min(spendable);
        if granted < request.least.nano() {
            let (spendable, least) = (Usdt::from_nano(spendable), request.least);
            return Err(HoldError::Funds { spendable, least });
        }
        held.insert(request.call, granted);
        Ok(Usdt::from_nano(granted))
    }

    async fn available(&self, request: HoldRequest) -> Result<Usdt, HoldError> {
        let held: i64 = self.held.lock().unwrap().values().sum();
        let spendable = *self.balance.lock().unwrap() - held;
        let available = request.most.nano().min(spendable);
        if available < request.least.nano() {
            let (spendable, least) = (Usdt::from_nano(spendable), request.least);
            return Err(HoldError::Funds { spendable, least });
        }
        Ok(Usdt::from_nano(available))
    }

    fn release(&self, call: CallId) {
        self.held.lock().unwrap().remove(&call);
    }

    async fn capture(&self, capture: Capture) -> Result<Captured, StoreError> {
        if self.slow.load(Ordering::SeqCst) {
            self.gate.notified().await;
        }
        if self.broken.load(Ordering::SeqCst) || self.hiccup.swap(false, Ordering::SeqCst) {
            return Err(StoreError::new("disk full"));
        }
        let held = self.held.lock().unwrap().remove(&capture.call);
        assert!(held.is_some(), "a capture needs a hold");
        let spent_before: Usdt = self.captured.lock().unwrap().iter().map(Capture::cost).sum();
        let charged = capture.cost();
        *self.balance.lock().unwrap() -= charged.nano();
        self.captured.lock().unwrap().push(capture);
        Ok(Captured {
            charged,
            lost: Usdt::ZERO,
            spent_before,
        })
    }

    async fn balance(&self, _: OrgId) -> Result<Balance, StoreError> {
        Ok(Balance::default())
    }

    async fn expenditure(&self, _: OrgId) -> Result<Usdt, StoreError> {
        Ok(Usdt::ZERO)
    }
}

pub type Script = Box<dyn FnMut(&UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> + Send>;

/// A provider that does as it is told and remembers what it was asked.
pub struct FakeProvider {
    pub script: Mutex<Script>,
    pub asked: Mutex<Vec<UpstreamRequest>>,
    /// While set, answers wait for [`FakeProvider::gate`].
    pub slow: AtomicBool,
    pub gate: Notify,
}

#[async_trait]
impl ChatModel for FakeProvider {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> {
        self.asked.lock().unwrap().push(request.clone());
        if self.slow.load(Ordering::SeqCst) {
            self.gate.notified().await;
        }
        (self.script.lock().unwrap())(&request)
    }
}

/// Tasks of the test's own runtime.
#[derive(Default)]
pub struct TokioTasks {
    /// The service stops and closes its callers' connections.
    pub stopping: AtomicBool,
}

impl Tasks for TokioTasks {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn spawn(&self, _: &'static str, work: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(work);
    }
}

pub fn document(text: &str) -> Result<UpstreamAnswer, UpstreamError> {
    Ok(UpstreamAnswer::Json(Bytes::copy_from_slice(text.as_bytes())))
}

/// A stream that the test feeds; its receiver's end shows when it was dropped.
pub type Feed = mpsc::UnboundedSender<Result<Bytes, UpstreamError>>;

/// A provider's stream and its feed.
pub fn feed() -> (
    Feed,
    impl FnMut(&UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> + Send,
) {
    let (feed, stream) = mpsc::unbounded();
    let mut stream = Some(stream);
    (feed, move |_: &UpstreamRequest| {
        Ok(UpstreamAnswer::Stream(stream.take().unwrap().boxed()))
    })
}

pub fn say(feed: &Feed, text: &str) {
    feed.unbounded_send(Ok(Bytes::copy_from_slice(text.as_bytes())))
        .unwrap();
}

/// A provider that streams these reads and closes.
pub fn reads(
    reads: &[&str],
) -> impl FnMut(&UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> + Send + 'static {
    let reads: Vec<Bytes> = reads
        .iter()
        .map(|read| Bytes::copy_from_slice(read.as_bytes()))
        .collect();
    move |_: &UpstreamRequest| {
        let reads: Vec<_> = reads.iter().cloned().map(Ok).collect();
        Ok(UpstreamAnswer::Stream(futures::stream::iter(reads).boxed()))
    }
}
