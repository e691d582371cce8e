//! `promptset`: a JSON array of texts.

use super::{ContentError, is_prose, json, rule};
use std::fmt;

/// Most texts.
const MOST: usize = 256;
/// Most bytes of one.
const MOST_BYTES: usize = 64 << 10;

/// Instructions for the system role, in the creator's order. Prints its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptSet(Vec<String>);

impl PromptSet {
    /// Reads the content.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let texts: Vec<String> = json(bytes)?;
        rule(
            (1..=MOST).contains(&texts.len()),
            "array",
            "must have 1 to 256 texts",
        )?;
        let good = texts.iter().all(|text| is_prose(text, MOST_BYTES));
        rule(
            good,
            "texts",
            "must have 1 to 65,536 bytes and no control characters but line breaks",
        )?;
        Ok(Self(texts))
    }

    /// The texts.
    pub fn texts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Debug for PromptSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PromptSet({} texts)", self.0.len())
    }
}
