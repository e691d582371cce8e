//! An address with gaps in its path.

use crate::content::{ContentError, callable, rule};
use std::collections::BTreeSet;
use url::Url;

/// `https://host/a/{b}/c?d=e`: what stands in the gaps cannot leave its segment.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Gap(String),
}

/// What was filled in makes another address than the template's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escaped;

const FORM: &str = "must be an http or https address with {name} in its path only";

impl Template {
    /// Reads the address as a creator wrote it.
    pub(super) fn parse(text: &str) -> Result<Self, ContentError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let gap = after.split_once('}');
            let Some((name, after)) = gap.filter(|(name, _)| !name.is_empty() && !name.contains('{')) else {
                return rule(false, "url", FORM).map(|()| Self(Vec::new()));
            };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Gap(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let template = Self(pieces);
        rule(!rest.contains('}') && template.is_sound(), "url", FORM)?;
        Ok(template)
    }

    /// Whether the gaps lie in the path: they change it and nothing else.
    fn is_sound(&self) -> bool {
        let text = |word: &str| self.text(|_| Some(word.to_owned())).unwrap_or_default();
        let fill = |word: &str| callable(&text(word)).filter(|_| !climbs(&text(word)));
        let (Some(mut one), Some(mut other)) = (fill("x"), fill("yy")) else {
            return false;
        };
        let gaps = self.names().len();
        let differ = one.path() != other.path();
        let segments = |url: &Url| url.path_segments().map(Iterator::count);
        if segments(&one) != segments(&other) || differ != (gaps > 0) {
            return false;
        }
        one.set_path("");
        other.set_path("");
        one == other
    }

    /// The names of the gaps.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.0
            .iter()
            .filter_map(|piece| match piece {
                Piece::Gap(name) => Some(name.as_str()),
                Piece::Text(_) => None,
            })
            .collect()
    }

    /// The address with these values, each percent-encoded into its place.
    pub(super) fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Result<Url, Escaped> {
        let text = self.text(|name| value(name).map(encoded)).ok_or(Escaped)?;
        let template = self.text(|_| Some("x".to_owned())).ok_or(Escaped)?;
        let (url, template) = (callable_now(&text)?, callable_now(&template)?);
        let segments = |url: &Url| url.path_segments().map(Iterator::count);
        let kept = !climbs(&text)
            && url.origin() == template.origin()
            && url.query() == template.query()
            && segments(&url) == segments(&template);
        if kept { Ok(url) } else { Err(Escaped) }
    }

    fn text(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Gap(name) => text.push_str(&value(name)?),
            }
        }
        Some(text)
    }
}

/// Whether a segment of the path is `.` or `..`, which would leave its place.
fn climbs(text: &str) -> bool {
    let path = text.split('?').next().unwrap_or_default();
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn callable_now(text: &str) -> Result<Url, Escaped> {
    Url::parse(text).map_err(|_| Escaped)
}

/// RFC 3986 §2.3: everything but unreserved characters is encoded.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
