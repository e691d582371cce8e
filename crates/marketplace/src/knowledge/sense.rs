//! What texts mean, as vectors: a document is embedded once, with its first question, and a question
//! whenever it is asked. Whoever runs the service pays the embedder, so what it gave is kept, and one
//! that fails is left alone for a while; meanwhile words alone decide.

use super::{Chunk, Place};
use crate::ports::{EmbedError, Embedder};
use futures::{StreamExt, TryStreamExt, stream};
use haithe_kernel::{Clock, MonotonicTime};
use moka::{Expiry, future::Cache, policy::EvictionPolicy};
use sha2::{Digest, Sha256};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a question waits for the vectors of documents; then it goes on without them.
pub(super) const WITHIN: Duration = Duration::from_secs(20);
/// Bytes of vectors that are kept in memory, over all documents; what was used last longest ago goes.
const KEPT_BYTES: u64 = 128 << 20;
/// The same for documents that are not done yet.
const PARTS_BYTES: u64 = 64 << 20;
/// Pieces of a document that gets vectors.
const PIECES: usize = 4_000;
/// Pieces per request: as many as servers of open models take unless told otherwise. And requests at
/// a time.
const AT_ONCE: usize = 32;
const REQUESTS: usize = 4;
/// How long an embedder that failed is left alone, and until a document that was not done in time is
/// gone on with.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a document that could not be embedded does without: so that one which its embedder
/// cannot take costs the others one pause, not every one.
const GIVEN_UP_FOR: Duration = Duration::from_secs(15 * 60);

/// A vector per piece of a document, in their order.
pub(super) type Vectors = Arc<[Vec<f32>]>;

/// Asks the embedder, and remembers.
pub(super) struct Sense {
    embedder: Arc<dyn Embedder>,
    /// By what was embedded, so that a page that was fetched again unchanged is not paid for again.
    kept: Cache<[u8; 32], Result<Vectors, Lack>>,
    /// What there is of documents that are not done yet, by the pieces of each request.
    parts: Cache<[u8; 32], Vectors>,
    pause: Duration,
    /// Until when the embedder is left alone, if it failed.
    resting: Mutex<Option<MonotonicTime>>,
    clock: Arc<dyn Clock>,
}

/// The embedder is not asked now. Nothing is known about the document.
struct NotNow;

/// Why a document has no vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// The embedder failed, or does not take it, or there would be too many.
    GivenUp,
    /// It was not done in time. What was made is there.
    Late,
}

/// Nobody asks again before this is over.
struct Lacking;

impl Expiry<[u8; 32], Result<Vectors, Lack>> for Lacking {
    fn expire_after_create(
        &self,
        _: &[u8; 32],
        kept: &Result<Vectors, Lack>,
        _: Instant,
    ) -> Option<Duration> {
        match kept {
            Ok(_) => None,
            Err(Lack::GivenUp) => Some(GIVEN_UP_FOR),
            Err(Lack::Late) => Some(PAUSE),
        }
    }
}

/// What is embedded of a piece.
fn text_of(chunk: &Chunk) -> String {
    match &chunk.place {
        Place::Heading(heading) => format!("{heading}\n{}", chunk.text),
        Place::Page(_) | Place::Rows(..) | Place::Lines(..) => chunk.text.clone(),
    }
}

