//! Watches the embedder of knowledge: nobody who asks a question hears that it failed.

use super::{
    metrics::{Embedded, Figures},
    supervisor::describe,
};
use async_trait::async_trait;
use haithe_kernel::Failure;
use haithe_marketplace::ports::{EmbedError, Embedder};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The log hears of failures this often at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// An [`Embedder`] that counts its requests and warns when one fails, with no word of the texts.
pub struct WatchedEmbedder {
    embedder: Arc<dyn Embedder>,
    figures: Arc<Figures>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    last: Option<Instant>,
    /// Failures since then.
    untold: u64,
}

impl Told {
    /// Counts a failure; how many there were since the last that was told, if it is time to tell.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold = self.untold.saturating_add(1);
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= TELL_EVERY);
        due.then(|| {
            self.last = Some(now);
            std::mem::take(&mut self.untold)
        })
    }
}

impl WatchedEmbedder {
    /// Counts in `figures`.
    pub fn new(embedder: Arc<dyn Embedder>, figures: Arc<Figures>) -> Self {
        Self {
            embedder,
            figures,
            told: Mutex::default(),
        }
    }

    fn failed(&self, error: &EmbedError) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failures) = told.count(Instant::now()) else {
            return;
        };
        drop(told);
        tracing::warn!(
            code = error.code(),
            error = describe(error),
            failures,
            "the embedder of knowledge failed; words alone find passages meanwhile"
        );
    }
}

#[async_trait]
impl Embedder for WatchedEmbedder {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let count = u64::try_from(texts.len()).unwrap_or(u64::MAX);
        let answer = self.embedder.embed(texts).await;
        let outcome = match &answer {
            Ok(_) => Embedded::Answered,
            Err(EmbedError::Refused(_)) => Embedded::Refused,
            Err(EmbedError::Malformed(_)) => Embedded::Malformed,
            Err(EmbedError::Unavailable(_)) => Embedded::Unavailable,
        };
        self.figures.embedded(outcome, count);
        if let Err(error) = &answer {
            self.failed(error);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_once_a_minute_with_their_number() {
        let mut told = Told::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(told.count(at(0)), Some(1));
        assert_eq!(told.count(at(1)), None);
        assert_eq!(told.count(at(59)), None);
        assert_eq!(told.count(at(60)), Some(3));
        assert_eq!(told.count(at(61)), None);
    }
}
