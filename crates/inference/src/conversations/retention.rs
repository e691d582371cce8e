//! Forgetting in time.

use super::ConversationStore;
use haithe_kernel::{Clock, StoreError};
use std::sync::Arc;

/// Messages deleted in one transaction, so that nobody waits long behind it.
const AT_ONCE: u32 = 500;
/// Transactions of one sweep at most; the next sweep goes on.
const MOST_STEPS: u32 = 200;

/// Deletes messages that are older than their project keeps them.
pub struct Retention {
    store: Arc<dyn ConversationStore>,
    clock: Arc<dyn Clock>,
}

impl Retention {
    /// Composes the use case.
    pub fn new(store: Arc<dyn ConversationStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Deletes what is due; says how many rows went.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut deleted = 0;
        for _ in 0..MOST_STEPS {
            match self.store.expire(now, AT_ONCE).await? {
                0 => break,
                some => deleted += some,
            }
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversations::MockConversationStore;
    use haithe_kernel::{FixedClock, Timestamp};
    use mockall::Sequence;

    #[tokio::test]
    async fn a_sweep_goes_on_until_nothing_is_due() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let mut store = MockConversationStore::new();
        let mut order = Sequence::new();
        for count in [500, 500, 12, 0] {
            store
                .expect_expire()
                .withf(move |at, most| *at == now && *most == AT_ONCE)
                .once()
                .in_sequence(&mut order)
                .returning(move |_, _| Ok(count));
        }
        let retention = Retention::new(Arc::new(store), Arc::new(FixedClock::at(now)));
        assert_eq!(retention.sweep().await.unwrap(), 1012);
    }
}
