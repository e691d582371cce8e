//! A whole JSON document of a provider: an answer, or the usage chunk of a stream. Read once; the
//! cost is spliced into its `usage`, what every client expects is added where it lacks, and every
//! other byte stays.

use super::{Chunk, Meter};
use crate::json::Name;
use bytes::Bytes;
use haithe_billing::capture::TokenUsage;
use haithe_kernel::{CallId, Decimals, Usdt};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{fmt, fmt::Write as _, ops::Range};

/// What the caller is told about money: integers in the payment token's base units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// What this call was charged.
    pub charged: Usdt,
    /// What the organization had spent before it.
    pub spent_before: Usdt,
    /// The payment token's decimals.
    pub decimals: Decimals,
}

impl Cost {
    /// `"total_cost":…,"expense_till_now":…`
    fn write(self, out: &mut String) {
        let cost = self.charged.to_wire(self.decimals);
        let before = self.spent_before.to_wire(self.decimals);
        // Writing to a String cannot fail.
        let _ = write!(out, "\"total_cost\":{cost},\"expense_till_now\":{before}");
    }
}

/// Where a document's usage stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    usage: Option<Range<usize>>,
    /// The usage already says what the call cost.
    has_cost: bool,
    /// Of the fields that identify an answer, those that are there.
    pub given: Given,
}

/// Fields that identify an answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub id: bool,
    pub object: bool,
    pub created: bool,
    pub model: bool,
}

impl Given {
    /// Whether nothing lacks.
    pub const fn complete(self) -> bool {
        self.id && self.object && self.created && self.model
    }
}

/// What a document is, as its `object` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A whole completion.
    Completion,
    /// An event of a stream.
    Chunk,
    /// Vectors, which have neither id nor time.
    Vectors,
}

impl Form {
    const fn object(self) -> &'static str {
        match self {
            Self::Completion => "chat.completion",
            Self::Chunk => "chat.completion.chunk",
            Self::Vectors => "list",
        }
    }
}

/// What stands in for them where a provider leaves them out: typed clients insist on some.
pub(crate) struct Identity<'a> {
    pub form: Form,
    pub call: CallId,
    /// The id of what came before in the same answer; empty where nothing did.
    pub id: &'a str,
    /// Unix seconds.
    pub created: i64,
    pub model: &'a str,
}

impl Identity<'_> {
    /// The id as JSON.
    pub fn quoted_id(&self) -> String {
        match self.id {
            "" => format!("\"chatcmpl-{}\"", self.call),
            id => serde_json::to_string(id).unwrap_or_default(),
        }
    }

    /// The fields that lack, each with a comma behind it.
    fn lacking(&self, given: Given) -> String {
        let mut front = String::new();
        // Writing to a String cannot fail.
        let chat = self.form != Form::Vectors;
        if !given.id && chat {
            let _ = write!(front, "\"id\":{},", self.quoted_id());
        }
        if !given.object {
            let _ = write!(front, "\"object\":\"{}\",", self.form.object());
        }
        if !given.created && chat {
            let _ = write!(front, "\"created\":{},", self.created);
        }
        if !given.model {
            let _ = write!(front, "\"model\":\"{}\",", self.model);
        }
        front
    }
}

impl Place {
    /// Notes that usage is `raw`, which is part of a document that begins at the address `base`.
    pub fn note(&mut self, raw: &str, base: usize, has_cost: bool) {
        let start = (raw.as_ptr() as usize).saturating_sub(base);
        self.usage = Some(start..start + raw.len());
        self.has_cost = has_cost;
    }
}

/// A document and where its usage stands.
pub(crate) struct Document {
    bytes: Bytes,
    place: Place,
}

impl Document {
    /// Reads an answer, or a chunk of one, through the meter.
    ///
    /// # Errors
    /// What it is instead.
    pub fn read(bytes: Bytes, meter: &mut Meter) -> Result<Self, Chunk> {
        match meter.read(&bytes) {
            (Chunk::Part | Chunk::UsageOnly, place) => Ok(Self { bytes, place }),
            (other, _) => Err(other),
        }
    }

    /// As it came.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A document that the meter has read, with what it said of the usage's place.
    pub const fn placed(bytes: Bytes, place: Place) -> Self {
        Self { bytes, place }
    }

