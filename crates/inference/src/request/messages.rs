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

/// Checks `messages` and counts their media.
pub(super) fn check(raw: &str) -> Result<Media, CompletionError> {
    let messages: Vec<&RawValue> = serde_json::from_str(raw)
        .map_err(|_| CompletionError::invalid("messages", "messages must be a list of messages"))?;
    if messages.is_empty() {
        return Err(CompletionError::invalid(
            "messages",
            "messages must hold at least one message",
        ));
    }
    let mut media = Media::default();
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
        media.images = media.images.saturating_add(seen.parts.media.images);
        media.others = media.others.saturating_add(seen.parts.media.others);
    }
    Ok(media)
}

fn read<'de, S: DeserializeSeed<'de>>(raw: &'de str, seed: S) -> Option<S::Value> {
    seed.deserialize(&mut serde_json::Deserializer::from_str(raw))
        .ok()
}

#[derive(Default)]
struct Message {
    has_role: bool,
    parts: Parts,
}

impl Fields for Message {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "role" => {
                self.parts.scratch.clear();
                let length = map.next_value_seed(Append(&mut self.parts.scratch))?;
                self.has_role = length.is_some_and(|length| length > 0);
                Ok(())
            }
            "content" => {
                // A text is stepped over without decoding it; a list is looked into.
                let content: &RawValue = map.next_value()?;
                if content.get().starts_with('[') {
                    read(content.get(), Items(&mut self.parts));
                }
                Ok(())
            }
            // An answer's recording, sent back by reference: its tokens are not in our bytes.
            "audio" => {
                let audio: &RawValue = map.next_value()?;
                self.parts.media.others += u32::from(!crate::json::is_null(audio.get()));
                Ok(())
            }
            _ => skip(map),
        }
    }
}

#[derive(Default)]
struct Parts {
    media: Media,
    scratch: String,
}

impl Fields for Parts {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name != "type" {
            return skip(map);
        }
        self.scratch.clear();
        map.next_value_seed(Append(&mut self.scratch))?;
        match self.scratch.as_str() {
            "text" | "refusal" => {}
            "image_url" => self.media.images = self.media.images.saturating_add(1),
            _ => self.media.others = self.media.others.saturating_add(1),
        }
        Ok(())
    }
}

/// The texts that a provider turns into tokens: roles, names, contents, calls and definitions.
pub(super) fn text(body: &[u8]) -> String {
    let mut request = Texts::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // The body has been checked; whatever was read before an oddity is what there is.
    let _ = Object(&mut request).deserialize(&mut deserializer);
    request.0
}

#[derive(Default)]
struct Texts(String);

impl Fields for Texts {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "messages" => map
                .next_value_seed(Items(&mut MessageTexts(&mut self.0)))
                .map(drop),
            "tools" | "functions" | "response_format" => {
                let raw: &RawValue = map.next_value()?;
                self.0.push_str(raw.get());
                Ok(())
            }
            _ => skip(map),
        }
    }
}

struct MessageTexts<'a>(&'a mut String);

impl Fields for MessageTexts<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let raw: &RawValue = map.next_value()?;
        match raw.get().as_bytes().first() {
            Some(b'"') => {
                read(raw.get(), Append(&mut *self.0));
                self.0.push('\n');
            }
            Some(b'[') if name == "content" => {
                read(raw.get(), Items(&mut PartTexts(&mut *self.0)));
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
            "text" | "refusal" => map.next_value_seed(Append(&mut *self.0)).map(drop),
            _ => skip(map),
        }
    }
}
