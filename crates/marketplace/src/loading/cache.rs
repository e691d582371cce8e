//! Content in the clear, kept for a while.

use super::LoadError;
use crate::{
    failures::{Failures, Pauses},
    hosting::ContentDigest,
    sealing::{Plaintext, WrappedKey},
};
use haithe_kernel::{Clock, MonotonicTime, WalletAddress};
use moka::future::Cache as Shared;
use sha2::{Digest, Sha256};
use std::{future::Future, sync::Arc, time::Duration};

/// How long a failure is remembered, so that a broken address is not asked for every call.
const FAILED_FOR: Pauses = Pauses {
    first: Duration::from_secs(30),
    longest: Duration::from_secs(30 * 60),
};
/// Failures that are remembered.
const MOST_FAILURES: u64 = 10_000;
/// What an entry takes beside its content, in bytes.
const OVERHEAD: usize = 256;

/// How much content in the clear is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Most bytes.
    pub bytes: u64,
    /// Longest time.
    pub time: Duration,
}

/// Names content: which bytes, which key, for whom. A change on chain makes another name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(content: ContentDigest, key: &WrappedKey, creator: WalletAddress) -> Self {
        let mut hash = Sha256::new();
        hash.update(content.0);
        hash.update(key.to_bytes());
        hash.update(creator.as_bytes());
        Self(hash.finalize().into())
    }
}

/// Loads each content once, however many ask for it at the same time.
pub(super) struct Cache {
    contents: Shared<Key, (MonotonicTime, Arc<Plaintext>)>,
    failures: Failures<Key, LoadError>,
    clock: Arc<dyn Clock>,
    time: Duration,
}

impl Cache {
    pub(super) fn new(clock: Arc<dyn Clock>, limits: CacheLimits) -> Self {
        let weight = |_: &Key, (_, content): &(MonotonicTime, Arc<Plaintext>)| {
            u32::try_from(content.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        Self {
            contents: Shared::builder()
                .weigher(weight)
                .max_capacity(limits.bytes)
                .time_to_live(limits.time)
                .build(),
            failures: Failures::new(FAILED_FOR, MOST_FAILURES),
            clock,
            time: limits.time,
        }
    }

    /// What is kept under this name, or what `load` gives, which is kept then.
    pub(super) async fn get(
        &self,
        key: Key,
        load: impl Future<Output = Result<Plaintext, LoadError>> + Send,
    ) -> Result<Arc<Plaintext>, LoadError> {
        let now = self.clock.monotonic();
        if let Some((until, _)) = self.contents.get(&key).await
            && until <= now
        {
            self.contents.invalidate(&key).await;
        }
        if let Some(failure) = self.failures.current(&key, now).await {
            return Err(failure);
        }
        let until = now.plus(self.time);
        // Once, however many wait for it.
        let load = async {
            let loaded = load.await;
            match &loaded {
                Ok(_) => self.failures.forget(&key).await,
                Err(failure) if failure.lasts() => {
                    self.failures.remember(key, failure.clone(), now).await;
                }
                Err(_) => {}
            }
            loaded.map(|content| (until, Arc::new(content)))
        };
        let loaded = self.contents.try_get_with(key, load).await;
        loaded
            .map(|(_, content)| content)
            .map_err(|failure| LoadError::clone(&failure))
    }

    /// Drops what has expired or does not fit, which wipes it.
    pub(super) async fn sweep(&self) {
        let now = self.clock.monotonic();
        let expired: Vec<Key> = self
            .contents
            .iter()
            .filter(|(_, (until, _))| *until <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in expired {
            self.contents.invalidate(&key).await;
        }
        self.contents.run_pending_tasks().await;
    }

    /// Bytes that are kept, after a [`sweep`](Self::sweep).
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.contents.weighted_size()
    }
}
