//! A chat request, read once and kept as the bytes it came in.
//!
//! Only the fields that routing, limits and money need are looked at. Everything else, known or
//! not, stays where it is: the upstream request is the caller's own bytes with a few values
//! spliced in ([`splice`]), so the order of fields, the text of numbers and unknown fields survive
//! exactly.

mod asked;
mod embedding;
mod messages;
mod priced;
mod splice;

use crate::{
    catalogue::{Model, OutputField},
    error::CompletionError,
    json::Name,
};
use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{fmt, ops::Range};

pub(crate) use asked::{Asked, Needs};
pub use embedding::EmbeddingRequest;
pub use messages::Media;

/// What a request may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of body.
    pub bytes: usize,
    /// Choices (`n`).
    pub choices: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            choices: 8,
        }
    }
}

/// More fields than any dialect knows.
const MOST_FIELDS: usize = 128;
/// Deeper than any schema of a tool.
const DEEPEST: usize = 96;

/// A field of the body: where its name and its value stand.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// The quoted name.
    name: Range<usize>,
    /// The value.
    value: Range<usize>,
}

/// One of the two fields that bound output.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OutputLimit {
    field: Field,
    /// `None` where the field is null: its value must be replaced, not joined by a second field of
    /// the same name, of which a provider may read either.
    tokens: Option<u64>,
}

/// A checked chat request.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    body: Bytes,
    /// Where the first field goes: just after the opening brace.
    first: usize,
    /// The field, and its text unless that is null.
    model: Option<(Field, Option<String>)>,
    stream: bool,
    stream_options: Option<Field>,
    include_usage: bool,
    choices: u32,
    max_tokens: Option<OutputLimit>,
    max_completion_tokens: Option<OutputLimit>,
    media: Media,
    messages: u32,
}

impl ChatRequest {
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
        let fields = top_level(text)?;
        let mut request = Self {
            first: text.find('{').map_or(0, |at| at + 1),
            body: body.clone(),
            model: None,
            stream: false,
            stream_options: None,
            include_usage: false,
            choices: 1,
            max_tokens: None,
            max_completion_tokens: None,
            media: Media::default(),
            messages: 0,
        };
        let mut has_messages = false;
        for entry in &fields {
            has_messages |= entry.name == "messages";
            request.read(entry, text, limits)?;
        }
        if !has_messages {
            return Err(CompletionError::invalid(
                "messages",
                "messages is missing: a list of at least one message",
            ));
        }
        Ok(request)
    }

    fn read(&mut self, entry: &Entry<'_>, text: &str, limits: RequestLimits) -> Result<(), CompletionError> {
        let raw = entry.value.get();
        let null = crate::json::is_null(raw);
        match entry.name.as_ref() {
            "messages" => {
                let checked = messages::check(raw)?;
                (self.media, self.messages) = (checked.media, checked.count);
            }
            "model" => {
                let name: Option<String> = serde_json::from_str(raw)
                    .map_err(|_| CompletionError::invalid("model", "model must be a text"))?;
                self.model = Some((entry.field(text)?, name));
            }
            "stream" if !null => {
                self.stream = serde_json::from_str(raw)
                    .map_err(|_| CompletionError::invalid("stream", "stream must be true or false"))?;
            }
            "n" if !null => {
                let most = limits.choices;
                self.choices = serde_json::from_str(raw)
                    .ok()
                    .filter(|n| (1..=most).contains(n))
                    .ok_or_else(|| {
                        CompletionError::invalid("n", format!("n must be a whole number from 1 to {most}"))
                    })?;
            }
            "max_tokens" => self.max_tokens = Some(output_limit(entry, text)?),
            "max_completion_tokens" => {
                self.max_completion_tokens = Some(output_limit(entry, text)?);
            }
            "stream_options" => {
                if !null {
                    self.include_usage = splice::include_usage(raw)?;
                }
                self.stream_options = Some(entry.field(text)?);
            }
            name if !null => priced::check(name, raw)?,
            _ => {}
        }
        Ok(())
    }

    /// The fields of a body, in order, each once.
    ///
    /// # Errors
    /// [`CompletionError::Invalid`] when it is no JSON object.
    pub(crate) fn fields(
        body: &str,
    ) -> Result<impl Iterator<Item = (std::borrow::Cow<'_, str>, &RawValue)>, CompletionError> {
        Ok(top_level(body)?
            .into_iter()
            .map(|entry| (entry.name, entry.value)))
    }

    /// The body as it was received.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The model asked for; `None` leaves the choice to the project.
    pub fn model(&self) -> Option<&str> {
        self.model.as_ref().and_then(|(_, name)| name.as_deref())
    }

    /// Whether an event stream is asked for.
    pub const fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the caller wants usage in the stream.
    pub const fn include_usage(&self) -> bool {
        self.include_usage
    }

    /// How many answers are asked for.
    pub const fn choices(&self) -> u32 {
        self.choices
    }

    /// Parts of the messages whose tokens bytes don't bound.
    pub const fn media(&self) -> Media {
        self.media
    }

    /// The smallest bound on output that the caller stated.
    pub fn max_output(&self) -> Option<u64> {
        let limits = [&self.max_tokens, &self.max_completion_tokens];
        let stated = limits.into_iter().flatten().filter_map(|limit| limit.tokens);
        stated.min()
    }

    /// The texts of the messages and definitions, for counting tokens. Reads the body again.
    pub fn text(&self) -> String {
        messages::text(&self.body)
    }

    /// Everything that the provider may turn into tokens, images aside. Reads the body again.
    pub(crate) fn prompt(&self) -> String {
        messages::prompt(&self.body)
    }

    /// How many messages there are.
    pub(crate) const fn messages(&self) -> u32 {
        self.messages
    }

    /// The request for the provider of `model`, which may generate `max_output` tokens per choice:
    /// the caller's bytes, without a copy when nothing has to change.
    pub fn for_upstream(&self, model: &Model, max_output: u64) -> Bytes {
        splice::for_upstream(self, model, max_output)
    }

    const fn limit(&self, field: OutputField) -> Option<&OutputLimit> {
        match field {
            OutputField::MaxTokens => self.max_tokens.as_ref(),
            OutputField::MaxCompletionTokens => self.max_completion_tokens.as_ref(),
        }
    }
}

