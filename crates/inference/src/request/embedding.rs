//! A request for embeddings: texts, or tokens that the caller made of them itself.

use super::{Field, RequestLimits, check_text, priced, splice, top_level};
use crate::{
    catalogue::Model,
    error::CompletionError,
    json::{Append, Fields, skip},
};
use bytes::Bytes;
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

/// Inputs of one request, as OpenAI allows.
const MOST_INPUTS: usize = 2_048;

/// A checked request for embeddings, kept as the bytes it came in.
#[derive(Debug, Clone)]
pub struct EmbeddingRequest {
    body: Bytes,
    first: usize,
    model: Option<(Field, Option<String>)>,
    /// Tokens that were given as such.
    tokens: u64,
}

impl EmbeddingRequest {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// [`CompletionError::Invalid`] names the field and the rule, [`CompletionError::Unsupported`]
    /// a field that would change the price, [`CompletionError::TooLarge`] a body beyond the limit.
    pub fn parse(body: Bytes, limits: RequestLimits) -> Result<Self, CompletionError> {
        if body.len() > limits.bytes {
            return Err(CompletionError::TooLarge { limit: limits.bytes });
        }
        let text = std::str::from_utf8(&body)
            .map_err(|_| CompletionError::malformed("the body is not UTF-8 text"))?;
        check_text(&body)?;
        let (mut model, mut tokens) = (None, None);
        for entry in top_level(text)? {
            let raw = entry.value.get();
            match entry.name.as_ref() {
                "input" => tokens = Some(check_input(raw)?),
                "model" => {
                    let name: Option<String> = serde_json::from_str(raw)
                        .map_err(|_| CompletionError::invalid("model", "model must be a text"))?;
                    model = Some((entry.field(text)?, name));
                }
                name if !crate::json::is_null(raw) => priced::check(name, raw)?,
                _ => {}
            }
        }
        let Some(tokens) = tokens else {
            return Err(CompletionError::invalid(
                "input",
                "input is missing: a text or a list of texts",
            ));
        };
        Ok(Self {
            first: text.find('{').map_or(0, |at| at + 1),
            body: body.clone(),
            model,
            tokens,
        })
    }

    pub(crate) const fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_ref().and_then(|(_, name)| name.as_deref())
    }

    pub(crate) const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The texts among the inputs. Reads the body again.
    pub(crate) fn text(&self) -> String {
        let mut texts = Texts(String::new());
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        match crate::json::Object(&mut texts).deserialize(&mut json) {
            Ok(true) => texts.0,
            // Never of a body that was checked; its bytes are more than its texts.
            Ok(false) | Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        }
    }

    pub(crate) fn for_upstream(&self, model: &Model) -> Bytes {
        let edit = splice::name_model(self.model.as_ref(), self.first, model);
        splice::apply(&self.body, edit.into_iter().collect())
    }
}

/// Checks `input`; gives the number of tokens that stand in it as such.
fn check_input(raw: &str) -> Result<u64, CompletionError> {
    let wrong = || {
        CompletionError::invalid(
            "input",
            format!(
                "input must be a text, a list of 1 to {MOST_INPUTS} texts, or one or more lists of tokens"
            ),
        )
    };
    match raw.as_bytes().first() {
        Some(b'"') if raw != "\"\"" => return Ok(0),
        Some(b'[') => {}
        _ => return Err(wrong()),
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| wrong())?;
    let kind = |item: &&RawValue| item.get().as_bytes().first().copied();
    let first = items.first().and_then(kind).ok_or_else(wrong)?;
    let tokens = |list: &str| {
        let tokens: Vec<u32> = serde_json::from_str(list)
            .ok()
            .filter(|tokens: &Vec<u32>| !tokens.is_empty())?;
        u64::try_from(tokens.len()).ok()
    };
    if first.is_ascii_digit() {
        return tokens(raw).ok_or_else(wrong);
    }
    if items.len() > MOST_INPUTS {
        return Err(wrong());
    }
    match first {
        b'"' if items
            .iter()
            .all(|item| kind(item) == Some(b'"') && item.get() != "\"\"") =>
        {
            Ok(0)
        }
        b'[' => items.iter().try_fold(0u64, |sum, item| {
            Ok(sum.saturating_add(tokens(item.get()).ok_or_else(wrong)?))
        }),
        _ => Err(wrong()),
    }
}

struct Texts(String);

impl Fields for Texts {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name != "input" {
            return skip(map);
        }
        let raw: &RawValue = map.next_value()?;
        let items: Vec<&RawValue> = match raw.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str(raw.get()).unwrap_or_default(),
            _ => vec![raw],
        };
        for item in items.into_iter().filter(|item| item.get().starts_with('"')) {
            let before = self.0.len();
            let mut json = serde_json::Deserializer::from_str(item.get());
            if Append(&mut self.0).deserialize(&mut json).is_err() {
                // Never of a body that was checked; what is written is more than what it means.
                self.0.truncate(before);
                self.0.push_str(item.get());
            }
            self.0.push('\n');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::Failure;

    fn parse(body: &str) -> Result<EmbeddingRequest, CompletionError> {
        EmbeddingRequest::parse(Bytes::copy_from_slice(body.as_bytes()), RequestLimits::default())
    }

    #[test]
    fn texts_and_tokens_are_both_inputs() {
        for (input, tokens, text) in [
            (r#""h\u0069""#, 0, "hi\n"),
            (r#"["a","b"]"#, 0, "a\nb\n"),
            ("[1,2,3]", 3, ""),
            ("[[1,2],[3]]", 3, ""),
        ] {
            let request = parse(&format!(r#"{{"model":"m","input":{input}}}"#)).unwrap();
            assert_eq!(
                (request.tokens(), request.text().as_str()),
                (tokens, text),
                "{input}"
            );
            assert_eq!(request.model(), Some("m"));
        }
    }

    #[test]
    fn what_is_no_input_is_refused_by_name() {
        let many = format!("[{}]", vec![r#""a""#; MOST_INPUTS + 1].join(","));
        for input in [
            r#""""#,
            "[]",
            "[[]]",
            r#"["a",1]"#,
            "[1,\"a\"]",
            "[-1]",
            "[1.5]",
            "{}",
            "null",
            "7",
            r#"["a",""]"#,
            &many,
        ] {
            let error = parse(&format!(r#"{{"input":{input}}}"#)).unwrap_err();
            assert_eq!(
                (error.code(), error.param()),
                ("invalid_request", Some("input")),
                "{input}"
            );
        }
        assert_eq!(parse("{}").unwrap_err().param(), Some("input"));
        let priced = parse(r#"{"input":"a","service_tier":"flex"}"#).unwrap_err();
        assert_eq!(priced.code(), "unsupported_parameter");
    }
}