/// What is embedded of a document, as one number.
pub(super) fn digest(chunks: &[Chunk]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for chunk in chunks {
        let text = text_of(chunk);
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

fn bytes_of(vectors: &[Vec<f32>]) -> u32 {
    let numbers: usize = vectors.iter().map(Vec::len).sum();
    u32::try_from(numbers * size_of::<f32>()).unwrap_or(u32::MAX)
}

impl Sense {
    pub(super) fn new(embedder: Arc<dyn Embedder>, clock: Arc<dyn Clock>) -> Self {
        Self::with_pause(embedder, clock, PAUSE)
    }

    fn with_pause(embedder: Arc<dyn Embedder>, clock: Arc<dyn Clock>, pause: Duration) -> Self {
        let kept = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, kept: &Result<Vectors, Lack>| kept.as_ref().map_or(64, |vectors| bytes_of(vectors)))
            .expire_after(Lacking)
            .build();
        let parts = Cache::builder()
            .max_capacity(PARTS_BYTES)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, part: &Vectors| bytes_of(part))
            .time_to_idle(2 * GIVEN_UP_FOR)
            .build();
        Self {
            embedder,
            kept,
            parts,
            pause,
            resting: Mutex::default(),
            clock,
        }
    }

    /// A vector per piece, or none at all: a half-known document would be answered from by halves.
    /// `texts` is their [`digest`]. Callers that ask for the same document at once wait for one
    /// answer.
    pub(super) async fn of_pieces(
        &self,
        chunks: &[Chunk],
        texts: [u8; 32],
        until: MonotonicTime,
    ) -> Option<Vectors> {
        if chunks.is_empty() || chunks.len() > PIECES {
            return None;
        }
        let asking = async {
            if self.clock.monotonic() >= until || !self.may_ask() {
                return Err(NotNow);
            }
            Ok(self.embedded(chunks, until).await)
        };
        let kept = self.kept.try_get_with(texts, asking).await;
        kept.ok()?.ok()
    }

    /// The question's vector.
    pub(super) async fn of_question(&self, question: &str) -> Option<Vec<f32>> {
        if !self.may_ask() {
            return None;
        }
        self.ask(vec![question.to_owned()]).await?.pop()
    }

    async fn embedded(&self, chunks: &[Chunk], until: MonotonicTime) -> Result<Vectors, Lack> {
        let parts: Vec<_> = chunks
            .chunks(AT_ONCE)
            .map(|some| self.part(some, until))
            .collect();
        // In order: whatever is under way when time is over is waited for, and kept.
        let parts: Vec<Vectors> = stream::iter(parts).buffered(REQUESTS).try_collect().await?;
        let vectors: Vectors = parts.iter().flat_map(|part| part.iter().cloned()).collect();
        for some in chunks.chunks(AT_ONCE) {
            self.parts.invalidate(&digest(some)).await;
        }
        // What is too large to be kept would be paid for with every question.
        if u64::from(bytes_of(&vectors)) > KEPT_BYTES / 2 {
            return Err(Lack::GivenUp);
        }
        Ok(vectors)
    }

    /// The vectors of as many pieces as fit into a request.
    async fn part(&self, some: &[Chunk], until: MonotonicTime) -> Result<Vectors, Lack> {
        let texts = digest(some);
        if let Some(made) = self.parts.get(&texts).await {
            return Ok(made);
        }
        if self.clock.monotonic() >= until {
            return Err(Lack::Late);
        }
        let made = self.ask(some.iter().map(text_of).collect()).await;
        let made: Vectors = made.ok_or(Lack::GivenUp)?.into();
        self.parts.insert(texts, made.clone()).await;
        Ok(made)
    }

    /// Asks, and learns how the embedder is.
    async fn ask(&self, texts: Vec<String>) -> Option<Vec<Vec<f32>>> {
        let count = texts.len();
        let answer = self.embedder.embed(texts).await;
        let resting = match &answer {
            Err(EmbedError::Unavailable(_)) => Some(self.clock.monotonic().plus(self.pause)),
            // What it makes of these texts says nothing about others.
            Ok(_) | Err(EmbedError::Refused(_) | EmbedError::Malformed(_)) => None,
        };
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = resting;
        answer.ok().filter(|vectors| vectors.len() == count)
    }

    /// Whether the embedder is asked now. After a pause the first to come finds out how it is, and
    /// the others do not wait for that.
    fn may_ask(&self) -> bool {
        let now = self.clock.monotonic();
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        match *resting {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                *resting = Some(now.plus(self.pause));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
