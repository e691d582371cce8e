//! The log of prompts (`haithe::prompts`): what paying organizations let us keep, and nothing else.

use super::watch::word;
use haithe_inference::ports::{Endpoint, Transcript};

/// Writes a line. Texts are escaped by the subscriber, so that they cannot pretend to be lines.
pub(super) fn write(kept: &Transcript<'_>) {
    let api_key = kept.api_key.map(|key| key.0);
    tracing::info!(
        target: "haithe::prompts",
        call = %kept.call,
        org.id = kept.org.0,
        project.id = kept.project.0,
        wallet = %kept.wallet,
        api_key.id = api_key,
        model = kept.model,
        provider = kept.provider,
        endpoint = match kept.endpoint {
            Endpoint::Chat => "chat",
            Endpoint::Embeddings => "embeddings",
        },
        streamed = kept.streamed,
        outcome = word(kept.outcome),
        tokens.input = kept.tokens.input,
        tokens.output = kept.tokens.output,
        request_bytes = kept.request_bytes,
        answer_bytes = kept.answer_bytes,
        prompt = kept.texts.map(|texts| texts.prompt),
        answer = kept.texts.map(|texts| texts.answer),
        cut = kept.texts.map(|texts| texts.cut),
        "a call was answered"
    );
}
