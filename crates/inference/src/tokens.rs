//! Counting tokens without holding up everybody else.

use crate::ports::TokenCounter;
use futures::future::poll_fn;
use std::task::Poll;

/// Bytes counted at a stretch, about a millisecond's work.
const AT_ONCE: usize = 8 * 1024;

/// Tokens of `text`, counted piece by piece while others run in between; stops early once `enough`
/// says that the count so far decides.
pub(crate) async fn count(
    counter: &dyn TokenCounter,
    model: &str,
    text: &str,
    enough: impl Fn(u64) -> bool + Send,
) -> u64 {
    let (mut rest, mut counted) = (text, 0u64);
    while !rest.is_empty() && !enough(counted) {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(AT_ONCE));
        counted = counted.saturating_add(counter.count(model, piece));
        rest = after;
        if !rest.is_empty() {
            let_others_run().await;
        }
    }
    counted
}

async fn let_others_run() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
