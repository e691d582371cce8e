//! Looking for texts that must have left no trace, in every form in which they could have left one.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use std::path::{Path, PathBuf};

/// A random word of letters and digits, which stays as it is when JSON or an address is made of it.
#[derive(Debug, Clone)]
pub struct Marker {
    pub what: &'static str,
    pub word: String,
    forms: Vec<Vec<u8>>,
}

impl Marker {
    /// A fresh one.
    pub fn new(what: &'static str) -> Self {
        let bytes: [u8; 12] = rand::random();
        Self::of(what, &format!("mk{}", hex::encode(bytes)))
    }

    /// This word.
    pub fn of(what: &'static str, word: &str) -> Self {
        let bytes = word.as_bytes();
        let mut forms = vec![
            bytes.to_vec(),
            hex::encode(bytes).into_bytes(),
            hex::encode_upper(bytes).into_bytes(),
            bytes.iter().flat_map(|byte| [*byte, 0]).collect(),
            bytes
                .iter()
                .flat_map(|byte| format!("\\u{byte:04x}").into_bytes())
                .collect(),
            bytes
                .iter()
                .map(|byte| byte.to_string())
                .collect::<Vec<_>>()
                .join(",")
                .into_bytes(),
        ];
        // Wherever the word begins among the groups of three that base64 makes four of.
        for before in 0..3usize {
            let padded = [&[0; 2][..before], bytes].concat();
            for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                let whole = if padded.len() % 3 == 0 {
                    text.len()
                } else {
                    text.len() - 1
                };
                forms.push(text.as_bytes()[(before * 8).div_ceil(6)..whole].to_vec());
            }
        }
        Self {
            what,
            word: word.to_owned(),
            forms,
        }
    }

    /// Whether the bytes have it in any form.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(bytes, form))
    }
}

/// Whether `needle` is somewhere in `bytes`.
fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Every file below the folder, with what is in it.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file of ours");
            found.push((path, bytes));
        }
    }
    found
}

/// Files that this process has open and that have no name any more, where the system shows them.
pub fn nameless_files() -> Vec<Vec<u8>> {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let nameless = open.flatten().filter(|entry| {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        target.starts_with("/") && target.to_string_lossy().ends_with("(deleted)")
    });
    nameless
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .collect()
}

/// Fails when any marker is in the bytes.
pub fn expect_none(markers: &[Marker], place: &str, bytes: &[u8]) {
    for marker in markers {
        assert!(!marker.is_in(bytes), "{} is in {place}", marker.what);
    }
}

#[test]
fn a_marker_is_found_in_every_form_and_place() {
    let marker = Marker::new("a test");
    for before in ["", "a", "ab", "abc", "\u{0}é"] {
        let text = format!("{before}{} and more", marker.word);
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for form in [
            text.clone().into_bytes(),
            serde_json::json!({"a": text}).to_string().into_bytes(),
            hex::encode(&text).into_bytes(),
            hex::encode_upper(&text).into_bytes(),
            STANDARD_NO_PAD.encode(&text).into_bytes(),
            URL_SAFE_NO_PAD.encode(&text).into_bytes(),
            format!("{:?}", text.as_bytes()).replace(' ', "").into_bytes(),
            utf16,
        ] {
            assert!(marker.is_in(&form), "{}", String::from_utf8_lossy(&form));
            let other = Marker::new("another test");
            assert!(!other.is_in(&form));
        }
    }
}