fn output_limit(entry: &Entry<'_>, text: &str) -> Result<OutputLimit, CompletionError> {
    let tokens = serde_json::from_str::<Option<u64>>(entry.value.get())
        .ok()
        .filter(|tokens| *tokens != Some(0))
        .ok_or_else(|| {
            let name = entry.name.as_ref();
            CompletionError::invalid(name, format!("{name} must be a whole number of 1 or more"))
        })?;
    let field = entry.field(text)?;
    Ok(OutputLimit { field, tokens })
}

/// A field of the body's object, borrowed from it.
struct Entry<'a> {
    name: std::borrow::Cow<'a, str>,
    value: &'a RawValue,
}

impl Entry<'_> {
    /// Where it stands in `text`, from which it was borrowed.
    fn field(&self, text: &str) -> Result<Field, CompletionError> {
        let offset = |part: &str| (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        let (std::borrow::Cow::Borrowed(name), value) = (&self.name, self.value.get()) else {
            let name = self.name.as_ref();
            return Err(CompletionError::invalid(
                name,
                format!("write the field name {name} without escapes"),
            ));
        };
        match (offset(name), offset(value)) {
            (Some(at), Some(start)) if at > 0 => Ok(Field {
                name: at - 1..at + name.len() + 1,
                value: start..start + value.len(),
            }),
            _ => Err(CompletionError::Interrupted),
        }
    }
}

/// The fields of the body's object, in order, each once.
fn top_level(text: &str) -> Result<Vec<Entry<'_>>, CompletionError> {
    struct Reader;
    impl<'de> Visitor<'de> for Reader {
        type Value = Vec<Entry<'de>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields: Vec<Entry<'de>> = Vec::with_capacity(16);
            while let Some(Name(name)) = map.next_key()? {
                if fields.iter().any(|seen| seen.name == name) {
                    return Err(serde::de::Error::custom(format_args!("duplicate field `{name}`")));
                }
                if fields.len() >= MOST_FIELDS {
                    return Err(serde::de::Error::custom(format_args!(
                        "more than {MOST_FIELDS} fields"
                    )));
                }
                fields.push(Entry {
                    name,
                    value: map.next_value()?,
                });
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Reader);
    fields
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| CompletionError::malformed(format!("the body is not a JSON object: {error}")))
}

/// Refuses nesting beyond [`DEEPEST`], so that no reader behind us has to recurse further, and strings
/// that no reader can decode: JSON's grammar admits half of a surrogate pair, and readers stop there.
fn check_text(body: &[u8]) -> Result<(), CompletionError> {
    let mut depth = 0usize;
    let mut rest = body;
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => {
                let (string, has_units, after) = after_string(after);
                if has_units && !pairs_surrogates(string) {
                    let at = body.len() - rest.len();
                    return Err(CompletionError::malformed(format!(
                        "the text that begins at byte {at} of the body has half of a surrogate pair \
                         (such as \\ud83d alone); send both halves, or the character itself as UTF-8"
                    )));
                }
                after
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return Err(CompletionError::malformed(format!(
                        "the body is nested more than {DEEPEST} levels deep"
                    )));
                }
                after
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                after
            }
            _ => after,
        };
    }
    Ok(())
}

/// A string whose opening quote has been read, whether it has escapes of UTF-16 code units, and what
/// follows it. A string without an end is what is left of the body, which its reader refuses.
fn after_string(text: &[u8]) -> (&[u8], bool, &[u8]) {
    let mut at = 0;
    let mut has_units = false;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        if text.get(at) == Some(&b'"') {
            let (string, rest) = text.split_at(at);
            return (string, has_units, rest.get(1..).unwrap_or_default());
        }
        has_units |= text.get(at + 1) == Some(&b'u');
        at += 2;
    }
    (text, has_units, &[])
}

/// Whether every `\u` escape of a surrogate stands beside its other half.
fn pairs_surrogates(string: &[u8]) -> bool {
    let mut rest = string;
    let mut high = false;
    while let Some(found) = memchr::memchr(b'\\', rest) {
        if high && found > 0 {
            return false;
        }
        let unit = match rest.get(found + 1) {
            Some(b'u') => unit(rest.get(found + 2..found + 6)),
            _ => None,
        };
        match unit {
            Some(0xd800..=0xdbff) if !high => high = true,
            Some(0xdc00..=0xdfff) if high => high = false,
            Some(0xd800..=0xdfff) => return false,
            _ if high => return false,
            _ => {}
        }
        // Four digits hold no backslash; where they are missing, the reader refuses the string.
        let step = if unit.is_some() { 6 } else { 2 };
        rest = rest.get(found + step..).unwrap_or_default();
    }
    !high
}

/// The UTF-16 code unit of four hexadecimal digits.
fn unit(digits: Option<&[u8]>) -> Option<u16> {
    let digits = std::str::from_utf8(digits?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests;
