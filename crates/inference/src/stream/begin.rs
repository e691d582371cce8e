//! The beginning of a stream: its first event, its caller's departure before that, or its failure.

use super::{MeteredStream, Phase};
use crate::{call::Call, error::CompletionError, meter::Meter, ports::AskOutcome, presence::Presence};
use futures::future::poll_fn;
use std::task::Poll;

/// Why a stream did not begin.
pub(crate) enum Unbegun {
    /// The provider failed; the call, uncharged, if it can still be made elsewhere.
    Failed(CompletionError, Option<Box<Call>>),
    /// The caller left. The provider, which had accepted the request, was stopped; the call, and what
    /// came of the answer.
    Left(Option<Box<Call>>, Box<Meter>),
}

impl MeteredStream {
    /// Waits for the first event, so that a provider that fails before it makes a proper error, and
    /// the call can be made elsewhere.
    ///
    /// # Errors
    /// [`Unbegun`]; nothing is charged then.
    pub async fn begin(&mut self, presence: &mut Presence) -> Result<(), Unbegun> {
        let first = poll_fn(|cx| {
            if presence.poll_left(cx).is_ready() {
                return Poll::Ready(false);
            }
            self.poll_ready(cx).map(|()| true)
        });
        if !first.await {
            self.upstream = None;
            self.note_first_byte(AskOutcome::Answered);
            self.permit.begun();
            let meter = Box::new(std::mem::take(&mut self.meter));
            return Err(Unbegun::Left(self.call.take(), meter));
        }
        self.begun = true;
        if let Some(failure) = self.failure.take() {
            return Err(Unbegun::Failed(failure, self.call.take()));
        }
        if matches!(self.phase, Phase::Open) {
            self.permit.begun();
        }
        self.attended = true;
        Ok(())
    }

    /// Says that the caller is still there: what ends the stream now is the service's own limit, so
    /// that the input alone is not due.
    pub const fn give_up(&mut self) {
        self.attended = false;
    }

    /// Reports how long the provider took until its first byte, once.
    pub(super) fn note_first_byte(&mut self, outcome: AskOutcome) {
        let (Some(asked_at), Some(call)) = (self.asked_at.take(), &mut self.call) else {
            return;
        };
        let took = call.tools.clock.monotonic().since(asked_at);
        call.spans.upstream += took;
        call.tools.observer.asked(&call.provider, outcome, took);
    }
}
