//! How large an input is: an upper bound in tokens that is never below what its provider counts, by
//! the cheapest means that decides.
//!
//! | | |
//! |--|--|
//! | its bytes fit context and money | they are the bound, because no tokenizer makes more tokens than bytes |
//! | its bytes divided by the longest token do not fit | refused |
//! | its provider's tokenizer is known | its tokens are counted, with a margin |
//! | else | its text's bytes are the bound, or the whole context where they are more |
//!
//! Counting is the expensive means, so money is looked at before: [`Completions::admit`] asks what can
//! be spent, and counting stops where that is exceeded.

use super::Completions;
use crate::{
    catalogue::{Model, Tokenizer},
    error::CompletionError,
    ports::{CounterBusy, TextToCount},
    request::Asked,
};
use haithe_kernel::OrgId;
use std::sync::Arc;

/// No token of a known vocabulary stands for more bytes (`o200k_base`: 128 blanks).
pub(crate) const LONGEST_TOKEN: u64 = 256;
/// Tokens that a chat format puts around a message, and beside all of them.
const AROUND_MESSAGE: u64 = 8;
const AROUND_PROMPT: u64 = 16;

/// For whom an input is measured, and how much of it is paid for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payable {
    pub payer: OrgId,
    /// Input tokens that there is money for.
    pub tokens: u64,
    /// A call that has begun waits for its turn to count, one that has not is refused.
    pub patient: bool,
}

/// An upper bound on an input's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputSize {
    /// At most this many, which fit context and money.
    AtMost(u64),
    /// Money does not cover it: that would take this many.
    Unaffordable(u64),
}

/// The fewest tokens that this many bytes of text can be.
pub(crate) const fn fewest_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(LONGEST_TOKEN)
}

/// The most tokens of what is not text; `None` when nothing but the context bounds it.
fn media_tokens(request: &Asked, model: &Model) -> Option<u64> {
    let media = request.media();
    match (media.images, media.others, model.image_tokens) {
        (0, 0, _) => Some(0),
        (images, 0, Some(tokens)) => Some(u64::from(images) * u64::from(tokens)),
        _ => None,
    }
}

