//! PDFs, page by page.

use crate::{
    section::{Section, Sections, Start},
    wire::{Excess, Refusal},
};
use haithe_marketplace::knowledge::ReadLimits;
use pdf_extract::{Document, PlainTextOutput, output_doc_page};

/// Reads a PDF. The library panics on many malformed files and believes what a file says of its own
/// size: only for the child.
pub(crate) fn read(bytes: &[u8], limits: &ReadLimits) -> Result<Vec<Section>, Refusal> {
    let mut document = Document::load_mem(bytes).map_err(|_| Refusal::Malformed)?;
    // Many files are encrypted for nobody: their password is empty.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(Refusal::Protected);
    }
    let pages = document.get_pages();
    if u32::try_from(pages.len()).unwrap_or(u32::MAX) > limits.pages {
        return Err(Refusal::TooLarge(Excess::Pages));
    }
    let mut sections = Sections::new(limits);
    for page in pages.keys() {
        let mut text = String::new();
        output_doc_page(&document, &mut PlainTextOutput::new(&mut text), *page)
            .map_err(|_| Refusal::Malformed)?;
        sections.push(tidy(&text), Start::Page(*page))?;
    }
    sections.finish()
}

/// Joins words that a line break hyphenated, and leaves out what is no text.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.lines() {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        let line = line.trim();
        let hyphenated = tidy
            .strip_suffix("-\n")
            .is_some_and(|before| before.ends_with(char::is_alphabetic))
            && line.starts_with(char::is_lowercase);
        if hyphenated {
            tidy.truncate(tidy.len().saturating_sub(2));
        }
        tidy.push_str(line);
        tidy.push('\n');
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphenated_words_are_joined() {
        assert_eq!(
            tidy("a know-\nledge base\nX-\nRay, well-\n\nend"),
            "a knowledge base\nX-\nRay, well-\n\nend\n"
        );
    }

    #[test]
    fn what_is_no_pdf_is_refused() {
        for bytes in [
            &b""[..],
            b"%PDF-1.7",
            b"%PDF-1.7\ntrailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF",
        ] {
            assert_eq!(read(bytes, &ReadLimits::default()), Err(Refusal::Malformed));
        }
    }
}
