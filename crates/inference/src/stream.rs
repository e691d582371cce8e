//! A streamed answer on its way from the provider to the caller.
//!
//! Reads are forwarded as they come, cut at event borders and otherwise untouched. The last events
//! (usage, if asked for, and `[DONE]`) wait until the charge is on disk, which happens in a task of
//! its own: a caller who leaves in that moment changes nothing. A caller who leaves earlier drops
//! this stream; that closes the connection to the provider, and the input, which the provider counts
//! once it has accepted the request, and what was generated are charged.

mod begin;
mod own;

use crate::{
    call::{Call, Charged},
    dialect::ErrorObject,
    error::CompletionError,
    meter::{Chunk, Document, Meter},
    ports::{AskOutcome, UpstreamError},
    routing::BreakerPermit,
    sse::{Block, Event, Splitter},
};
pub(crate) use begin::Unbegun;
use bytes::Bytes;
use futures::{Stream, StreamExt, channel::oneshot, ready, stream::BoxStream};
use haithe_billing::capture::CallOutcome;
use haithe_kernel::{Failure, MonotonicTime, StoreError, Tasks};
use own::{DONE, Own};
use std::{
    borrow::Cow,
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Reads taken after `[DONE]`, where only the end of the body should follow.
const MOST_DRAINED: usize = 8;

/// A provider's event stream.
pub(crate) type Upstream = BoxStream<'static, Result<Bytes, UpstreamError>>;

/// How a stream ended at the provider.
enum End {
    Complete,
    Failed(UpstreamError),
}

/// A charge on its way to the disk.
type Charging = oneshot::Receiver<Result<Charged, StoreError>>;

enum Phase {
    /// Events come.
    Open,
    /// The charge is being written.
    Charging { end: End, charged: Charging },
    /// Nothing comes any more, except what is ready.
    Over,
}

/// Forwards, meters and finally charges a stream.
pub(crate) struct MeteredStream {
    upstream: Option<Upstream>,
    splitter: Splitter,
    meter: Meter,
    /// The call, until it is charged or given back.
    call: Option<Box<Call>>,
    /// Reports to the circuit breaker how the provider fares.
    permit: BreakerPermit,
    tasks: Arc<dyn Tasks>,
    wants_usage: bool,
    /// What the caller gets next.
    ready: VecDeque<Bytes>,
    /// The provider's usage-only chunk, withheld.
    usage: Option<Document>,
    choices: u32,
    /// Whether something generated was handed on.
    delivered: bool,
    phase: Phase,
    /// When the provider was asked, until its first byte is here.
    asked_at: Option<MonotonicTime>,
    /// Whether the first event is behind us.
    begun: bool,
    /// Whether a caller reads this stream, so that dropping it means that the caller left.
    attended: bool,
    /// A failure before that: an answer of its own rather than an event.
    failure: Option<CompletionError>,
    own: Own,
}

impl MeteredStream {
    /// Over the events of a provider that was asked at `asked_at` and accepted the request.
    pub fn new(
        upstream: Upstream,
        call: Box<Call>,
        permit: BreakerPermit,
        tasks: Arc<dyn Tasks>,
        asked_at: MonotonicTime,
    ) -> Self {
        Self {
            upstream: Some(upstream),
            splitter: Splitter::default(),
            meter: Meter::default(),
            wants_usage: call.request.include_usage(),
            choices: call.request.choices(),
            own: Own::of(&call),
            call: Some(call),
            permit,
            tasks,
            ready: VecDeque::new(),
            usage: None,
            delivered: false,
            phase: Phase::Open,
            asked_at: Some(asked_at),
            begun: false,
            attended: false,
            failure: None,
        }
    }

    /// Moves on until something is ready for the caller or nothing will come any more.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ready.is_empty() {
            match &mut self.phase {
                Phase::Over => break,
                Phase::Open => {
                    let read = ready!(self.poll_upstream(cx));
                    if self.asked_at.is_some() {
                        let failed = read.as_ref().and_then(|read| read.as_ref().err());
                        self.note_first_byte(failed.map_or(AskOutcome::Answered, AskOutcome::from));
                    }
                    match read {
                        Some(Ok(read)) => self.take(read),
                        Some(Err(error)) => self.end(End::Failed(error)),
                        None => self.end_of_upstream(),
                    }
                }
                Phase::Charging { charged, .. } => {
                    let charged = Pin::new(charged).poll(cx);
                    if charged.is_pending() {
                        // Reading to the provider's end lets its connection be used again.
                        self.drain(cx);
                    }
                    let charged = ready!(charged);
                    if let Phase::Charging { end, .. } = std::mem::replace(&mut self.phase, Phase::Over) {
                        self.finish(end, charged.ok());
                    }
                }
            }
        }
        Poll::Ready(())
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        match &mut self.upstream {
            Some(upstream) => upstream.poll_next_unpin(cx),
            None => Poll::Ready(None),
        }
    }

    fn drain(&mut self, cx: &mut Context<'_>) {
        for _ in 0..MOST_DRAINED {
            match self.poll_upstream(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => break,
            }
        }
        self.upstream = None;
    }

    /// Takes one read of the provider's.
    fn take(&mut self, read: Bytes) {
        self.meter.hash(&read);
        match self.splitter.push(read) {
            Ok(Some(block)) => self.forward(&block),
            Ok(None) => {}
            Err(error) => self.end(End::Failed(UpstreamError::Failed(error.into()))),
        }
    }

    /// Makes whole events ready, in as few pieces as what is withheld allows.
    fn forward(&mut self, block: &Block) {
        let mut from = 0;
        let mut end = None;
        for event in block.events() {
            let Event {
                range,
                data: Some(data),
            } = event
            else {
                continue;
            };
            let (chunk, place) = self.meter.read(&data);
            self.note_first_token();
            match chunk {
                Chunk::Part if self.meter.gave_up() => {
                    let what = "the provider ran out of resources";
                    end = Some(End::Failed(UpstreamError::Failed(what.into())));
                }
                Chunk::Part if self.meter.unnamed() => {
                    let document = Document::placed(owned(block, data), place);
                    self.push(block.bytes.slice(from..range.start));
                    from = range.end;
                    self.own.follow(&self.meter);
                    let named = self.own.named(&document);
                    self.push(named);
                    continue;
                }
                Chunk::Part => continue,
                Chunk::UsageOnly => self.usage = Some(Document::placed(owned(block, data), place)),
                Chunk::Done => end = Some(self.done()),
                Chunk::Fault(fault) => end = Some(End::Failed(fault.within_answer())),
                Chunk::Garbled => {
                    let what = "an event of the stream is not a JSON object";
                    end = Some(End::Failed(UpstreamError::Failed(what.into())));
                }
            }
            self.push(block.bytes.slice(from..range.start));
            from = range.end;
            if end.is_some() {
                break;
            }
        }
        match end {
            Some(end) => self.end(end),
            None => self.push(block.bytes.slice(from..)),
        }
    }

    fn note_first_token(&mut self) {
        let Some(call) = &mut self.call else { return };
        if call.spans.first_token.is_none() && self.meter.produced() {
            call.spans.first_token = Some(call.began.elapsed(call.tools.clock.as_ref()));
        }
    }

    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.ready.push_back(bytes);
        }
    }

    /// The provider says `[DONE]`, or closed without it.
    fn done(&self) -> End {
        if self.meter.answered() {
            End::Complete
        } else {
            End::Failed(UpstreamError::Failed("the stream is empty".into()))
        }
    }

    fn end_of_upstream(&mut self) {
        self.upstream = None;
        if let Some(block) = self.splitter.finish() {
            let whole = block.events().all(|event| {
                event.data.is_none_or(|data| {
                    serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok()
                        || data.trim_ascii() == b"[DONE]"
                })
            });
            if whole {
                self.forward(&block);
            }
        }
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let end = if self.meter.finished(self.choices) {
            End::Complete
        } else {
            End::Failed(UpstreamError::Failed(
                "the connection closed before the answer was complete".into(),
            ))
        };
        self.end(end);
    }

    /// The provider is through: charge what there is, or give the money back.
    fn end(&mut self, end: End) {
        let outcome = match &end {
            End::Complete => {
                self.permit.complete();
                CallOutcome::Complete
            }
            End::Failed(error) => {
                self.permit.failed(error);
                self.upstream = None;
                CallOutcome::Partial
            }
        };
        self.own.follow(&self.meter);
        // What is ready will be handed on before the caller learns of the end.
        let delivered = self.delivered || (self.meter.produced() && !self.ready.is_empty());
        let charged = self.charge(outcome, delivered, false);
        let End::Failed(error) = end else {
            return self.wait_for(End::Complete, charged);
        };
        if !self.begun && charged.is_none() {
            // Comments or an empty first chunk: nobody has seen them.
            self.ready.clear();
            self.phase = Phase::Over;
            self.failure = Some(error.into());
            return;
        }
        tracing::warn!(
            call.id = %self.own.call, code = error.code(), cause = ?error,
            "a provider's stream failed"
        );
        self.wait_for(End::Failed(error), charged);
    }

    /// The end is known; it is said once the charge is written, or at once when there is none.
    fn wait_for(&mut self, end: End, charged: Option<Charging>) {
        match charged {
            Some(charged) => self.phase = Phase::Charging { end, charged },
            None => {
                self.phase = Phase::Over;
                self.call = None;
                if let End::Failed(error) = end {
                    let error = CompletionError::Upstream(error);
                    self.ready.push_back(ErrorObject::from(&error).event());
                }
            }
        }
    }

    /// Charges in a task of its own; `None` when nothing is due. `left` says that the caller left, which
    /// makes the input due by itself.
    fn charge(&mut self, outcome: CallOutcome, delivered: bool, left: bool) -> Option<Charging> {
        let meter = &self.meter;
        let due = meter.produced() || meter.usage().is_some() || outcome == CallOutcome::Complete || left;
        let call = self.call.take_if(|_| due)?;
        let meter = std::mem::take(&mut self.meter);
        let (tell, charged) = oneshot::channel();
        let work = async move {
            // Nobody may be listening any more; the charge stands all the same.
            let _ = tell.send(call.charge(meter, outcome, delivered).await);
        };
        self.tasks.spawn("charge", Box::pin(work));
        Some(charged)
    }

    /// The last events, once the charge is known. `None`: the task that wrote it was lost.
    fn finish(&mut self, end: End, charged: Option<Result<Charged, StoreError>>) {
        self.upstream = None;
        let last = match (end, charged) {
            (End::Complete, Some(Ok(charged))) => self.last_events(charged),
            (End::Failed(error), Some(Ok(_))) => ErrorObject::from(&CompletionError::Upstream(error)).event(),
            (_, Some(Err(error))) => ErrorObject::from(&CompletionError::Capture(error)).event(),
            (_, None) => ErrorObject::from(&CompletionError::Interrupted).event(),
        };
        self.ready.push_back(last);
    }

    /// Usage with the cost in it, if the caller asked for it, and `[DONE]`: one piece.
    fn last_events(&self, charged: Charged) -> Bytes {
        if !self.wants_usage {
            return Bytes::from_static(DONE);
        }
        self.own.usage_and_done(self.usage.as_ref(), charged)
    }
}

/// The data of an event, without a copy where it is part of the block.
fn owned(block: &Block, data: Cow<'_, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(part) => block.bytes.slice_ref(part),
        Cow::Owned(joined) => Bytes::from(joined),
    }
}

impl Stream for MeteredStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        ready!(self.poll_ready(cx));
        let next = self.ready.pop_front();
        self.delivered |= next.is_some() && self.meter.produced();
        Poll::Ready(next)
    }
}

impl Drop for MeteredStream {
    /// The caller left, the service cut it off, or a limit of the service ended the stream: the provider
    /// stops, and what was generated so far is charged; after a departure the input is due in any case.
    fn drop(&mut self) {
        self.upstream = None;
        let left = self.attended && !self.tasks.stopping();
        drop(self.charge(CallOutcome::Aborted, self.delivered, left));
    }
}
