//! Reads of a stream that follow one another at once become one.
//!
//! Providers send each event as an HTTP chunk of its own, and each read that is passed on costs a
//! write to the caller. What the connection has at hand is therefore taken together. Nothing waits for
//! a timer: once everybody else that is ready had a turn and no more came, what is there goes on.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

/// Bytes after which what was gathered goes on in any case.
const MOST_GATHERED: usize = 16 * 1024;

/// Gives the reads of `inner`, those that came together joined; in their order, and all of them, also
/// before an error.
pub(crate) fn gathered<S, E>(inner: S) -> Gathered<S, E>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    Gathered {
        inner,
        reads: VecDeque::new(),
        bytes: 0,
        paused: false,
        end: None,
    }
}

pub(crate) struct Gathered<S, E> {
    inner: S,
    reads: VecDeque<Bytes>,
    bytes: usize,
    /// The connection had a turn since the last read.
    paused: bool,
    /// What ended the stream while reads were at hand.
    end: Option<Option<E>>,
}

impl<S, E> Gathered<S, E> {
    /// Everything at hand as one read, without a copy where it is one.
    fn pass_on(&mut self) -> Bytes {
        self.paused = false;
        let bytes = std::mem::take(&mut self.bytes);
        if self.reads.len() > 1 {
            let mut joined = BytesMut::with_capacity(bytes);
            for read in self.reads.drain(..) {
                joined.extend_from_slice(&read);
            }
            return joined.freeze();
        }
        self.reads.pop_front().unwrap_or_default()
    }
}

impl<S, E> Stream for Gathered<S, E>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(end) = this.end.take() {
            return Poll::Ready(end.map(Err));
        }
        loop {
            match this.inner.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(read))) => {
                    this.paused = false;
                    this.bytes += read.len();
                    this.reads.push_back(read);
                    if this.bytes >= MOST_GATHERED {
                        return Poll::Ready(Some(Ok(this.pass_on())));
                    }
                }
                Poll::Ready(end) if this.reads.is_empty() => return Poll::Ready(end),
                Poll::Ready(end) => {
                    this.end = Some(end.and_then(Result::err));
                    return Poll::Ready(Some(Ok(this.pass_on())));
                }
                Poll::Pending if this.reads.is_empty() => return Poll::Pending,
                Poll::Pending if this.paused => return Poll::Ready(Some(Ok(this.pass_on()))),
                Poll::Pending => {
                    // The task that reads from the socket hands over one read at a time.
                    this.paused = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{SinkExt, channel::mpsc};
    use std::time::Duration;

    type Read = Result<Bytes, &'static str>;

    fn read(text: &'static str) -> Read {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    /// A connection that hands over one read at a time, as those of the HTTP client do.
    fn connection(reads: Vec<Read>) -> mpsc::Receiver<Read> {
        let (mut hand_over, taken) = mpsc::channel(0);
        tokio::spawn(async move {
            for read in reads {
                hand_over.send(read).await.ok();
            }
        });
        taken
    }

    #[tokio::test]
    async fn what_comes_at_once_is_one_read() {
        let taken = connection(vec![read("a"), read("b"), read("c"), read("d")]);
        let all: Vec<Read> = gathered(taken).collect().await;
        assert_eq!(all, [read("abcd")]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_alone_waits_for_nothing() {
        let (mut hand_over, taken) = mpsc::channel::<Read>(0);
        let mut all = gathered(taken);
        hand_over.try_send(read("a")).unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(all.next().await, Some(read("a")));
        assert_eq!(began.elapsed(), Duration::ZERO);
        hand_over.try_send(read("b")).unwrap();
        assert_eq!(all.next().await, Some(read("b")));
    }

    #[tokio::test]
    async fn an_error_comes_after_everything_before_it() {
        let taken = connection(vec![read("a"), read("b"), Err("cut")]);
        let mut all = gathered(taken);
        assert_eq!(all.next().await, Some(read("ab")));
        assert_eq!(all.next().await, Some(Err("cut")));
        assert_eq!(all.next().await, None);
    }

    #[tokio::test]
    async fn a_flood_is_passed_on_in_parts() {
        let flood = "x".repeat(MOST_GATHERED / 4).leak();
        let taken = connection((0..10).map(|_| read(flood)).collect());
        let all: Vec<Read> = gathered(taken).collect().await;
        let lengths: Vec<usize> = all.iter().map(|read| read.as_ref().unwrap().len()).collect();
        assert_eq!(
            lengths,
            [MOST_GATHERED, MOST_GATHERED, MOST_GATHERED / 2],
            "{lengths:?}"
        );
    }

    #[tokio::test]
    async fn an_end_without_reads_is_the_end() {
        assert_eq!(gathered(connection(vec![])).next().await, None);
        assert_eq!(
            gathered(connection(vec![Err("refused")])).next().await,
            Some(Err("refused"))
        );
    }
}
