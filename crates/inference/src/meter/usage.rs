//! A provider's `usage`, with the quirks of those we know.

use crate::json::{Count, Fields, Object, skip};
use haithe_billing::capture::TokenUsage;
use serde::de::MapAccess;

/// No call uses this many tokens; a larger count is nonsense and counts as none reported.
const MOST_TOKENS: u64 = 1 << 40;

/// What a `usage` object says.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct UsageFields {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    reasoning: Option<u64>,
    /// It already says what the call cost (another Haithe stands behind the provider).
    pub has_cost: bool,
}

impl UsageFields {
    /// The tokens, if both directions were reported.
    pub fn tokens(&self) -> Option<TokenUsage> {
        let (input, said) = self.prompt.zip(self.completion)?;
        // Gemini counts thoughts in the total only.
        let unnamed = self
            .total
            .map_or(0, |total| total.saturating_sub(input.saturating_add(said)));
        let output = said.saturating_add(unnamed);
        if input > MOST_TOKENS || output > MOST_TOKENS {
            return None;
        }
        let reasoning = self.reasoning.unwrap_or(unnamed).min(output);
        Some(TokenUsage {
            input,
            cached: self.cached.unwrap_or(0).min(input),
            output,
            reasoning,
        })
    }
}

impl UsageFields {
    /// The tokens of an answer that has none of its own.
    pub fn input_only(&self) -> Option<TokenUsage> {
        let input = self.prompt.or(self.total).filter(|input| *input <= MOST_TOKENS)?;
        Some(TokenUsage {
            input,
            cached: self.cached.unwrap_or(0).min(input),
            ..TokenUsage::default()
        })
    }
}

impl Fields for UsageFields {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "prompt_tokens" | "input_tokens" => self.prompt = count(map)?,
            "completion_tokens" | "output_tokens" => self.completion = count(map)?,
            "total_tokens" => self.total = count(map)?,
            // DeepSeek and Moonshot, beside or instead of the details.
            "prompt_cache_hit_tokens" | "cached_tokens" => self.cached = count(map)?.or(self.cached),
            "prompt_tokens_details" | "completion_tokens_details" => {
                map.next_value_seed(Object(&mut Details(self)))?;
            }
            "total_cost" | "expense_till_now" => {
                self.has_cost = true;
                skip(map)?;
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct Details<'a>(&'a mut UsageFields);

impl Fields for Details<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "cached_tokens" => self.0.cached = count(map)?.or(self.0.cached),
            "reasoning_tokens" => self.0.reasoning = count(map)?.or(self.0.reasoning),
            _ => skip(map)?,
        }
        Ok(())
    }
}

fn count<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<u64>, A::Error> {
    map.next_value_seed(Count)
}
