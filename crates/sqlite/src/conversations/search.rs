//! Words as FTS5 wants them: quoted, so that no character of theirs means anything.

use haithe_inference::conversations::SearchQuery;

/// What is searched in, as a word of the column `scope`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope {
    /// Everything of an owner.
    Owner(i64),
    /// One conversation.
    Conversation(i64),
}

impl Scope {
    fn word(self) -> String {
        match self {
            Self::Owner(id) => format!("o{id}"),
            Self::Conversation(id) => format!("c{id}"),
        }
    }
}

/// All words in `column`, or words that begin with them.
pub(super) fn all_words(column: &str, scope: Scope, query: &SearchQuery) -> String {
    let begins = |word: &String| {
        // A single character begins half of all words: it must stand alone.
        let star = if word.chars().count() > 1 { "*" } else { "" };
        format!("{}{star}", quoted(word))
    };
    let words: Vec<String> = query.words().iter().map(begins).collect();
    within(column, scope, &words.join(" "))
}

/// Any of the words in `column`, whole.
pub(super) fn any_word(column: &str, scope: Scope, query: &SearchQuery) -> String {
    let words: Vec<String> = query.words().iter().map(|word| quoted(word)).collect();
    within(column, scope, &words.join(" OR "))
}

fn within(column: &str, scope: Scope, words: &str) -> String {
    format!("scope : \"{}\" AND {column} : ({words})", scope.word())
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_word_leaves_its_quotes() {
        let query = SearchQuery::of("a \"b* NEAR(x) scope:o1 -c").unwrap();
        assert_eq!(
            all_words("message", Scope::Owner(7), &query),
            "scope : \"o7\" AND message : (\"a\" \"\"\"b*\"* \"NEAR(x)\"* \"scope:o1\"* \"-c\"*)"
        );
        assert_eq!(
            any_word(
                "message",
                Scope::Conversation(7),
                &SearchQuery::of("x OR").unwrap()
            ),
            "scope : \"c7\" AND message : (\"x\" OR \"OR\")"
        );
    }
}
