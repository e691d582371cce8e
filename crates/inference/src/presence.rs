//! Whether the caller of a streamed call is still connected, as the work of the call sees it.

use crate::{completions::Answer, error::CompletionError};
use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Either, select},
};
use haithe_kernel::Tasks;
use std::{
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

/// Held on the caller's side for as long as the caller is connected. Dropping it reports that the
/// caller left.
#[derive(Debug)]
pub(crate) struct Connection {
    _open: oneshot::Sender<()>,
}

/// The work's view of its caller.
#[derive(Debug)]
pub(crate) struct Presence {
    /// `None` when the caller left, or when nothing depends on it.
    connected: Option<oneshot::Receiver<()>>,
    left: bool,
}

impl Presence {
    /// Both ends of a caller's connection.
    pub fn watched() -> (Connection, Self) {
        let (open, connected) = oneshot::channel();
        let presence = Self {
            connected: Some(connected),
            left: false,
        };
        (Connection { _open: open }, presence)
    }

    /// Of a call that is carried out whether or not its caller waits for the answer.
    pub const fn irrelevant() -> Self {
        Self {
            connected: None,
            left: false,
        }
    }

    /// Whether the caller has left.
    pub fn has_left(&mut self) -> bool {
        if let Some(connected) = &mut self.connected
            && connected.try_recv().is_err()
        {
            self.connected = None;
            self.left = true;
        }
        self.left
    }

    /// Ready once the caller has left.
    pub fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(connected) = &mut self.connected
            && connected.poll_unpin(cx).is_ready()
        {
            self.connected = None;
            self.left = true;
        }
        if self.left { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Does the work, unless the caller leaves before it is done.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let left = std::future::poll_fn(|cx| self.poll_left(cx));
        match select(pin!(work), left).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

/// The work of a streamed call until its answer begins, in the caller's own request. Dropping it means
/// that the caller left: the work goes on in a task of its own, which finds out what is due.
pub(crate) struct Attended {
    work: Option<BoxFuture<'static, Result<Answer, CompletionError>>>,
    connection: Option<Connection>,
    tasks: Arc<dyn Tasks>,
}

impl Attended {
    /// Attends `work`, which sees the caller's end of `connection`.
    pub fn new(
        work: BoxFuture<'static, Result<Answer, CompletionError>>,
        connection: Connection,
        tasks: Arc<dyn Tasks>,
    ) -> Self {
        Self {
            work: Some(work),
            connection: Some(connection),
            tasks,
        }
    }
}

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attended").finish_non_exhaustive()
    }
}

impl Future for Attended {
    type Output = Result<Answer, CompletionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(Err(CompletionError::Interrupted));
        };
        let answer = std::task::ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(answer)
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        if self.tasks.stopping() {
            // The service cut the caller off, who pays nothing for that.
            return;
        }
        self.connection = None;
        let departed = async move { drop(work.await) };
        self.tasks.spawn("departed call", Box::pin(departed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_is_seen_once_and_for_all() {
        let (connection, mut presence) = Presence::watched();
        assert!(!presence.has_left());
        assert!(
            presence
                .during(futures::future::pending::<()>())
                .now_or_never()
                .is_none()
        );
        drop(connection);
        assert!(presence.has_left() && presence.has_left());
        assert_eq!(
            presence.during(futures::future::pending::<()>()).now_or_never(),
            Some(None)
        );
    }

    #[test]
    fn work_that_is_carried_out_anyway_never_sees_a_departure() {
        let mut presence = Presence::irrelevant();
        assert!(!presence.has_left());
        assert_eq!(presence.during(async { 7 }).now_or_never(), Some(Some(7)));
    }
}
