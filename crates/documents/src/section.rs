//! What the readers of the formats have in common.

use crate::wire::{Excess, Refusal};
use haithe_marketplace::knowledge::ReadLimits;

/// A part of a document that has one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) text: String,
    pub(crate) start: Start,
}

/// Where a section begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// A page of its own.
    Page(u32),
    /// Under a heading.
    Heading(String),
    /// A row of its own.
    Row(u32),
    /// At this line, and as many lines as it has.
    Line(u32),
}

/// Longest heading in a place, in characters. Every piece of a section carries it.
const HEADING_CHARS: usize = 200;

impl Start {
    /// Under these words, as far as a citation needs them.
    pub(crate) fn heading(words: &str) -> Self {
        Self::Heading(words.chars().take(HEADING_CHARS).collect())
    }
}

/// Sections, as long as their text stays within the limit.
pub(crate) struct Sections {
    all: Vec<Section>,
    room: usize,
}

impl Sections {
    pub(crate) fn new(limits: &ReadLimits) -> Self {
        Self {
            all: Vec::new(),
            room: limits.text_bytes,
        }
    }

    /// Adds a section unless it is blank.
    pub(crate) fn push(&mut self, text: String, start: Start) -> Result<(), Refusal> {
        if text.trim().is_empty() {
            return Ok(());
        }
        self.room = self
            .room
            .checked_sub(text.len())
            .ok_or(Refusal::TooLarge(Excess::Text))?;
        self.all.push(Section { text, start });
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Vec<Section>, Refusal> {
        if self.all.is_empty() {
            return Err(Refusal::Empty);
        }
        Ok(self.all)
    }
}
