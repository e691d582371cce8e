//! Input that a model cannot read, whatever there is to pay it with. It is refused before any provider is asked:
//! what a provider makes of too long an input, often a failure, says nothing about how it fares.

use super::Completions;
use crate::{catalogue::Model, error::CompletionError, request::Asked, tokens};

impl Completions {
    /// Refuses a request for embeddings one input of which is longer than what the model reads. Each is
    /// embedded by itself.
    pub(super) async fn expect_inputs_fit(
        &self,
        request: &Asked,
        model: &Model,
    ) -> Result<(), CompletionError> {
        let Asked::Embeddings(request) = request else {
            return Ok(());
        };
        if request.longest_list() > u64::from(model.context) {
            return Err(beyond(model, "input"));
        }
        let context = usize::try_from(model.context).unwrap_or(usize::MAX);
        for text in request.texts_longer_than(context) {
            self.expect_text_fits(&text, model, "input").await?;
        }
        Ok(())
    }

    /// Refuses a text of more tokens than the model reads. No text has more tokens than bytes.
    pub(super) async fn expect_text_fits(
        &self,
        text: &str,
        model: &Model,
        param: &'static str,
    ) -> Result<(), CompletionError> {
        let context = u64::from(model.context);
        if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= context) {
            return Ok(());
        }
        let enough = |counted: u64| counted > context;
        let counted = tokens::count(self.ports.counter.as_ref(), &model.name, text, enough).await;
        if enough(counted) {
            Err(beyond(model, param))
        } else {
            Ok(())
        }
    }
}

/// The refusal of input in `param` that is longer than what the model reads.
pub(super) fn beyond(model: &Model, param: &'static str) -> CompletionError {
    CompletionError::ContextExceeded {
        model: model.name.clone(),
        context: u64::from(model.context),
        param,
    }
}
