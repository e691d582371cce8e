//! Cuts a text at the best place there is: between paragraphs, lines, sentences, words.
//!
//! Each piece is looked for within its own length of text, so that the time grows with the text and
//! not with its square, whatever the text is like.

use unicode_segmentation::UnicodeSegmentation;

/// Cuts texts.
pub(super) struct Splitter {
    most: usize,
    overlap: usize,
}

impl Splitter {
    /// Pieces of at most `most` characters, which repeat at most `overlap` of the one before, and at
    /// most half of `most`: each piece must get on.
    pub(super) fn new(most: usize, overlap: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            overlap: overlap.min(most / 2),
        }
    }

    /// The pieces without the blanks around them, and where they begin; none that is blank.
    pub(super) fn pieces<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> + 'a {
        let mut start = 0;
        let mut covered = 0;
        let all = std::iter::from_fn(move || {
            let rest = text.get(start..).filter(|_| covered < text.len())?;
            let length = self.length(rest);
            let (at, piece) = (start, rest.get(..length)?);
            covered = start + length;
            start = covered - self.repeated(piece);
            Some((at, piece))
        });
        let trimmed = all.map(|(at, piece)| (at + piece.len() - piece.trim_start().len(), piece.trim()));
        let mut told = 0;
        // What is left of a piece may be what it repeats.
        trimmed.filter(move |(at, piece)| {
            let end = at + piece.len();
            let new = !piece.is_empty() && end > told;
            told = told.max(end);
            new
        })
    }

    /// Bytes of the next piece: more than half of the characters allowed, unless nothing is left.
    fn length(&self, rest: &str) -> usize {
        let Some(end) = after(rest, self.most) else {
            return rest.len();
        };
        let window = rest.get(..end).unwrap_or(rest);
        let least = after(rest, self.most / 2).unwrap_or(end);
        let good = |at: &usize| *at > least;
        let paragraph = || window.rfind("\n\n").map(|at| at + 2).filter(good);
        let line = || window.rfind('\n').map(|at| at + 1).filter(good);
        let sentence = || {
            window
                .split_sentence_bound_indices()
                .map(|(at, _)| at)
                .last()
                .filter(good)
        };
        let word = || {
            window
                .split_word_bound_indices()
                .map(|(at, _)| at)
                .next_back()
                .filter(good)
        };
        paragraph()
            .or_else(line)
            .or_else(sentence)
            .or_else(word)
            .unwrap_or(end)
    }

    /// Bytes at the end of a piece that the next one repeats: whole sentences, or else whole words.
    fn repeated(&self, piece: &str) -> usize {
        let skipped = piece.chars().count().saturating_sub(self.overlap);
        let Some(from) = after(piece, skipped) else {
            return 0;
        };
        let sentence = piece.split_sentence_bound_indices().find(|(at, _)| *at >= from);
        let begin = sentence.or_else(|| piece.split_word_bound_indices().find(|(at, _)| *at >= from));
        begin.map_or(0, |(at, _)| piece.len() - at)
    }
}

/// The byte after `count` characters; `None` when there are not more than that.
fn after(text: &str, count: usize) -> Option<usize> {
    text.char_indices().nth(count).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, most: usize, overlap: usize) -> Vec<String> {
        let splitter = Splitter::new(most, overlap);
        splitter.pieces(text).map(|(_, piece)| piece.to_owned()).collect()
    }

    #[test]
    fn the_best_boundary_wins() {
        assert_eq!(
            pieces("One two three.\n\nFour five. Six.", 24, 0),
            ["One two three.", "Four five. Six."]
        );
        assert_eq!(
            pieces("One two three. Four five six.", 20, 0),
            ["One two three.", "Four five six."]
        );
        assert_eq!(pieces("alpha beta gamma", 12, 0), ["alpha beta", "gamma"]);
        assert_eq!(pieces("abcdefghij", 4, 0), ["abcd", "efgh", "ij"]);
        assert_eq!(pieces("  \n\n ", 4, 2), Vec::<String>::new());
    }

    #[test]
    fn whole_sentences_or_words_are_repeated() {
        assert_eq!(
            pieces(
                "A long beginning of it. Short one. Then the rest follows.",
                36,
                14
            ),
            [
                "A long beginning of it. Short one.",
                "Short one. Then the rest follows."
            ]
        );
        assert_eq!(
            pieces("alpha beta gamma delta", 12, 6),
            ["alpha beta", "beta gamma", "gamma delta"]
        );
    }
}
