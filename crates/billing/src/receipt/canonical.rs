//! Canonical JSON (RFC 8785) of flat data, written directly.
//!
//! A receipt is sealed on the path of every call, so its bytes are written in one pass instead of
//! through a tree that must be sorted first. The rules that remain: the writer of an object names
//! its keys in ascending order, integers above 2⁵³ are texts, and texts are escaped as RFC 8785
//! §3.2.2.2 says. The document's tests compare every byte with an independent implementation.

use std::fmt::{Display, Write};

/// A JSON object being written.
pub(super) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

/// Writes one object; `fields` must name keys in ascending order.
pub(super) fn object(out: &mut String, fields: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fields(&mut Object { out, empty: true });
    out.push('}');
}

impl Object<'_> {
    /// Any text.
    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        quote(self.out, text);
    }

    /// A value whose text needs no escaping (digits, hex, a date), as a JSON string.
    pub(super) fn plain(&mut self, key: &'static str, value: impl Display) {
        self.key(key);
        put(self.out, format_args!("\"{value}\""));
    }

    /// `true`, `false`, `null` or an integer below 2⁵³.
    pub(super) fn literal(&mut self, key: &'static str, value: impl Display) {
        self.key(key);
        put(self.out, format_args!("{value}"));
    }

    /// Bytes as lower-case hex.
    pub(super) fn hex(&mut self, key: &'static str, bytes: &[u8]) {
        self.plain(key, format_args!("{}", hex::encode(bytes)));
    }

    /// An object within.
    pub(super) fn object(&mut self, key: &'static str, fields: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        object(self.out, fields);
    }

    /// A list of objects.
    pub(super) fn objects<T>(&mut self, key: &'static str, items: &[T], each: impl Fn(&T, &mut Object<'_>)) {
        self.key(key);
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            object(self.out, |fields| each(item, fields));
        }
        self.out.push(']');
    }

    fn key(&mut self, key: &'static str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        put(self.out, format_args!("\"{key}\":"));
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => put(out, format_args!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail: its `write_str` has no error to return.
    let _ = out.write_fmt(text);
}
