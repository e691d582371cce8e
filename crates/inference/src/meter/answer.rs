//! A whole JSON document of a provider: an answer, or the usage chunk of a stream. Read once; the
//! cost is spliced into its `usage` and every other byte stays.

use super::{Chunk, Meter, UsageFields};
use crate::json::{Fields, Name, Object, skip};
use bytes::Bytes;
use haithe_billing::capture::TokenUsage;
use haithe_kernel::{Decimals, Usdt};
use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, Visitor};
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

/// A document and where its usage stands.
pub(crate) struct Document {
    bytes: Bytes,
    first: usize,
    usage: Option<Range<usize>>,
    has_cost: bool,
}

impl Document {
    /// Reads an answer through the meter.
    ///
    /// # Errors
    /// What it is instead of an answer.
    pub fn read(bytes: Bytes, meter: &mut Meter) -> Result<Self, Chunk> {
        match meter.read_chunk(&bytes) {
            Chunk::Part | Chunk::UsageOnly => Self::open(bytes).ok_or(Chunk::Garbled),
            other => Err(other),
        }
    }

    /// Finds the usage of a document that was read before.
    pub fn open(bytes: Bytes) -> Option<Self> {
        let text = std::str::from_utf8(&bytes).ok()?;
        let mut place = Place {
            base: text.as_ptr() as usize,
            usage: None,
            has_cost: false,
        };
        Object(&mut place)
            .deserialize(&mut serde_json::Deserializer::from_str(text))
            .ok()?;
        let Place { usage, has_cost, .. } = place;
        Some(Self {
            first: text.find('{')? + 1,
            usage,
            has_cost,
            bytes,
        })
    }

    /// The document with the cost in its usage; `tokens` stand in when it has none.
    pub fn with_cost(&self, cost: Cost, tokens: TokenUsage) -> Bytes {
        let raw = self.usage.clone().and_then(|at| self.bytes.get(at));
        let raw = raw.and_then(|raw| std::str::from_utf8(raw).ok());
        let mut new = String::with_capacity(96);
        let at = match (&self.usage, raw.and_then(|raw| raw.strip_suffix('}'))) {
            (Some(at), Some(open)) if !self.has_cost => {
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
                new.push_str("\"usage\":");
                usage_object(tokens, cost, &mut new);
                new.push(',');
                self.first..self.first
            }
        };
        let mut out = Vec::with_capacity(self.bytes.len() + new.len());
        out.extend_from_slice(self.bytes.get(..at.start).unwrap_or_default());
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

struct Place {
    base: usize,
    usage: Option<Range<usize>>,
    has_cost: bool,
}

impl Fields for Place {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name != "usage" {
            return skip(map);
        }
        let raw: &RawValue = map.next_value()?;
        let start = (raw.get().as_ptr() as usize).saturating_sub(self.base);
        self.usage = Some(start..start + raw.get().len());
        let mut fields = UsageFields::default();
        let _ = Object(&mut fields).deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
        self.has_cost = fields.has_cost;
        Ok(())
    }
}
