//! Watches calls: counts them, and says which were slow and where their time went.

use super::{
    conditions::ProviderKeys,
    metrics::{CallFigures, Figures},
    prompts,
};
use haithe_billing::capture::CallOutcome;
use haithe_inference::ports::{AskOutcome, CallEnd, CallObserver, Transcript};
use haithe_kernel::Usdt;
use std::{sync::Arc, time::Duration};

/// [`CallObserver`] for figures and the performance log.
#[derive(Debug)]
pub struct Watch {
    figures: Arc<Figures>,
    keys: ProviderKeys,
    /// A call whose own part (all but the provider's) takes this long is slow.
    slow: Duration,
}

impl Watch {
    /// Counts in `figures` and reports rejected credentials to `keys`.
    pub const fn new(figures: Arc<Figures>, keys: ProviderKeys, slow: Duration) -> Self {
        Self { figures, keys, slow }
    }
}

/// Nano-USDT that a counter can hold: charges are never negative.
fn nano(amount: Usdt) -> u64 {
    u64::try_from(amount.nano()).unwrap_or(0)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

pub(super) const fn word(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Complete => "complete",
        CallOutcome::Partial => "partial",
        CallOutcome::Aborted => "aborted",
    }
}

impl CallObserver for Watch {
    fn transcribed(&self, transcript: &Transcript<'_>) {
        prompts::write(transcript);
    }

    fn asked(&self, provider: &str, outcome: AskOutcome, took: Duration) {
        self.figures.asked(provider, outcome.as_str(), took);
        self.keys.attempted(provider, outcome);
    }

    fn charged(&self, end: &CallEnd<'_>) {
        let tokens = end.tokens;
        self.figures.charged(&CallFigures {
            model: end.model,
            provider: end.provider,
            outcome: word(end.outcome),
            streamed: end.streamed,
            tokens: [tokens.input, tokens.cached, tokens.output, tokens.reasoning],
            charged: nano(end.charged),
            lost: nano(end.lost),
            total: end.total,
            upstream: end.upstream,
            first_token: end.first_token,
            hold: end.hold,
            capture: end.capture,
        });
        let ours = if end.streamed {
            end.hold + end.capture
        } else {
            end.total.saturating_sub(end.upstream)
        };
        if ours >= self.slow {
            tracing::warn!(
                target: "haithe::performance",
                call = %end.call,
                model = end.model,
                provider = end.provider,
                total_us = micros(end.total),
                upstream_us = micros(end.upstream),
                hold_us = micros(end.hold),
                capture_us = micros(end.capture),
                "a call was slow on our side"
            );
        }
    }
}