    /// The document with the cost in its usage; `tokens` stand in when it has none.
    pub fn with_cost(&self, cost: Cost, tokens: TokenUsage) -> Bytes {
        self.spliced(cost, tokens, String::new())
    }

    /// The same, and with what it lacks of its identity.
    pub fn identified(&self, cost: Cost, tokens: TokenUsage, identity: &Identity<'_>) -> Bytes {
        self.spliced(cost, tokens, identity.lacking(self.place.given))
    }

    /// The document with what it lacks of its identity and nothing else, on one line: an event's data.
    pub fn named(&self, identity: &Identity<'_>) -> Bytes {
        let front = identity.lacking(self.place.given);
        let brace = self.bytes.iter().position(|byte| *byte == b'{');
        let first = brace.map_or(0, |at| at + 1);
        let mut out = Vec::with_capacity(self.bytes.len() + front.len());
        out.extend_from_slice(self.bytes.get(..first).unwrap_or_default());
        out.extend_from_slice(front.as_bytes());
        out.extend_from_slice(self.bytes.get(first..).unwrap_or_default());
        // Within JSON, a line ending is white space.
        for byte in out.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        Bytes::from(out)
    }

    /// With the cost in its usage and `front` before all other fields.
    fn spliced(&self, cost: Cost, tokens: TokenUsage, mut front: String) -> Bytes {
        let raw = self.place.usage.clone().and_then(|at| self.bytes.get(at));
        let raw = raw.and_then(|raw| std::str::from_utf8(raw).ok());
        let mut new = String::with_capacity(96);
        let at = match (&self.place.usage, raw.and_then(|raw| raw.strip_suffix('}'))) {
            (Some(at), Some(open)) if !self.place.has_cost => {
                if open.trim_end() != "{" {
                    new.push(',');
                }
                cost.write(&mut new);
                at.end - 1..at.end - 1
            }
            (Some(at), Some(_)) => {
                rewrite(raw.unwrap_or_default(), cost, &mut new);
                at.clone()
            }
            (Some(at), None) => {
                usage_object(tokens, cost, &mut new);
                at.clone()
            }
            (None, _) => {
                front.push_str("\"usage\":");
                usage_object(tokens, cost, &mut front);
                front.push(',');
                self.bytes.len()..self.bytes.len()
            }
        };
        let brace = self.bytes.iter().position(|byte| *byte == b'{');
        let first = brace.map_or(0, |at| at + 1);
        let mut out = Vec::with_capacity(self.bytes.len() + front.len() + new.len());
        out.extend_from_slice(self.bytes.get(..first).unwrap_or_default());
        out.extend_from_slice(front.as_bytes());
        out.extend_from_slice(self.bytes.get(first..at.start).unwrap_or_default());
        out.extend_from_slice(new.as_bytes());
        out.extend_from_slice(self.bytes.get(at.end..).unwrap_or_default());
        Bytes::from(out)
    }
}

/// `usage` as Haithe says it.
pub(crate) fn usage_object(tokens: TokenUsage, cost: Cost, out: &mut String) {
    let total = tokens.input.saturating_add(tokens.output);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{total},\"prompt_tokens_details\":{{\"cached_tokens\":{}}},\"completion_tokens_details\":{{\"reasoning_tokens\":{}}},",
        tokens.input, tokens.output, tokens.cached, tokens.reasoning
    );
    cost.write(out);
    out.push('}');
}

/// The usage object without what it says about cost, and then ours.
fn rewrite(raw: &str, cost: Cost, out: &mut String) {
    struct Reader<'a>(&'a mut String);
    impl<'de> Visitor<'de> for Reader<'_> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(Name(name)) = map.next_key()? {
                let value: &RawValue = map.next_value()?;
                if !matches!(name.as_ref(), "total_cost" | "expense_till_now") {
                    let name = serde_json::to_string(&name).unwrap_or_default();
                    let _ = write!(self.0, "{name}:{},", value.get());
                }
            }
            Ok(())
        }
    }
    out.push('{');
    // It parsed before; what was written up to an oddity is kept.
    let _ = serde_json::Deserializer::from_str(raw).deserialize_map(Reader(&mut *out));
    cost.write(out);
    out.push('}');
}
