//! Fields that are known to change what a call costs and that the catalogue does not price.
//!
//! They are refused by name instead of being forwarded, because the bound of the call would no
//! longer hold. Unknown fields pass: a provider that charges for them is configured, not guessed.

use crate::{
    error::CompletionError,
    json::{Append, Fields, Items, skip},
};
use serde::de::{DeserializeSeed, MapAccess};

/// Checks one field that is not null.
pub(super) fn check(name: &str, raw: &str) -> Result<(), CompletionError> {
    match name {
        "service_tier" if !matches!(raw, "\"auto\"" | "\"default\"") => {
            Err(unsupported(name, "only the default tier is priced; leave it out"))
        }
        // OpenAI's, xAI's, Qwen's and OpenRouter's names for it.
        "web_search_options" | "search_parameters" | "enable_search" | "plugins"
            if !matches!(raw, "false" | "[]") =>
        {
            Err(unsupported(name, "the provider's own web search is not priced"))
        }
        "audio" => Err(unsupported(name, "audio output is not priced")),
        "prediction" => Err(unsupported(
            name,
            "rejected predictions are charged beyond the answer and are not priced",
        )),
        "best_of" | "use_beam_search" => Err(unsupported(
            name,
            "answers that are generated and thrown away are not priced; use n",
        )),
        "modalities" => modalities(raw),
        "tools" => tools(raw),
        _ => Ok(()),
    }
}

fn unsupported(param: impl Into<String>, reason: &'static str) -> CompletionError {
    CompletionError::Unsupported {
        param: param.into(),
        reason,
    }
}

fn modalities(raw: &str) -> Result<(), CompletionError> {
    let modalities: Vec<String> = serde_json::from_str(raw)
        .map_err(|_| CompletionError::invalid("modalities", "modalities must be a list of texts"))?;
    if modalities.iter().all(|modality| modality == "text") {
        Ok(())
    } else {
        Err(unsupported("modalities", "only text output is priced"))
    }
}

/// Tools that the caller runs are free; tools that the provider runs are not.
fn tools(raw: &str) -> Result<(), CompletionError> {
    let mut kinds = Kinds::default();
    let read = Items(&mut kinds).deserialize(&mut serde_json::Deserializer::from_str(raw));
    if !matches!(read, Ok(Some(_))) {
        return Err(CompletionError::invalid(
            "tools",
            "tools must be a list of objects",
        ));
    }
    if kinds.hosted {
        return Err(unsupported(
            "tools",
            "only tools that you run yourself (type function or custom) are priced",
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Kinds {
    hosted: bool,
    scratch: String,
}

impl Fields for Kinds {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        // Google names its own tools by a field instead of a type.
        const GOOGLES: [&str; 5] = [
            "google_search",
            "googleSearch",
            "google_search_retrieval",
            "code_execution",
            "url_context",
        ];
        if name != "type" {
            self.hosted |= GOOGLES.contains(&name);
            return skip(map);
        }
        self.scratch.clear();
        map.next_value_seed(Append(&mut self.scratch))?;
        self.hosted |= !matches!(self.scratch.as_str(), "function" | "custom");
        Ok(())
    }
}
