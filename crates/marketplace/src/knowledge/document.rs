//! What is read out of a document: pieces short enough to be quoted, each with its place.

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// How the bytes of a document are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text in any encoding; headings in the manner of Markdown are understood.
    Text,
    /// A web page.
    Html,
    /// A PDF.
    Pdf,
    /// A table whose first row names the columns.
    Csv,
}

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[Self::Text, Self::Html, Self::Pdf, Self::Csv];

    /// One lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in a document a piece stands. Numbers begin at 1; ranges include both ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// On this page.
    Page(u32),
    /// Under this heading. The words are the document's own: untrusted.
    Heading(String),
    /// In these rows, as a spreadsheet counts them: the names of the columns are row 1.
    Rows(u32, u32),
    /// In these lines.
    Lines(u32, u32),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(page) => write!(f, "page {page}"),
            Self::Heading(heading) => write!(f, "“{heading}”"),
            Self::Rows(first, last) if first == last => write!(f, "row {first}"),
            Self::Rows(first, last) => write!(f, "rows {first}–{last}"),
            Self::Lines(first, last) if first == last => write!(f, "line {first}"),
            Self::Lines(first, last) => write!(f, "lines {first}–{last}"),
        }
    }
}

/// A piece of a document. Neighbours may overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The words.
    pub text: String,
    /// Where they stand.
    pub place: Place,
}

/// What reading one document may cost. Whatever exceeds a limit is refused, never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadLimits {
    /// Bytes of the document.
    pub bytes: usize,
    /// Bytes of the text in it.
    pub text_bytes: usize,
    /// Pages of a PDF.
    pub pages: u32,
    /// Rows of a table, the names of the columns among them.
    pub rows: u32,
    /// Columns of a table.
    pub columns: usize,
    /// Pieces.
    pub chunks: usize,
    /// Longest piece, in characters.
    pub chunk_chars: usize,
    /// Characters that a piece may repeat from the one before it.
    pub overlap_chars: usize,
    /// Address space for reading.
    pub memory_bytes: u64,
    /// Time for reading, on the processor and on the wall.
    pub within: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            text_bytes: 8 << 20,
            pages: 2_000,
            rows: 100_000,
            columns: 1_000,
            chunks: 50_000,
            chunk_chars: 1_000,
            overlap_chars: 120,
            memory_bytes: 1 << 30,
            within: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_a_citation() {
        assert_eq!(Place::Page(3).to_string(), "page 3");
        assert_eq!(
            Place::Heading("Opening hours".into()).to_string(),
            "“Opening hours”"
        );
        assert_eq!(Place::Rows(2, 40).to_string(), "rows 2–40");
        assert_eq!(Place::Lines(7, 7).to_string(), "line 7");
    }
}
