//! The upstream request: the caller's bytes with a few values replaced.

use super::{ChatRequest, Field, OutputLimit};
use crate::{
    catalogue::{Model, OutputField},
    error::CompletionError,
    json::Name,
};
use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, ops::Range};

/// `new` takes the place of the bytes in `at`.
pub(super) struct Edit<'a> {
    at: Range<usize>,
    new: Cow<'a, str>,
}

/// Applies what `model` and the bound need; the same bytes when that is nothing.
pub(super) fn for_upstream(request: &ChatRequest, model: &Model, max_output: u64) -> Bytes {
    let mut edits = Vec::with_capacity(4);
    edits.extend(name_model(request.model.as_ref(), request.first, model));
    bound_output(request, model.output_field, max_output, &mut edits);
    if request.stream && !request.include_usage {
        ask_for_usage(request, &mut edits);
    }
    apply(&request.body, edits)
}

/// The provider's name for the model, unless that is what `named` says; `first` is where a field goes
/// that was not there.
pub(super) fn name_model(
    named: Option<&(Field, Option<String>)>,
    first: usize,
    model: &Model,
) -> Option<Edit<'static>> {
    match named {
        Some((_, Some(name))) if *name == model.upstream_name => None,
        Some((field, _)) => Some(Edit {
            at: field.value.clone(),
            new: format!("\"{}\"", model.upstream_name).into(),
        }),
        None => Some(Edit {
            at: first..first,
            new: format!("\"model\":\"{}\",", model.upstream_name).into(),
        }),
    }
}

/// A field put in front of all others.
fn insert<'a>(request: &ChatRequest, field: String) -> Edit<'a> {
    Edit {
        at: request.first..request.first,
        new: field.into(),
    }
}

/// Sees to it that the field which the provider obeys carries the bound.
fn bound_output(request: &ChatRequest, obeyed: OutputField, most: u64, edits: &mut Vec<Edit<'_>>) {
    let other = match obeyed {
        OutputField::MaxTokens => OutputField::MaxCompletionTokens,
        OutputField::MaxCompletionTokens => OutputField::MaxTokens,
    };
    let mut lower = |limit: &OutputLimit| {
        if limit.tokens.is_none_or(|tokens| tokens > most) {
            edits.push(Edit {
                at: limit.field.value.clone(),
                new: most.to_string().into(),
            });
        }
    };
    match (request.limit(obeyed), request.limit(other)) {
        (Some(limit), also) => {
            lower(limit);
            also.filter(|also| also.tokens.is_some()).map(lower);
        }
        (None, Some(limit)) => {
            lower(limit);
            edits.push(Edit {
                at: limit.field.name.clone(),
                new: format!("\"{}\"", obeyed.as_str()).into(),
            });
        }
        (None, None) => edits.push(insert(request, format!("\"{}\":{most},", obeyed.as_str()))),
    }
}

/// `stream_options.include_usage` is always asked of the provider.
fn ask_for_usage(request: &ChatRequest, edits: &mut Vec<Edit<'_>>) {
    const ASKED: &str = "\"include_usage\":true";
    let Some(field) = &request.stream_options else {
        edits.push(insert(request, format!("\"stream_options\":{{{ASKED}}},")));
        return;
    };
    let raw = request.body.get(field.value.clone()).unwrap_or_default();
    let options = std::str::from_utf8(raw).ok().and_then(|raw| options(raw).ok());
    let edit = match options {
        Some(Options { usage: Some(at), .. }) => Edit {
            at: field.value.start + at.start..field.value.start + at.end,
            new: "true".into(),
        },
        Some(Options { fields: 1.., .. }) => Edit {
            at: field.value.start + 1..field.value.start + 1,
            new: format!("{ASKED},").into(),
        },
        _ => Edit {
            at: field.value.clone(),
            new: format!("{{{ASKED}}}").into(),
        },
    };
    edits.push(edit);
}

/// What `stream_options` says.
#[derive(Default)]
struct Options {
    fields: usize,
    /// Where the value of `include_usage` stands.
    usage: Option<Range<usize>>,
    asked: bool,
}

/// Whether `stream_options` asks for usage.
pub(super) fn include_usage(raw: &str) -> Result<bool, CompletionError> {
    options(raw).map(|options| options.asked).map_err(|_| {
        CompletionError::invalid(
            "stream_options",
            "stream_options must be an object whose include_usage is true or false",
        )
    })
}

fn options(raw: &str) -> Result<Options, serde_json::Error> {
    struct Reader<'a>(&'a str);
    impl<'de> Visitor<'de> for Reader<'_> {
        type Value = Options;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
            let mut options = Options::default();
            while let Some(Name(name)) = map.next_key()? {
                let value: &RawValue = map.next_value()?;
                options.fields += 1;
                if name != "include_usage" {
                    continue;
                }
                if options.usage.is_some() {
                    return Err(serde::de::Error::custom("duplicate field"));
                }
                let asked: Option<bool> =
                    serde_json::from_str(value.get()).map_err(serde::de::Error::custom)?;
                let start = (value.get().as_ptr() as usize).saturating_sub(self.0.as_ptr() as usize);
                options.usage = Some(start..start + value.get().len());
                options.asked = asked.unwrap_or(false);
            }
            Ok(options)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(Reader(raw))
}

/// One copy of the body, with the edits in their places.
pub(super) fn apply(body: &Bytes, mut edits: Vec<Edit<'_>>) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    edits.sort_by_key(|edit| edit.at.start);
    let added: usize = edits.iter().map(|edit| edit.new.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut from = 0;
    for edit in &edits {
        out.extend_from_slice(body.get(from..edit.at.start).unwrap_or_default());
        out.extend_from_slice(edit.new.as_bytes());
        from = edit.at.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    Bytes::from(out)
}
