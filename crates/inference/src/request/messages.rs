//! Messages: their shape, the media among them, and their texts.

use crate::{
    error::CompletionError,
    json::{Append, Fields, Items, Object, skip},
};
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

/// Parts of messages whose tokens their bytes don't bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Media {
    /// Images.
    pub images: u32,
    /// Recordings, files, and whatever else is not text.
    pub others: u32,
}

/// What is known of the messages after they were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Checked {
    pub media: Media,
    /// Messages.
    pub count: u32,
}

/// Checks `messages` and counts them and their media. A message that cannot be read as a whole is
/// refused: no decision is made on the part before whatever cannot be read.
pub(super) fn check(raw: &str) -> Result<Checked, CompletionError> {
    let messages: Vec<&RawValue> = serde_json::from_str(raw)
        .map_err(|_| CompletionError::invalid("messages", "messages must be a list of messages"))?;
    if messages.is_empty() {
        return Err(CompletionError::invalid(
            "messages",
            "messages must hold at least one message",
        ));
    }
    let mut checked = Checked::default();
    for (index, message) in messages.into_iter().enumerate() {
        let mut seen = Message::default();
        let read = read(message.get(), Object(&mut seen));
        if read != Some(true) {
            return Err(CompletionError::invalid(
                format!("messages[{index}]"),
                format!("messages[{index}] must be an object with a role"),
            ));
        }
        if !seen.has_role {
            return Err(CompletionError::invalid(
                format!("messages[{index}].role"),
                format!("messages[{index}].role is missing: a text such as \"user\""),
            ));
        }
        if seen.unreadable {
            return Err(CompletionError::invalid(
                format!("messages[{index}].content"),
                format!(
                    "messages[{index}].content has a part that is not valid: the type of a part must be a text"
                ),
            ));
        }
        let media = &mut checked.media;
        media.images = media.images.saturating_add(seen.media.images);
        media.others = media.others.saturating_add(seen.media.others);
        checked.count = checked.count.saturating_add(1);
    }
    Ok(checked)
}

fn read<'de, S: DeserializeSeed<'de>>(raw: &'de str, seed: S) -> Option<S::Value> {
    seed.deserialize(&mut serde_json::Deserializer::from_str(raw))
        .ok()
}

/// The items of a list, or nothing for any other value.
fn items(raw: &str) -> Vec<&RawValue> {
    serde_json::from_str(raw).unwrap_or_default()
}

#[derive(Default)]
struct Message {
    has_role: bool,
    media: Media,
    /// A part cannot be read.
    unreadable: bool,
    scratch: String,
}

impl Fields for Message {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "role" => {
                self.scratch.clear();
                let length = map.next_value_seed(Append(&mut self.scratch))?;
                self.has_role = length.is_some_and(|length| length > 0);
                Ok(())
            }
            "content" => {
                // A text is stepped over without decoding it; a list is looked into.
                let content: &RawValue = map.next_value()?;
                if content.get().starts_with('[') {
                    for part in items(content.get()) {
                        self.part(part.get());
                    }
                }
                Ok(())
            }
            // An answer's recording, sent back by reference: its tokens are not in our bytes.
            "audio" => {
                let audio: &RawValue = map.next_value()?;
                let others = u32::from(!crate::json::is_null(audio.get()));
                self.media.others = self.media.others.saturating_add(others);
                Ok(())
            }
            _ => skip(map),
        }
    }
}

impl Message {
    fn part(&mut self, raw: &str) {
        if !raw.starts_with('{') {
            return;
        }
        let mut part = Part::default();
        if read(raw, Object(&mut part)) != Some(true) {
            self.unreadable = true;
            return;
        }
        let text = matches!(part.kind.as_deref(), Some("text" | "refusal"));
        // A provider may go by the fields of a part where its type is missing or given twice.
        let is_image = part.kind.as_deref() == Some("image_url") || part.image;
        let is_other = match part.kind {
            Some(_) if part.types > 1 => true,
            Some(_) => !text && !is_image,
            None => part.foreign && !is_image,
        };
        self.media.images = self.media.images.saturating_add(u32::from(is_image));
        self.media.others = self.media.others.saturating_add(u32::from(is_other));
    }
}