/// The refusal of input in `param` that is longer than what the model reads.
fn beyond(model: &Model, param: &'static str) -> CompletionError {
    CompletionError::ContextExceeded {
        model: model.name.clone(),
        context: u64::from(model.context),
        param,
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// What is known of an input without looking at its text.
struct Measured {
    /// By its bytes.
    by_bytes: u64,
    /// Tokens beside those of its text.
    fixed: u64,
}

impl Measured {
    /// `None` when nothing but the context bounds it.
    fn of(request: &Asked, model: &Model) -> Option<Self> {
        let bytes = u64::try_from(request.body().len()).unwrap_or(u64::MAX);
        let beside = u64::from(model.prompt_overhead).saturating_add(media_tokens(request, model)?);
        let format = request
            .messages()
            .saturating_mul(AROUND_MESSAGE)
            .saturating_add(AROUND_PROMPT);
        Some(Self {
            by_bytes: bytes.saturating_add(beside),
            fixed: beside.saturating_add(request.tokens()).saturating_add(format),
        })
    }

    /// With so many tokens of text, whose count may be a little below the provider's.
    fn with_counted(&self, tokens: u64) -> u64 {
        let margin = tokens / 8;
        let sum = self.fixed.saturating_add(tokens).saturating_add(margin);
        sum.min(self.by_bytes)
    }

    /// The largest count of text with which the whole is at most `limit`.
    fn text_within(&self, limit: u64) -> Option<u64> {
        let room = limit.checked_sub(self.fixed)?;
        // `n + n / 8` is at most `room` for `n` up to eight ninths of it.
        Some(u64::try_from(u128::from(room) * 8 / 9).unwrap_or(u64::MAX))
    }
}

impl Completions {
    /// An upper bound on the input of a request.
    ///
    /// # Errors
    /// [`CompletionError::ContextExceeded`] for more than the model reads, [`CompletionError::Counting`]
    /// when too many texts are being counted.
    pub(super) async fn input_size(
        &self,
        request: &Asked,
        model: &Model,
        payable: Payable,
    ) -> Result<InputSize, CompletionError> {
        let affordable = |tokens: u64| {
            if tokens <= payable.tokens {
                InputSize::AtMost(tokens)
            } else {
                InputSize::Unaffordable(tokens)
            }
        };
        let context = u64::from(model.context);
        let Some(measured) = Measured::of(request, model) else {
            let size = affordable(context);
            if size == InputSize::AtMost(context) {
                let text = request.prompt().into();
                self.expect_text_fits(&text, model, "messages", payable).await?;
            }
            return Ok(size);
        };
        // Each input is embedded by itself, so that their sum may be more than the context.
        let one_input = matches!(request, Asked::Chat(_));
        let limit = if one_input {
            context.min(payable.tokens)
        } else {
            payable.tokens
        };
        if measured.by_bytes <= limit || !one_input {
            return Ok(affordable(measured.by_bytes));
        }
        let too_long = || beyond(model, "messages");
        let text: Arc<str> = request.prompt().into();
        let fewest = fewest_tokens(length(&text));
        if fewest > context {
            return Err(too_long());
        }
        if fewest > payable.tokens {
            return Ok(InputSize::Unaffordable(fewest));
        }
        match model.tokenizer {
            Tokenizer::O200k => {
                let Some(most) = measured.text_within(limit) else {
                    let least = measured.fixed;
                    return if least > context {
                        Err(too_long())
                    } else {
                        Ok(affordable(least))
                    };
                };
                let size = measured.with_counted(self.counted(&text, most, payable).await?);
                if size > context && context <= payable.tokens {
                    return Err(too_long());
                }
                Ok(affordable(size))
            }
            Tokenizer::Bytes => {
                let by_text = measured
                    .fixed
                    .saturating_add(length(&text))
                    .min(measured.by_bytes);
                if by_text <= context || context > payable.tokens {
                    return Ok(affordable(by_text.min(context)));
                }
                // Its provider reads no more than the context. An estimate keeps out what is most
                // likely longer than that.
                if self.counted(&text, context, payable).await? > context {
                    return Err(too_long());
                }
                Ok(InputSize::AtMost(context))
            }
        }
    }

    /// A lower bound on the same input than `size`, if counting gives one: what is not needed for the
    /// input pays for output.
    pub(super) async fn tightened(&self, request: &Asked, model: &Model, size: u64, payable: Payable) -> u64 {
        let Some(measured) = Measured::of(request, model) else {
            return size;
        };
        if size < measured.by_bytes || matches!(request, Asked::Embeddings(_)) {
            return size;
        }
        let text: Arc<str> = request.prompt().into();
        if model.tokenizer == Tokenizer::Bytes {
            return size.min(measured.fixed.saturating_add(length(&text)));
        }
        let Some(most) = measured.text_within(size) else {
            return size;
        };
        match self.counted(&text, most, payable).await {
            Ok(counted) => size.min(measured.with_counted(counted)),
            Err(_) => size,
        }
    }

    /// Refuses a request for embeddings one input of which is longer than what the model reads, before
    /// any provider is asked: what a provider makes of too long an input, often a failure, says nothing
    /// about how it fares. Each input is embedded by itself.
    ///
    /// # Errors
    /// [`CompletionError::ContextExceeded`], and [`CompletionError::Counting`] when too many texts are
    /// being counted.
    pub(super) async fn expect_inputs_fit(
        &self,
        request: &Asked,
        model: &Model,
        payer: OrgId,
    ) -> Result<(), CompletionError> {
        let Asked::Embeddings(request) = request else {
            return Ok(());
        };
        if request.longest_list() > u64::from(model.context) {
            return Err(beyond(model, "input"));
        }
        let context = usize::try_from(model.context).unwrap_or(usize::MAX);
        let payable = Payable {
            payer,
            tokens: u64::MAX,
            patient: false,
        };
        for text in request.texts_longer_than(context) {
            let text = text.into();
            self.expect_text_fits(&text, model, "input", payable).await?;
        }
        Ok(())
    }

    /// Refuses a text of more tokens than the model reads. No text has more tokens than bytes, and none
    /// has fewer than its bytes divided by the longest token.
    async fn expect_text_fits(
        &self,
        text: &Arc<str>,
        model: &Model,
        param: &'static str,
        payable: Payable,
    ) -> Result<(), CompletionError> {
        let context = u64::from(model.context);
        if length(text) <= context {
            return Ok(());
        }
        if fewest_tokens(length(text)) > context || self.counted(text, context, payable).await? > context {
            return Err(beyond(model, param));
        }
        Ok(())
    }

    async fn counted(&self, text: &Arc<str>, most: u64, payable: Payable) -> Result<u64, CounterBusy> {
        let text = TextToCount {
            text: Arc::clone(text),
            most,
            payer: payable.payer,
            patient: payable.patient,
        };
        self.ports.counter.count(text).await
    }
}
