//! A bounded number of threads that count, and a bounded number of texts that wait for them.

use haithe_inference::ports::{CounterBusy, TextToCount};
use haithe_kernel::OrgId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    thread::available_parallelism,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Bytes that a text has counted before the next text's turn: some ten milliseconds of work.
const SLICE: usize = 64 * 1024;

/// How much is counted at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountingLimits {
    /// Threads that count at a time.
    pub threads: usize,
    /// Texts that are counted or wait for it; more are refused.
    pub texts: usize,
    /// The same for texts of one payer.
    pub texts_of_payer: usize,
}

impl Default for CountingLimits {
    /// Half of the machine's cores, one at least; 32 texts, 8 of one payer.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            threads: (cores / 2).max(1),
            texts: 32,
            texts_of_payer: 8,
        }
    }
}

/// The threads and the texts that want them.
#[derive(Debug)]
pub(super) struct Pool {
    limits: CountingLimits,
    threads: Arc<Semaphore>,
    texts: Arc<Mutex<Texts>>,
}

#[derive(Debug, Default)]
struct Texts {
    all: usize,
    of: HashMap<OrgId, usize>,
}

/// A text's place among those that are counted.
struct Ticket {
    texts: Arc<Mutex<Texts>>,
    payer: OrgId,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.all = texts.all.saturating_sub(1);
        if let Some(of_payer) = texts.of.get_mut(&self.payer) {
            *of_payer = of_payer.saturating_sub(1);
            if *of_payer == 0 {
                texts.of.remove(&self.payer);
            }
        }
    }
}

impl Pool {
    pub(super) fn new(limits: CountingLimits) -> Self {
        Self {
            limits,
            threads: Arc::new(Semaphore::new(limits.threads.max(1))),
            texts: Arc::default(),
        }
    }

    /// Counts `text` slice by slice with `count`.
    pub(super) async fn count(
        &self,
        text: TextToCount,
        count: impl Fn(&str) -> u64 + Copy + Send + 'static,
    ) -> Result<u64, CounterBusy> {
        let _ticket = self.enter(text.payer, text.patient)?;
        let (whole, mut at, mut tokens) = (text.text, 0usize, 0u64);
        while at < whole.len() && tokens <= text.most {
            let rest = whole.get(at..).unwrap_or_default();
            let end = at + rest.floor_char_boundary(SLICE);
            // Threads are handed out in the order of waiting, so that texts take turns.
            let Ok(thread) = self.threads.clone().acquire_owned().await else {
                break;
            };
            let counted = whole.clone();
            let work = spawn_blocking(move || {
                // The work keeps its thread, also when its caller has left.
                let _thread = thread;
                counted.get(at..end).map_or(0, count)
            });
            // Work that panicked or was cut off counts every byte, which is never too little.
            let bytes = u64::try_from(end - at).unwrap_or(u64::MAX);
            tokens = tokens.saturating_add(work.await.unwrap_or(bytes));
            at = end;
        }
        Ok(tokens)
    }

    fn enter(&self, payer: OrgId, patient: bool) -> Result<Ticket, CounterBusy> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_payer = texts.of.get(&payer).copied().unwrap_or(0);
        let full = texts.all >= self.limits.texts || of_payer >= self.limits.texts_of_payer;
        if full && !patient {
            return Err(CounterBusy);
        }
        texts.all += 1;
        *texts.of.entry(payer).or_default() += 1;
        Ok(Ticket {
            texts: self.texts.clone(),
            payer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LIMITS: CountingLimits = CountingLimits {
        threads: 2,
        texts: 4,
        texts_of_payer: 2,
    };

    fn text(payer: i64, bytes: usize) -> TextToCount {
        TextToCount {
            text: "x".repeat(bytes).into(),
            most: u64::MAX,
            payer: OrgId(payer),
            patient: false,
        }
    }

    fn bytes(text: &str) -> u64 {
        text.len() as u64
    }

    #[tokio::test]
    async fn a_text_is_counted_in_slices_and_only_as_far_as_it_matters() {
        let pool = Pool::new(LIMITS);
        assert_eq!(
            pool.count(text(1, 3 * SLICE + 7), bytes).await,
            Ok(3 * SLICE as u64 + 7)
        );
        let most = TextToCount {
            most: 5,
            ..text(1, 3 * SLICE)
        };
        assert_eq!(pool.count(most, bytes).await, Ok(SLICE as u64));
    }

    #[tokio::test]
    async fn a_payer_who_fills_its_share_leaves_room_for_others() {
        let pool = Pool::new(LIMITS);
        let _first = (
            pool.enter(OrgId(1), false).unwrap(),
            pool.enter(OrgId(1), false).unwrap(),
        );
        assert_eq!(pool.count(text(1, 1), bytes).await, Err(CounterBusy));
        assert_eq!(pool.count(text(2, 1), bytes).await, Ok(1));
        let second = (
            pool.enter(OrgId(2), false).unwrap(),
            pool.enter(OrgId(2), false).unwrap(),
        );
        assert_eq!(pool.count(text(3, 1), bytes).await, Err(CounterBusy));
        let patient = TextToCount {
            patient: true,
            ..text(3, 1)
        };
        assert_eq!(pool.count(patient, bytes).await, Ok(1));
        drop(second);
        assert_eq!(pool.count(text(3, 1), bytes).await, Ok(1));
        assert_eq!(pool.texts.lock().unwrap().of.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_threads_count_than_allowed() {
        static COUNTING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        fn watched(text: &str) -> u64 {
            let now = COUNTING.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(now, Ordering::SeqCst);
            std::thread::yield_now();
            COUNTING.fetch_sub(1, Ordering::SeqCst);
            text.len() as u64
        }
        let pool = Arc::new(Pool::new(CountingLimits { texts: 100, ..LIMITS }));
        let work = (0..20).map(|payer| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.count(text(payer, 8 * SLICE), watched).await })
        });
        for counted in futures::future::join_all(work).await {
            assert_eq!(counted.unwrap(), Ok(8 * SLICE as u64));
        }
        assert!(MOST.load(Ordering::SeqCst) <= 2);
    }
}
