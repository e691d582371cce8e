//! Counting tokens with OpenAI's open tables.

use haithe_inference::ports::TokenCounter;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

/// Bytes given to the tokenizer at once. Its time grows with the length of an unbroken piece.
const AT_ONCE: usize = 4 * 1024;
/// Bytes per token where the tokenizer gives up; low, so that an upper bound stays one.
const BYTES_PER_TOKEN: usize = 2;

/// Counts with the table `o200k_base` (GPT-4o and gpt-oss), which comes near enough for every model
/// of the catalogue. The table is unpacked at the first use (a quarter of a second) and takes about
/// 50 MB from then on; a server whose providers report usage and whose payers have money never
/// needs it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tiktoken;

impl TokenCounter for Tiktoken {
    fn count(&self, _model: &str, text: &str) -> u64 {
        UNPACKED.call_once(unpack);
        let (mut rest, mut tokens) = (text, 0usize);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(AT_ONCE));
            tokens = tokens.saturating_add(count_piece(piece));
            rest = after;
        }
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

static UNPACKED: Once = Once::new();

/// Unpacks the table, while another thread takes over this one's tasks where that is possible.
fn unpack() {
    let unpack = || {
        tiktoken_rs::o200k_base_singleton();
    };
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(unpack),
        _ => unpack(),
    }
}

/// The library panics where its regular expression backtracks too far; that is a coarse count then.
fn count_piece(piece: &str) -> usize {
    let count = || tiktoken_rs::o200k_base_singleton().count_ordinary(piece);
    catch_unwind(AssertUnwindSafe(count)).unwrap_or_else(|_| piece.len().div_ceil(BYTES_PER_TOKEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_counts_as_the_table_says() {
        assert_eq!(Tiktoken.count("gpt-4o", ""), 0);
        assert_eq!(Tiktoken.count("gpt-4o", "hello world"), 2);
        assert_eq!(
            Tiktoken.count("gpt-4o", "<|endoftext|>").min(2),
            2,
            "no special tokens in strangers' text"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn it_counts_within_a_runtime() {
        assert_eq!(Tiktoken.count("gpt-4o", "hello world"), 2);
        let counted = tokio::spawn(async { Tiktoken.count("gpt-4o", "hello world") });
        assert_eq!(counted.await.unwrap(), 2);
    }

    #[test]
    fn hostile_texts_are_counted_in_reasonable_time_and_never_beyond_their_bytes() {
        for text in ["a", " ", "\n", "^", "ä", "🦀", "\u{200d}", "a\u{301}"] {
            let text = text.repeat(20_000);
            let tokens = Tiktoken.count("gpt-4o", &text);
            assert!(tokens > 0 && tokens <= text.len() as u64, "{tokens}");
        }
    }
}
