//! The meter: what a provider's answer says about itself, read in passing.
//!
//! It hashes the bytes as they come, notes usage, and keeps the generated text (bounded) in case the
//! provider reports no usage and tokens must be counted. It changes nothing.

mod answer;
mod usage;

use crate::{
    fault::Fault,
    json::{Append, Fields, Items, Object, skip},
    ports::Endpoint,
};
use haithe_billing::capture::TokenUsage;
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub(crate) use answer::{Cost, Document, Form, Identity, Place, usage_object};
pub(crate) use usage::UsageFields;

/// Bytes of generated text kept for counting; what is beyond is estimated at four bytes a token.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// What one event of a stream is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Part of the answer, or something unknown: passed on.
    Part,
    /// Usage and nothing else.
    UsageOnly,
    /// `[DONE]`.
    Done,
    /// The provider's error.
    Fault(Fault),
    /// Not JSON, so nothing that a client could read.
    Garbled,
}

/// The first chunk's identity, for a chunk that Haithe adds to the stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct Head {
    pub id: String,
    pub created: u64,
}

/// Reads an answer as it passes.
#[derive(Default)]
pub(crate) struct Meter {
    hash: Sha256,
    usage: Option<TokenUsage>,
    text: String,
    text_cut: usize,
    /// Something was generated: text, a refusal, reasoning, or a call of a tool.
    produced: bool,
    /// For how many choices the provider said why it stopped.
    finished: u32,
    /// The provider ran out of resources (DeepSeek's way to fail within an answer).
    exhausted: bool,
    /// The answer is a list of vectors, which are no tokens of output.
    vectors: bool,
    /// Usage came by itself, which is the last thing a provider says.
    closed: bool,
    head: Option<Head>,
    /// The first chunk lacked a part of its identity, so the others may.
    unnamed: bool,
}

impl Meter {
    /// For an answer of this kind.
    pub fn of(endpoint: Endpoint) -> Self {
        Self {
            vectors: endpoint == Endpoint::Embeddings,
            ..Self::default()
        }
    }

    /// Takes bytes into the hash, as received.
    pub fn hash(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// The hash of everything received.
    pub fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// What the provider reported, unless it reported nothing although something was generated.
    pub fn usage(&self) -> Option<TokenUsage> {
        let silent = |usage: &TokenUsage| usage.output == 0 && self.produced && !self.vectors;
        self.usage.filter(|usage| !silent(usage))
    }

    /// Whether anything was generated.
    pub const fn produced(&self) -> bool {
        self.produced
    }

    /// Whether the provider said of all `choices` why it stopped, or closed with usage.
    pub const fn finished(&self, choices: u32) -> bool {
        self.finished >= choices || self.closed
    }

    /// Whether anything came that makes this an answer.
    pub const fn answered(&self) -> bool {
        self.produced || (!self.vectors && (self.finished > 0 || self.usage.is_some()))
    }

    /// Whether the provider gave up before it generated anything.
    pub const fn gave_up(&self) -> bool {
        self.exhausted && !self.produced
    }

    /// The generated text, and how many bytes of it were not kept.
    pub fn text(&self) -> (&str, usize) {
        (&self.text, self.text_cut)
    }

    /// The first chunk's identity.
    pub fn head(&self) -> Head {
        self.head.clone().unwrap_or_default()
    }

    /// Whether chunks lack what identifies them, so that each must be looked at.
    pub const fn unnamed(&self) -> bool {
        self.unnamed
    }

    /// Reads the data of an event or a whole answer, and says where its usage stands.
    pub fn read(&mut self, data: &[u8]) -> (Chunk, Place) {
        if data.trim_ascii() == b"[DONE]" {
            return (Chunk::Done, Place::default());
        }
        let head = (self.head.is_none() || self.unnamed).then(Head::default);
        let mut view = View {
            meter: self,
            base: data.as_ptr() as usize,
            head,
            choices: 0,
            usage: None,
            place: Place::default(),
            fault: false,
        };
        let mut json = serde_json::Deserializer::from_slice(data);
        let read = Object(&mut view).deserialize(&mut json);
        let View {
            head,
            choices,
            usage,
            place,
            fault,
            ..
        } = view;
        if !matches!(read, Ok(true)) || json.end().is_err() {
            // Gemini's error is a list of one.
            return (Fault::read(data).map_or(Chunk::Garbled, Chunk::Fault), place);
        }
        if fault {
            return (Fault::read(data).map_or(Chunk::Garbled, Chunk::Fault), place);
        }
        if self.head.is_none() {
            self.unnamed = !place.given.complete();
            self.head = head;
        }
        let closing = usage.is_some() && choices == 0;
        self.usage = usage.or(self.usage);
        self.closed |= closing;
        (if closing { Chunk::UsageOnly } else { Chunk::Part }, place)
    }

    fn keep(&mut self, before: usize) {
        if self.text.len() > before {
            self.produced = true;
        }
        if self.text.len() > MOST_TEXT {
            let cut = (0..=MOST_TEXT)
                .rev()
                .find(|at| self.text.is_char_boundary(*at))
                .unwrap_or(0);
            self.text_cut += self.text.len() - cut;
            self.text.truncate(cut);
        }
    }
}

/// The fields of a chunk or a whole answer that the meter wants.
struct View<'a> {
    meter: &'a mut Meter,
    /// Where the document begins in memory.
    base: usize,
    head: Option<Head>,
    choices: usize,
    usage: Option<TokenUsage>,
    place: Place,
    fault: bool,
}

