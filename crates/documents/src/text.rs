//! Text of any encoding, cut at headings in the manner of Markdown.

use crate::{
    section::{Section, Sections, Start},
    wire::Refusal,
};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;
use haithe_marketplace::knowledge::ReadLimits;

/// Bytes by which an encoding is guessed.
const GUESSED_BY: usize = 256 << 10;

pub(crate) fn read(bytes: &[u8], limits: &ReadLimits) -> Result<Vec<Section>, Refusal> {
    let text = decode(bytes, None)?;
    let mut sections = Sections::new(limits);
    let mut part = String::new();
    let mut start = Start::Line(1);
    let mut fenced = false;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && let Some(heading) = heading(line) {
            sections.push(std::mem::take(&mut part), start)?;
            start = Start::heading(heading);
        }
        // A heading of no words ends the one before it.
        if part.is_empty() && matches!(start, Start::Line(_)) {
            start = Start::Line(number);
        }
        part.push_str(line);
    }
    sections.push(part, start)?;
    sections.finish()
}

/// The words of a line such as `## Opening hours`.
fn heading(line: &str) -> Option<&str> {
    let words = line.trim_start_matches('#');
    let level = line.len() - words.len();
    let words = words.strip_prefix([' ', '\t'])?.trim();
    let words = words.trim_end_matches('#').trim_end();
    ((1..=6).contains(&level) && !words.is_empty()).then_some(words)
}

/// Bytes as text: by byte order mark, as UTF-8, by what the document declares, by guess. Line breaks
/// become `\n`; other control characters but tabs are left out.
pub(crate) fn decode(bytes: &[u8], declared: Option<&'static Encoding>) -> Result<String, Refusal> {
    let text = if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        encoding.decode(bytes).0
    } else if let Ok(text) = std::str::from_utf8(bytes) {
        text.into()
    } else {
        let encoding = declared.unwrap_or_else(|| guess(bytes));
        encoding.decode_without_bom_handling(bytes).0
    };
    // What no text has and every picture or program does.
    if text.contains('\0') {
        return Err(Refusal::Malformed);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                clean.push('\n');
            }
            '\n' | '\t' => clean.push(c),
            // Page and line separators of other ages.
            '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    Ok(clean)
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    let head = bytes.get(..GUESSED_BY).unwrap_or(bytes);
    detector.feed(head, head.len() == bytes.len());
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sections(text: &str) -> Vec<(Start, String)> {
        let read = read(text.as_bytes(), &ReadLimits::default()).unwrap();
        read.into_iter()
            .map(|section| (section.start, section.text))
            .collect()
    }

    #[test]
    fn headings_begin_sections_and_code_has_none() {
        let heading = |words: &str| Start::Heading(words.to_owned());
        assert_eq!(
            sections("\nintro\n# One #\na\n```\n# comment\n```\n## Two\r\nb\n#hashtag\n"),
            [
                (Start::Line(1), "\nintro\n".to_owned()),
                (heading("One"), "# One #\na\n```\n# comment\n```\n".to_owned()),
                (heading("Two"), "## Two\nb\n#hashtag\n".to_owned()),
            ]
        );
    }

    #[test]
    fn encodings_are_found_out() {
        let latin = b"Die Stra\xdfe ist f\xfcr Fu\xdfg\xe4nger gesperrt. Caf\xe9 ge\xf6ffnet.";
        assert_eq!(
            decode(latin, None).unwrap(),
            "Die Straße ist für Fußgänger gesperrt. Café geöffnet."
        );
        let utf16: Vec<u8> = "\u{feff}Größe"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(decode(&utf16, None).unwrap(), "Größe");
        let (shift_jis, _, _) =
            encoding_rs::SHIFT_JIS.encode("これは日本語の文章です。営業時間は九時からです。");
        assert_eq!(
            decode(&shift_jis, None).unwrap(),
            "これは日本語の文章です。営業時間は九時からです。"
        );
        assert_eq!(decode("\u{feff}día".as_bytes(), None).unwrap(), "día");
    }

    #[test]
    fn a_program_is_no_text() {
        assert_eq!(
            decode(b"\x7fELF\x02\x01\x01\0\0\0", None),
            Err(Refusal::Malformed)
        );
        assert_eq!(read(b" \r\n\t ", &ReadLimits::default()), Err(Refusal::Empty));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_text_is_lost(text in "[ -~\n#äß漢]{0,300}") {
            if let Ok(read) = read(text.as_bytes(), &ReadLimits::default()) {
                let all: String = read.iter().map(|section| section.text.as_str()).collect();
                let squeeze = |text: &str| text.split_whitespace().collect::<String>();
                prop_assert_eq!(squeeze(&all), squeeze(&text));
            }
        }

        #[test]
        fn any_bytes_are_text_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(text) = decode(&bytes, None) {
                prop_assert!(text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')));
            }
        }
    }
}