/// A part of a message's content.
#[derive(Default)]
struct Part {
    kind: Option<String>,
    types: u32,
    /// It has an image, whatever its type.
    image: bool,
    /// It has fields that no part of text has.
    foreign: bool,
}

impl Fields for Part {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => {
                self.types = self.types.saturating_add(1);
                let mut kind = String::new();
                let length = map.next_value_seed(Append(&mut kind))?;
                self.kind = length.map(|_| kind);
                Ok(())
            }
            "image_url" => {
                self.image = true;
                skip(map)
            }
            "text" | "refusal" | "cache_control" => skip(map),
            _ => {
                self.foreign = true;
                skip(map)
            }
        }
    }
}

/// Fields of a request that never become part of a prompt.
const NOT_PROMPT: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];

/// The texts of the messages and definitions, for the log and for estimates: roles, names, contents,
/// calls and definitions. The whole body where it cannot be read, which never happens to one that was
/// checked.
pub(super) fn text(body: &[u8]) -> String {
    texts(body, false)
}

/// Everything that a provider may turn into tokens: the texts, and every field that is not known to
/// stay out of the prompt. Images are left out; they are bounded by their number.
pub(super) fn prompt(body: &[u8]) -> String {
    texts(body, true)
}

fn texts(body: &[u8], unknown_fields: bool) -> String {
    let mut request = Texts {
        text: String::new(),
        unknown_fields,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match Object(&mut request).deserialize(&mut deserializer) {
        Ok(true) => request.text,
        Ok(false) | Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

struct Texts {
    text: String,
    unknown_fields: bool,
}

impl Fields for Texts {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "messages" => map
                .next_value_seed(Items(&mut MessageTexts(&mut self.text)))
                .map(drop),
            "tools" | "functions" | "response_format" => {
                let raw: &RawValue = map.next_value()?;
                self.text.push_str(raw.get());
                Ok(())
            }
            name if self.unknown_fields && !NOT_PROMPT.contains(&name) => {
                let raw: &RawValue = map.next_value()?;
                self.text.push_str(name);
                self.text.push_str(raw.get());
                self.text.push('\n');
                Ok(())
            }
            _ => skip(map),
        }
    }
}

/// Appends a text, as it is written where it cannot be decoded.
fn append(text: &mut String, raw: &str) {
    let before = text.len();
    if read(raw, Append(&mut *text)).flatten().is_none() {
        text.truncate(before);
        text.push_str(raw);
    }
}

struct MessageTexts<'a>(&'a mut String);

impl Fields for MessageTexts<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let raw: &RawValue = map.next_value()?;
        match raw.get().as_bytes().first() {
            Some(b'"') => {
                append(self.0, raw.get());
                self.0.push('\n');
            }
            Some(b'[') if name == "content" => {
                for part in items(raw.get()) {
                    let part = part.get();
                    let before = self.0.len();
                    match part.as_bytes().first() {
                        Some(b'{') if read(part, Object(&mut PartTexts(&mut *self.0))) == Some(true) => {}
                        Some(b'"') => append(self.0, part),
                        _ => {
                            self.0.truncate(before);
                            self.0.push_str(part);
                        }
                    }
                }
                self.0.push('\n');
            }
            Some(b'[' | b'{') => self.0.push_str(raw.get()),
            _ => {}
        }
        Ok(())
    }
}

struct PartTexts<'a>(&'a mut String);

impl Fields for PartTexts<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "type" | "image_url" => skip(map),
            _ => {
                let raw: &RawValue = map.next_value()?;
                match raw.get().as_bytes().first() {
                    Some(b'"') => append(self.0, raw.get()),
                    _ => self.0.push_str(raw.get()),
                }
                Ok(())
            }
        }
    }
}