impl Fields for View<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match (name, &mut self.head) {
            ("choices", _) => {
                let count = map.next_value_seed(Items(&mut ChoiceView(&mut *self.meter)))?;
                self.choices = count.unwrap_or(0);
                Ok(())
            }
            ("usage", _) => {
                let raw: &RawValue = map.next_value()?;
                let mut fields = UsageFields::default();
                // Usage that cannot be read is usage that was not reported.
                let _ = Object(&mut fields).deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
                self.usage = if self.meter.vectors {
                    fields.input_only()
                } else {
                    fields.tokens()
                };
                self.place.note(raw.get(), self.base, fields.has_cost);
                Ok(())
            }
            ("data", _) if self.meter.vectors => {
                let count = map.next_value_seed(Items(&mut Vector))?;
                self.meter.produced |= count.is_some_and(|count| count > 0);
                Ok(())
            }
            ("error", _) => {
                let raw: &RawValue = map.next_value()?;
                self.fault = !crate::json::is_null(raw.get());
                Ok(())
            }
            ("id", Some(head)) => {
                self.place.given.id = true;
                map.next_value_seed(Append(&mut head.id)).map(drop)
            }
            ("object", Some(_)) => {
                self.place.given.object = true;
                skip(map)
            }
            ("model", Some(_)) => {
                self.place.given.model = true;
                skip(map)
            }
            ("created", Some(head)) => {
                self.place.given.created = true;
                head.created = map.next_value_seed(crate::json::Count)?.unwrap_or(0);
                Ok(())
            }
            _ => skip(map),
        }
    }
}

/// A vector, of which nothing is read.
struct Vector;

impl Fields for Vector {
    fn field<'de, A: MapAccess<'de>>(&mut self, _: &str, map: &mut A) -> Result<(), A::Error> {
        skip(map)
    }
}

struct ChoiceView<'a>(&'a mut Meter);

impl Fields for ChoiceView<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "delta" | "message" => map
                .next_value_seed(Object(&mut DeltaView(&mut *self.0)))
                .map(drop),
            "finish_reason" => {
                let reason: &RawValue = map.next_value()?;
                self.0.finished += u32::from(!crate::json::is_null(reason.get()));
                self.0.exhausted |= reason.get() == "\"insufficient_system_resource\"";
                Ok(())
            }
            // Moonshot reports usage within the choice.
            "usage" => {
                let mut fields = UsageFields::default();
                map.next_value_seed(Object(&mut fields))?;
                self.0.usage = fields.tokens().or(self.0.usage);
                Ok(())
            }
            _ => skip(map),
        }
    }
}

struct DeltaView<'a>(&'a mut Meter);

impl Fields for DeltaView<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let before = self.0.text.len();
        match name {
            "content" | "reasoning_content" | "reasoning" | "refusal" => {
                map.next_value_seed(Append(&mut self.0.text))?;
            }
            "tool_calls" => {
                map.next_value_seed(Items(&mut CallView(&mut self.0.text)))?;
            }
            "function_call" => {
                map.next_value_seed(Object(&mut FunctionView(&mut self.0.text)))?;
            }
            _ => return skip(map),
        }
        self.0.keep(before);
        Ok(())
    }
}

struct CallView<'a>(&'a mut String);

impl Fields for CallView<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "function" | "custom" => map
                .next_value_seed(Object(&mut FunctionView(&mut *self.0)))
                .map(drop),
            _ => skip(map),
        }
    }
}

struct FunctionView<'a>(&'a mut String);

impl Fields for FunctionView<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" | "arguments" | "input" => map.next_value_seed(Append(&mut *self.0)).map(drop),
            _ => skip(map),
        }
    }
}

#[cfg(test)]
mod tests;
