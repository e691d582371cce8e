//! What is searched for: words, and never a store's own query language.

use super::ConversationError;

/// Words to search for. A store must take them as words, whatever characters they contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery(Vec<String>);

impl SearchQuery {
    /// Longest search that somebody types, in characters.
    pub const MOST_CHARS: usize = 256;
    /// Words that count; further ones are ignored.
    pub const MOST_WORDS: usize = 16;

    /// A search somebody typed. `None` when there is no word in it.
    ///
    /// # Errors
    /// [`ConversationError::Search`] when it is longer than [`Self::MOST_CHARS`].
    pub fn of_all(text: &str) -> Result<Option<Self>, ConversationError> {
        if text.chars().count() > Self::MOST_CHARS {
            return Err(ConversationError::Search);
        }
        Ok(Self::of(text))
    }

    /// The words of a text of any length, such as a question whose memories are looked for: its first
    /// [`Self::MOST_WORDS`] different ones. `None` when there is no word in it.
    pub fn of(text: &str) -> Option<Self> {
        let mut words = Vec::new();
        let between = |c: char| c.is_whitespace() || c.is_control();
        for word in text.split(between).filter(|word| !word.is_empty()) {
            if words.len() == Self::MOST_WORDS {
                break;
            }
            let word: String = word.chars().take(Self::MOST_CHARS).collect();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        (!words.is_empty()).then_some(Self(words))
    }

    /// The words: at least one, none empty, none with white space or control characters.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_search_is_its_different_words() {
        let query = SearchQuery::of_all("  the\tcat \0 the \"hat\" ")
            .unwrap()
            .unwrap();
        assert_eq!(query.words(), ["the", "cat", "\"hat\""]);
        assert_eq!(SearchQuery::of_all(" \n ").unwrap(), None);
        assert!(SearchQuery::of_all(&"x".repeat(257)).is_err());
        let many: String = (0..100).map(|word| format!("w{word} ")).collect();
        assert_eq!(
            SearchQuery::of(&many).unwrap().words().len(),
            SearchQuery::MOST_WORDS
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_promises_about_words(text in any::<String>()) {
            if let Some(query) = SearchQuery::of(&text) {
                prop_assert!((1..=SearchQuery::MOST_WORDS).contains(&query.words().len()));
                for word in query.words() {
                    prop_assert!(!word.is_empty());
                    prop_assert!(!word.chars().any(|c| c.is_whitespace() || c.is_control()));
                }
            }
        }
    }
}
