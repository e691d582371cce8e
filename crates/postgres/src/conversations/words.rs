//! Words of texts and searches, in the one form that finds both.
//!
//! A word is a run of letters and digits, in lower case, without accents. PostgreSQL's own parsers are not used:
//! they depend on the server's configuration, keep accents (removing them takes an extension), and split at
//! other places than SQLite's. The database stores each word as the lexeme `<owner>/<word>`; no word contains `/`.

use haithe_inference::conversations::SearchQuery;
use std::collections::BTreeMap;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Characters of a word that count; longer words are found by their beginning.
const LONGEST: usize = 64;
/// Bytes of a text's lexemes; words that come later are not found. The largest `TSVECTOR` has 1 MiB.
const MOST_BYTES: usize = 786_432;
/// What the owner's number and the lengths take at most, and what a place takes.
const BYTES_PER_WORD: usize = 24;
const BYTES_PER_PLACE: usize = 2;
/// Places of a word in a text that count for its weight.
const MOST_PLACES: usize = 8;
/// The largest place that a `TSVECTOR` can hold.
const LAST_PLACE: usize = 16_383;

/// The words of a text, in order.
fn words(text: &str) -> impl Iterator<Item = String> {
    let simple = text
        .nfd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase);
    let mut characters = simple;
    std::iter::from_fn(move || {
        let first = characters.by_ref().find(|c| c.is_alphanumeric())?;
        let mut word = String::from(first);
        let rest = characters.by_ref().take_while(|c| c.is_alphanumeric());
        for (number, character) in rest.enumerate() {
            if number + 1 < LONGEST {
                word.push(character);
            }
        }
        Some(word)
    })
}

/// The lexemes of an owner's text, as the text form of a `TSVECTOR`.
pub(super) fn vector(owner: i64, text: &str) -> String {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut bytes = 0;
    for (number, word) in words(text).enumerate() {
        let place = (number + 1).min(LAST_PLACE);
        let size = match places.get(&word) {
            Some(known) if known.len() == MOST_PLACES || known.last() == Some(&place) => continue,
            Some(_) => BYTES_PER_PLACE,
            None => word.len() + BYTES_PER_WORD + BYTES_PER_PLACE,
        };
        bytes += size;
        if bytes > MOST_BYTES {
            break;
        }
        places.entry(word).or_default().push(place);
    }
    let lexemes = places.into_iter().map(|(word, places)| {
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        format!("'{owner}/{word}':{}", places.join(","))
    });
    lexemes.collect::<Vec<_>>().join(" ")
}

/// A `TSQUERY` for an owner's texts that have all words of the search, or words that begin with them. `None` if
/// the search has no word.
pub(super) fn all(owner: i64, query: &SearchQuery) -> Option<String> {
    let words: Vec<String> = query
        .words()
        .iter()
        .flat_map(|text| {
            let parts: Vec<String> = words(text).collect();
            let last = parts.len().saturating_sub(1);
            parts.into_iter().enumerate().map(move |(number, word)| {
                // A single character begins half of all words: it must stand alone.
                let begins = number == last && word.chars().count() > 1;
                format!("'{owner}/{word}'{}", if begins { ":*" } else { "" })
            })
        })
        .collect();
    (!words.is_empty()).then(|| words.join(" & "))
}

/// A `TSQUERY` for each different word of the search, whole, in an owner's texts.
pub(super) fn each(owner: i64, query: &SearchQuery) -> Vec<String> {
    let mut queries: Vec<String> = query
        .words()
        .iter()
        .flat_map(|text| words(text).collect::<Vec<_>>())
        .map(|word| format!("'{owner}/{word}'"))
        .collect();
    queries.sort_unstable();
    queries.dedup();
    queries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        words(text).collect()
    }

    #[test]
    fn words_are_lower_case_and_without_accents() {
        assert_eq!(of("A crème BRÛLÉE, please"), ["a", "creme", "brulee", "please"]);
        assert_eq!(of("foo-bar_baz 3.14"), ["foo", "bar", "baz", "3", "14"]);
        assert_eq!(of("日本語 кот"), ["日本語", "кот"]);
        assert_eq!(of(" \0'\\:*&|!()<> 🦀"), Vec::<String>::new());
    }

    #[test]
    fn a_long_word_is_cut_and_the_next_one_is_whole() {
        let long = "x".repeat(100);
        assert_eq!(of(&format!("{long} y")), ["x".repeat(LONGEST), "y".to_owned()]);
    }

    #[test]
    fn a_vector_names_the_owner_and_the_places_of_each_word() {
        assert_eq!(vector(7, "the cat, the Cat"), "'7/cat':2,4 '7/the':1,3");
        assert_eq!(vector(7, "..."), "");
    }

    /// What PostgreSQL stores for this vector, at most.
    fn stored_bytes(vector: &str) -> usize {
        let lexemes = vector.split(' ').map(|lexeme| {
            let (word, places) = lexeme.rsplit_once(':').unwrap();
            word.len() + BYTES_PER_PLACE * places.split(',').count()
        });
        lexemes.sum()
    }

    #[test]
    fn the_largest_messages_stay_below_the_largest_vector() {
        let largest = haithe_inference::conversations::MessageText::MOST_BYTES;
        let short = (0u32..).map(|number| format!("{number:x} "));
        // Characters that have more bytes in their simplest form.
        let long = (0u32..).map(|number| format!("{number}{} ", "\u{ac01}".repeat(63)));
        for words in [
            short.take(largest / 4).collect::<String>(),
            long.take(largest / 190).collect::<String>(),
        ] {
            let bytes = stored_bytes(&vector(i64::MAX, &words));
            assert!((100_000..1 << 20).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn no_character_of_a_search_is_an_operator() {
        let query = |text| SearchQuery::of(text).unwrap();
        assert_eq!(
            all(7, &query("a \"b* NEAR(x) scope:o1 -c2")).as_deref(),
            Some("'7/a' & '7/b' & '7/near' & '7/x' & '7/scope' & '7/o1':* & '7/c2':*")
        );
        assert_eq!(all(7, &query("🦀 *")), None);
        assert_eq!(each(7, &query("x OR x")), ["'7/or'", "'7/x'"]);
    }
}
