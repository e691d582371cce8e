//! Counting tokens with OpenAI's open tables, beside the async workers.

mod pool;

use async_trait::async_trait;
use haithe_inference::ports::{CounterBusy, TextToCount, TokenCounter};
use pool::Pool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::{sync::OnceCell, task::spawn_blocking};

pub use pool::CountingLimits;

/// Bytes given to the tokenizer at once. Its time grows with the length of an unbroken piece.
const AT_ONCE: usize = 4 * 1024;

/// Counts with the table `o200k_base` (GPT-4o, gpt-oss and others). The table is unpacked at the first
/// use (a quarter of a second) and takes about 50 MB from then on; a server whose providers report
/// usage and whose payers have money never needs it.
///
/// Texts of up to 4 KiB are counted at once and never refused: while the table is unpacked they wait,
/// which takes no thread. Longer ones are counted in slices on a bounded number of
/// threads: each text in turn gets a slice, so that a long one does not hold up the others.
#[derive(Debug)]
pub struct Tiktoken {
    pool: Pool,
}

impl Tiktoken {
    /// A counter with a pool of its own.
    pub fn new(limits: CountingLimits) -> Self {
        Self {
            pool: Pool::new(limits),
        }
    }
}

impl Default for Tiktoken {
    fn default() -> Self {
        Self::new(CountingLimits::default())
    }
}

#[async_trait]
impl TokenCounter for Tiktoken {
    async fn count(&self, text: TextToCount) -> Result<u64, CounterBusy> {
        if text.text.len() <= AT_ONCE {
            unpacked().await;
            return Ok(count(&text.text));
        }
        self.pool.count(text, count).await
    }
}

/// Tokens of `text`, cut at borders of characters.
fn count(text: &str) -> u64 {
    let (mut rest, mut tokens) = (text, 0usize);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(AT_ONCE));
        tokens = tokens.saturating_add(count_piece(piece));
        rest = after;
    }
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

/// Returns once the table is unpacked, which the first one to ask has done beside the async workers.
async fn unpacked() {
    static UNPACKED: OnceCell<()> = OnceCell::const_new();
    UNPACKED
        .get_or_init(|| async {
            // Should the work be cut off, the first count unpacks the table.
            let _ = spawn_blocking(|| {
                tiktoken_rs::o200k_base_singleton();
            })
            .await;
        })
        .await;
}

/// The library panics where its regular expression backtracks too far; then every byte counts as a
/// token, so that an upper bound stays one.
fn count_piece(piece: &str) -> usize {
    let count = || tiktoken_rs::o200k_base_singleton().count_ordinary(piece);
    catch_unwind(AssertUnwindSafe(count)).unwrap_or(piece.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::OrgId;

    fn text(text: &str) -> TextToCount {
        TextToCount {
            text: text.into(),
            most: u64::MAX,
            payer: OrgId(1),
            patient: false,
        }
    }

    #[test]
    fn ordinary_text_counts_as_the_table_says() {
        assert_eq!(count(""), 0);
        assert_eq!(count("hello world"), 2);
        assert!(count("<|endoftext|>") > 1, "callers' text has no special tokens");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn counts_within_a_runtime() {
        let counter = Tiktoken::default();
        assert_eq!(counter.count(text("hello world")).await, Ok(2));
        let long = "hello world ".repeat(50_000);
        let counted = counter.count(text(&long)).await.unwrap();
        assert!((100_000..110_000).contains(&counted), "{counted}");
    }

    #[tokio::test]
    async fn many_short_texts_are_counted_while_the_table_is_unpacked() {
        let counter = Tiktoken::default();
        let all = (0..1_000).map(|_| counter.count(text("hello world")));
        for counted in futures::future::join_all(all).await {
            assert_eq!(counted, Ok(2));
        }
    }

    #[tokio::test]
    async fn counting_stops_beyond_what_was_asked_for() {
        let long = TextToCount {
            most: 10,
            ..text(&"hello world ".repeat(1_000_000))
        };
        let counted = Tiktoken::default().count(long).await.unwrap();
        assert!((11..100_000).contains(&counted), "{counted}");
    }

    #[test]
    fn hostile_texts_are_counted_in_reasonable_time_and_never_beyond_their_bytes() {
        for text in ["a", " ", "\n", "^", "ä", "🦀", "\u{200d}", "a\u{301}"] {
            let text = text.repeat(20_000);
            let tokens = count(&text);
            assert!(tokens > 0 && tokens <= text.len() as u64, "{tokens}");
        }
    }

    #[test]
    fn no_token_stands_for_more_bytes_than_the_gateway_assumes() {
        let table = tiktoken_rs::o200k_base_singleton();
        let longest = (0..200_000)
            .filter_map(|token| table.decode_bytes(&[token]).ok())
            .map(|bytes| bytes.len())
            .max();
        assert!(longest.is_some_and(|longest| longest <= 256), "{longest:?}");
    }
}
