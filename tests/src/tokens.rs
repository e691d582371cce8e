//! Counts tokens as a provider with the table `o200k_base` would.

use futures::executor::block_on;
use haithe_inference::ports::{TextToCount, TokenCounter};
use haithe_kernel::OrgId;
use haithe_llm_providers::Tiktoken;

/// Tokens of `text` in `o200k_base`.
///
/// # Panics
/// When the counter is busy, which it never is for a patient request.
#[must_use]
pub fn o200k_tokens(text: &str) -> u64 {
    let request = TextToCount {
        text: text.into(),
        most: u64::MAX,
        payer: OrgId(1),
        patient: true,
    };
    block_on(Tiktoken::default().count(request)).expect("a patient request is never refused")
}
