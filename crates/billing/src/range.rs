//! Reading events in ranges as large as the node allows.

use crate::{
    chain::{ChainError, ChainEvent},
    ports::ChainReader,
};
use haithe_kernel::WalletAddress;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many blocks to ask for at once: halves when the node refuses, grows back by a quarter.
#[derive(Debug)]
pub(crate) struct RangeSize {
    now: AtomicU64,
    most: u64,
}

impl RangeSize {
    pub(crate) fn new(most: u64) -> Self {
        let most = most.max(1);
        Self {
            now: AtomicU64::new(most),
            most,
        }
    }

    /// Where a question that begins at `from` ends, at most at `last`.
    pub(crate) fn end(&self, from: u64, last: u64) -> u64 {
        let size = self.now.load(Relaxed);
        last.min(from.saturating_add(size.saturating_sub(1)))
    }

    /// The node refused [`from`, `to`]. `false` when that was a single block: asking for less is
    /// impossible.
    pub(crate) fn shrink(&self, from: u64, to: u64) -> bool {
        let asked = to.saturating_sub(from).saturating_add(1);
        self.now.store((asked / 2).max(1), Relaxed);
        asked > 1
    }

    /// The node answered.
    pub(crate) fn grow(&self) {
        let size = self.now.load(Relaxed);
        let grown = size.saturating_add((size / 4).max(1));
        self.now.store(grown.min(self.most), Relaxed);
    }
}

/// Every event in [`from`, `last`], in as many questions as it takes.
pub(crate) async fn all_events(
    reader: &dyn ChainReader,
    from: u64,
    last: u64,
    orgs: &[WalletAddress],
    range: u64,
) -> Result<Vec<ChainEvent>, ChainError> {
    let range = RangeSize::new(range);
    let mut all = Vec::new();
    let mut next = Some(from).filter(|from| *from <= last);
    while let Some(from) = next {
        let to = range.end(from, last);
        match reader.events(from, to, orgs.to_vec()).await {
            Ok(events) => {
                all.extend(events);
                range.grow();
                next = to.checked_add(1).filter(|from| *from <= last);
            }
            Err(ChainError::RangeTooLarge) if range.shrink(from, to) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::MockChainReader;
    use std::sync::{Arc, Mutex};

    type Asked = Vec<(u64, u64, bool)>;

    /// What is asked of a node that refuses more than `allowed` blocks.
    async fn questions(from: u64, last: u64, range: u64, allowed: u64) -> (Result<(), ChainError>, Asked) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut node = MockChainReader::new();
        let log = asked.clone();
        node.expect_events().returning(move |from, to, _| {
            let granted = to - from < allowed;
            log.lock().unwrap().push((from, to, granted));
            if granted {
                Ok(Vec::new())
            } else {
                Err(ChainError::RangeTooLarge)
            }
        });
        let answer = all_events(&node, from, last, &[], range).await.map(drop);
        let asked = asked.lock().unwrap().clone();
        (answer, asked)
    }

    #[tokio::test]
    async fn it_halves_on_refusal_and_grows_back() {
        let (answer, asked) = questions(1, 20, 16, 5).await;
        assert!(answer.is_ok());
        assert_eq!(
            asked,
            [
                (1, 16, false),
                (1, 8, false),
                (1, 4, true),
                (5, 9, true),
                (10, 15, false),
                (10, 12, true),
                (13, 16, true),
                (17, 20, true)
            ]
        );
    }

    #[test]
    fn it_grows_no_further_than_configured() {
        let range = RangeSize::new(16);
        assert!(range.shrink(1, 16));
        assert_eq!(range.end(1, 1_000), 8);
        for _ in 0..20 {
            range.grow();
        }
        assert_eq!(range.end(1, 1_000), 16);
    }

    #[tokio::test]
    async fn a_node_that_refuses_single_blocks_is_an_error_and_no_endless_loop() {
        let (answer, asked) = questions(1, 20, 16, 0).await;
        assert!(matches!(answer, Err(ChainError::RangeTooLarge)));
        assert_eq!(asked.len(), 5);
    }

    #[tokio::test]
    async fn the_end_of_the_number_line_is_no_overflow() {
        let (answer, asked) = questions(u64::MAX - 1, u64::MAX, 1, 1).await;
        assert!(answer.is_ok());
        assert_eq!(asked.len(), 2);
        let (answer, asked) = questions(5, 4, 1, 1).await;
        assert!(answer.is_ok() && asked.is_empty());
    }
}
