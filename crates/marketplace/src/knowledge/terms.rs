//! Words to search by, the same for documents and for questions.
//!
//! Compatibility forms, case and accents are folded away. Scripts that put no spaces between words
//! are cut into pairs of characters. What remains is letters, digits and vowel signs, so that no word
//! can mean anything to a search engine's own syntax.

use std::collections::HashSet;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Characters of a word; the rest of a longer one is left out.
const WORD_CHARS: usize = 64;
/// Characters of a question that are read.
const QUESTION_CHARS: usize = 4_000;
/// Different words of a question that are searched.
const QUESTION_WORDS: usize = 48;

/// English words that a question has because it is one, and that say nothing about what is asked.
const STOP_WORDS: &[&str] = &[
    "a", "about", "an", "and", "are", "as", "at", "be", "been", "being", "between", "by", "can", "could",
    "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "here", "his", "how", "i", "if",
    "in", "into", "is", "it", "its", "may", "me", "might", "must", "my", "no", "not", "of", "on", "or",
    "our", "she", "should", "so", "such", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "to", "us", "was", "we", "were", "what", "when", "where", "which", "who",
    "whom", "whose", "why", "will", "with", "would", "you", "your",
];

/// The words of a document in their order, with a space between two.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    each_word(text, |word| {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    });
    folded
}

/// The words of a question: different ones, in their order, at most [`QUESTION_WORDS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms(Vec<String>);

impl Terms {
    /// Reads a question that may be hostile: of any length, in any script.
    pub fn of(question: &str) -> Self {
        let end = question
            .char_indices()
            .nth(QUESTION_CHARS)
            .map_or(question.len(), |(at, _)| at);
        let mut seen = HashSet::new();
        let mut words = Vec::new();
        each_word(question.get(..end).unwrap_or_default(), |word| {
            if !seen.contains(word) {
                seen.insert(word.to_owned());
                words.push(word.to_owned());
            }
        });
        let telling: Vec<String> = words
            .iter()
            .filter(|word| !STOP_WORDS.contains(&word.as_str()))
            .cloned()
            .collect();
        // "Who is who?" is still a question.
        let mut words = if telling.is_empty() { words } else { telling };
        words.truncate(QUESTION_WORDS);
        Self(words)
    }

    /// The words. Each has letters, digits and combining marks only.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Whether there is nothing to search by.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn each_word(text: &str, mut found: impl FnMut(&str)) {
    let mut word = String::new();
    let mut chars = 0;
    // The last character of an unspaced script, and whether it was part of a pair already.
    let mut unspaced: Option<(char, bool)> = None;
    let folded = text
        .nfkd()
        .filter(|c| !is_accent(*c))
        .nfc()
        .flat_map(char::to_lowercase);
    let mut finish = |word: &mut String, chars: &mut usize| {
        if !word.is_empty() {
            found(word);
            word.clear();
        }
        *chars = 0;
    };
    for c in folded {
        if is_unspaced(c) {
            if let Some((before, _)) = unspaced {
                word.push(before);
                word.push(c);
                finish(&mut word, &mut chars);
                unspaced = Some((c, true));
            } else {
                finish(&mut word, &mut chars);
                unspaced = Some((c, false));
            }
            continue;
        }
        if let Some((alone, false)) = unspaced {
            word.push(alone);
            finish(&mut word, &mut chars);
        }
        unspaced = None;
        if c.is_alphanumeric() || (is_combining_mark(c) && !word.is_empty()) {
            if chars < WORD_CHARS {
                word.push(c);
            }
            chars += 1;
        } else {
            finish(&mut word, &mut chars);
        }
    }
    if let Some((alone, false)) = unspaced {
        word.push(alone);
    }
    finish(&mut word, &mut chars);
}

/// Accents of the alphabets in which they do not make another word.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{65f}' | '\u{5b0}'..='\u{5c7}')
}

/// Han, kana, Thai, Lao, Myanmar and Khmer.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3134f}' | '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
        && (c.is_alphanumeric() || is_combining_mark(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_accents_and_widths_do_not_matter() {
        assert_eq!(
            fold("Café  CRÈME, Straße ﬁne Ｗｉｄｅ x²"),
            "cafe creme straße fine wide x2"
        );
        assert_eq!(Terms::of("Ünïcödé?").words(), ["unicode"]);
    }

    #[test]
    fn scripts_without_spaces_become_pairs() {
        assert_eq!(fold("知识库 v2 水"), "知识 识库 v2 水");
        assert_eq!(
            Terms::of("什么是知识库？").words(),
            ["什么", "么是", "是知", "知识", "识库"]
        );
    }

    #[test]
    fn vowel_signs_stay_in_their_word() {
        assert_eq!(fold("हिन्दी भाषा"), "हिन्दी भाषा");
    }

    #[test]
    fn the_syntax_of_a_search_engine_is_not_a_word() {
        let terms = Terms::of("NEAR(\"a\" b) OR c* NOT -d ^e {f}: \"; DROP TABLE x; --");
        assert!(
            terms
                .words()
                .iter()
                .all(|word| word.chars().all(char::is_alphanumeric))
        );
    }

    #[test]
    fn a_question_of_only_small_words_is_still_one() {
        assert_eq!(Terms::of("Who is who?").words(), ["who", "is"]);
        assert_eq!(
            Terms::of("Who is the keeper of the lamp?").words(),
            ["keeper", "lamp"]
        );
        assert!(Terms::of("?!\u{0}\u{202e}").is_empty());
    }

    proptest! {
        #[test]
        fn any_question_is_bounded(question in any::<String>(), times in 1_usize..2_000) {
            let terms = Terms::of(&question.repeat(times));
            prop_assert!(terms.words().len() <= QUESTION_WORDS);
            for word in terms.words() {
                prop_assert!(word.chars().count() <= WORD_CHARS + 1);
                prop_assert!(word.chars().all(|c| c.is_alphanumeric() || is_combining_mark(c)));
            }
        }

        #[test]
        fn folding_twice_changes_nothing(text in "[a-zA-Zéüß0-9 ,.-]{0,200}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
