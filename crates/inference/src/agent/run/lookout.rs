//! What ends a step from outside: a caller who leaves, or time that is up.

use crate::presence::Presence;
use futures::{
    FutureExt,
    future::{BoxFuture, Fuse, poll_fn},
};
use std::{pin::pin, task::Poll};

/// What ends a step from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The caller left.
    Left,
    /// The loop's time is up.
    Late,
}

/// Looks out for both.
pub(super) struct Lookout {
    pub presence: Presence,
    pub deadline: Fuse<BoxFuture<'static, ()>>,
}

impl Lookout {
    /// Does the work, unless something ends it before.
    pub async fn within<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Cut> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if self.presence.poll_left(cx).is_ready() {
                return Poll::Ready(Err(Cut::Left));
            }
            self.deadline.poll_unpin(cx).map(|()| Err(Cut::Late))
        })
        .await
    }
}

/// Does the work, which looks after the caller's presence itself, unless time is up before.
pub(super) async fn in_time<T>(
    deadline: &mut Fuse<BoxFuture<'static, ()>>,
    work: impl Future<Output = T>,
) -> Result<T, Cut> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        deadline.poll_unpin(cx).map(|()| Err(Cut::Late))
    })
    .await
}
