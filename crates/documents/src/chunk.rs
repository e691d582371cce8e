//! Cuts sections into pieces that know their place.

mod split;

use crate::section::{Section, Start};
use haithe_marketplace::knowledge::{Chunk, Place, ReadLimits};
use split::Splitter;

/// The pieces of all sections, in order. Rows are packed whole into pieces as far as they fit; a
/// piece of anything else may repeat the end of the one before it.
pub(crate) fn chunks(sections: &[Section], limits: &ReadLimits) -> Vec<Chunk> {
    let most = limits.chunk_chars.max(1);
    let splitter = Splitter::new(most, limits.overlap_chars);
    let mut found = Vec::new();
    let mut rows = Rows::new(most);
    for section in sections {
        let text = section.text.as_str();
        match &section.start {
            Start::Row(row) => rows.add(*row, text, &mut found),
            Start::Page(page) => cut(text, &splitter, &mut found, |_, _| Place::Page(*page)),
            Start::Heading(heading) => cut(text, &splitter, &mut found, |_, _| {
                Place::Heading(heading.clone())
            }),
            Start::Line(first) => {
                let mut counted = (0, *first);
                cut(text, &splitter, &mut found, |from, to| {
                    let begin = line_at(text, counted, from);
                    counted = (from, begin);
                    Place::Lines(begin, line_at(text, counted, to))
                });
            }
        }
    }
    rows.finish(&mut found);
    found
}

/// The line of the byte `at`, counted on from a byte whose line is known.
fn line_at(text: &str, (from, line): (usize, u32), at: usize) -> u32 {
    let between = text.as_bytes().get(from..at).unwrap_or_default();
    let breaks = between.iter().filter(|byte| **byte == b'\n').count();
    line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX))
}

/// Cuts one text; `place` is asked for the place of what stands between two bytes.
fn cut(
    text: &str,
    splitter: &Splitter,
    found: &mut Vec<Chunk>,
    mut place: impl FnMut(usize, usize) -> Place,
) {
    for (at, piece) in splitter.pieces(text) {
        found.push(Chunk {
            text: piece.to_owned(),
            place: place(at, at + piece.len()),
        });
    }
}

/// Rows that wait for a piece to be full.
struct Rows {
    most: usize,
    text: String,
    chars: usize,
    range: Option<(u32, u32)>,
}

impl Rows {
    fn new(most: usize) -> Self {
        Self {
            most,
            text: String::new(),
            chars: 0,
            range: None,
        }
    }

    fn add(&mut self, row: u32, text: &str, found: &mut Vec<Chunk>) {
        let chars = text.chars().count();
        if self.range.is_some() && self.chars + 1 + chars > self.most {
            self.finish(found);
        }
        if chars > self.most {
            cut(text, &Splitter::new(self.most, 0), found, |_, _| {
                Place::Rows(row, row)
            });
            return;
        }
        let first = match self.range {
            Some((first, _)) => {
                self.text.push('\n');
                self.chars += 1;
                first
            }
            None => row,
        };
        self.text.push_str(text);
        self.chars += chars;
        self.range = Some((first, row));
    }

    fn finish(&mut self, found: &mut Vec<Chunk>) {
        if let Some((first, last)) = self.range.take() {
            found.push(Chunk {
                text: std::mem::take(&mut self.text),
                place: Place::Rows(first, last),
            });
        }
        self.chars = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(chunk_chars: usize, overlap_chars: usize) -> ReadLimits {
        ReadLimits {
            chunk_chars,
            overlap_chars,
            ..ReadLimits::default()
        }
    }

    fn section(text: &str, start: Start) -> Section {
        Section {
            text: text.to_owned(),
            start,
        }
    }

    #[test]
    fn a_short_section_is_one_piece_with_its_place() {
        let found = chunks(&[section(" One. \n", Start::Page(4))], &limits(100, 10));
        let expected = Chunk {
            text: "One.".to_owned(),
            place: Place::Page(4),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn lines_are_counted() {
        let found = chunks(
            &[section("aaaa aaaa\n\nbbbb bbbb\ncccc cccc", Start::Line(1))],
            &limits(20, 0),
        );
        let places: Vec<_> = found
            .iter()
            .map(|chunk| (chunk.text.as_str(), &chunk.place))
            .collect();
        assert_eq!(
            places,
            [
                ("aaaa aaaa", &Place::Lines(1, 1)),
                ("bbbb bbbb\ncccc cccc", &Place::Lines(3, 4))
            ]
        );
    }

    #[test]
    fn rows_are_packed_whole_and_long_ones_cut() {
        let rows = [
            section("a: 1", Start::Row(2)),
            section("a: 2", Start::Row(3)),
            section("a: 3333333", Start::Row(4)),
            section("long words of one row", Start::Row(5)),
        ];
        let found = chunks(&rows, &limits(12, 4));
        let pieces: Vec<_> = found
            .iter()
            .map(|c| (c.text.as_str(), c.place.to_string()))
            .collect();
        assert_eq!(
            pieces,
            [
                ("a: 1\na: 2", "rows 2–3".to_owned()),
                ("a: 3333333", "row 4".to_owned()),
                ("long words", "row 5".to_owned()),
                ("of one row", "row 5".to_owned()),
            ]
        );
    }

    proptest! {
        #[test]
        fn pieces_cover_the_text_and_are_bounded(
            text in "([a-zäöü漢字🦀]{1,12}[ .!?\n]{1,3}){0,80}",
            most in 1_usize..60,
            overlap in 0_usize..80,
        ) {
            let splitter = Splitter::new(most, overlap);
            let mut covered = 0;
            for (at, piece) in splitter.pieces(&text) {
                prop_assert!(piece.chars().count() <= most);
                prop_assert_eq!(text.get(at..at + piece.len()), Some(piece));
                let gap = text.get(covered..at).unwrap_or_default();
                prop_assert!(gap.trim().is_empty(), "{gap:?} is missing");
                prop_assert!(at + piece.len() > covered, "nothing new");
                covered = at + piece.len();
            }
            prop_assert!(text.get(covered..).unwrap().trim().is_empty(), "the end is missing");
            let sections = [section(&text, Start::Line(1)), section(&text, Start::Row(2))];
            let limits = limits(most, overlap);
            prop_assert_eq!(chunks(&sections, &limits), chunks(&sections, &limits));
        }
    }
}
