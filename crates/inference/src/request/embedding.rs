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
    tokens: Tokens,
}

/// Tokens that a caller gave as such.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tokens {
    /// Of all inputs.
    all: u64,
    /// Of the longest input.
    longest: u64,
}

impl Tokens {
    fn with(self, input: u64) -> Self {
        Self {
            all: self.all.saturating_add(input),
            longest: self.longest.max(input),
        }
    }
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
        self.tokens.all
    }

    /// Tokens of the longest input that was given as tokens.
    pub(crate) const fn longest_list(&self) -> u64 {
        self.tokens.longest
    }

    /// The texts among the inputs that have more bytes than this. Reads the body again.
    pub(crate) fn texts_longer_than(&self, bytes: usize) -> Vec<String> {
        // Escapes only make a text longer than what it stands for.
        if self.body.len() <= bytes {
            return Vec::new();
        }
        let text = self.text_of_each();
        text.into_iter().filter(|text| text.len() > bytes).collect()
    }

    /// The texts among the inputs, each followed by a line's end. Reads the body again.
    pub(crate) fn text(&self) -> String {
        let mut whole = String::new();
        for text in self.text_of_each() {
            whole.push_str(&text);
            whole.push('\n');
        }
        whole
    }

    fn text_of_each(&self) -> Vec<String> {
        let mut texts = Texts(Vec::new());
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        match crate::json::Object(&mut texts).deserialize(&mut json) {
            Ok(true) => texts.0,
            // Never of a body that was checked; its bytes are more than its texts.
            Ok(false) | Err(_) => vec![String::from_utf8_lossy(&self.body).into_owned()],
        }
    }

    pub(crate) fn for_upstream(&self, model: &Model) -> Bytes {
        let edit = splice::name_model(self.model.as_ref(), self.first, model);
        splice::apply(&self.body, edit.into_iter().collect())
    }
}

/// Checks `input`; gives the numbers of tokens that stand in it as such.
fn check_input(raw: &str) -> Result<Tokens, CompletionError> {
    let wrong = || {
        CompletionError::invalid(
            "input",
            format!(
                "input must be a text, a list of 1 to {MOST_INPUTS} texts, or one or more lists of tokens"
            ),
        )
    };
    match raw.as_bytes().first() {
        Some(b'"') if raw != "\"\"" => return Ok(Tokens::default()),
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
        return Ok(Tokens::default().with(tokens(raw).ok_or_else(wrong)?));
    }
    if items.len() > MOST_INPUTS {
        return Err(wrong());
    }
    match first {
        b'"' if items
            .iter()
            .all(|item| kind(item) == Some(b'"') && item.get() != "\"\"") =>
        {
            Ok(Tokens::default())
        }
        b'[' => items.iter().try_fold(Tokens::default(), |sum, item| {
            Ok(sum.with(tokens(item.get()).ok_or_else(wrong)?))
        }),
        _ => Err(wrong()),
    }
}

struct Texts(Vec<String>);

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
            let mut json = serde_json::Deserializer::from_str(item.get());
            let mut text = String::new();
            if Append(&mut text).deserialize(&mut json).is_err() {
                // Never of a body that was checked; what is written is more than what it means.
                item.get().clone_into(&mut text);
            }
            self.0.push(text);
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
    fn the_longest_inputs_are_found_among_many() {
        let request = parse(r#"{"input":[[1,2],[3],[4,5,6]]}"#).unwrap();
        assert_eq!((request.tokens(), request.longest_list()), (6, 3));
        let request = parse(r#"{"input":["abc","abcd","\u0061\u0062","abcde"]}"#).unwrap();
        assert_eq!(request.texts_longer_than(3), ["abcd", "abcde"]);
        assert!(request.texts_longer_than(5).is_empty());
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
