//! Names that people read: which ones can deceive, and when two are the same.
//!
//! The rules follow Unicode Technical Standard 39: no invisible characters, no characters that change the
//! direction of text, and no word that mixes scripts, because `pаypal` with a Cyrillic `а` looks like
//! `paypal`. What arrives over the API is refused; what stands on chain, where nobody can refuse it, is
//! flagged.

use std::fmt::Write as _;
use unicode_normalization::UnicodeNormalization;
use unicode_script::{Script, UnicodeScript};

/// Why a name can deceive those who read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// A control character.
    #[error("contains the control character {}; remove it", code_point(.0))]
    Control(char),
    /// A character without a shape of its own.
    #[error("contains the invisible character {}; remove it", code_point(.0))]
    Invisible(char),
    /// A character that changes the direction of the text around it.
    #[error("contains {}, which changes the direction of text; remove it", code_point(.0))]
    Direction(char),
    /// A word with letters of two scripts that are not written together.
    #[error("mixes {} and {} letters in the word `{word}`; use one script", .scripts.0, .scripts.1)]
    MixedScripts {
        /// The word.
        word: String,
        /// Two of its scripts, by name.
        scripts: (&'static str, &'static str),
    },
}

fn code_point(c: &char) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "U+{:04X}", u32::from(*c));
    text
}

/// The first reason for which a name can deceive; `None` for an honest one.
pub fn name_problem(name: &str) -> Option<NameProblem> {
    let mut before = None;
    for c in name.chars() {
        if let Some(problem) = character_problem(c, before) {
            return Some(problem);
        }
        before = Some(c);
    }
    name.split(|c: char| !(c.is_alphanumeric() || is_mark(c)))
        .find_map(word_problem)
}

fn character_problem(c: char, before: Option<char>) -> Option<NameProblem> {
    match c {
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(NameProblem::Direction(c))
        }
        // The emoji presentation of a symbol, such as a red heart.
        '\u{fe0f}' if before.is_some_and(|before| !before.is_alphanumeric() && before > '\u{ff}') => None,
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => Some(NameProblem::Control(c)),
        c if is_invisible(c) => Some(NameProblem::Invisible(c)),
        _ => None,
    }
}

/// Default ignorable code points, blanks that are no spaces, and private and non-characters, for which every
/// reader has another picture or none.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00ad}'
            | '\u{034f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}'
            | '\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
            | '\u{f0000}'..='\u{10ffff}'
    )
}

/// A combining mark belongs to its word.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Letters of these are written together in Chinese, Japanese and Korean, and with Latin letters.
const fn is_east_asian(script: Script) -> bool {
    matches!(
        script,
        Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo
    )
}

fn word_problem(word: &str) -> Option<NameProblem> {
    let mut scripts = word
        .chars()
        .map(|c| c.script())
        .filter(|script| !matches!(script, Script::Common | Script::Inherited | Script::Unknown));
    let first = scripts.next()?;
    let together = |one: Script, other: Script| {
        let allowed = |script| script == Script::Latin || is_east_asian(script);
        one == other || (allowed(one) && allowed(other))
    };
    let other = scripts.find(|script| !together(first, *script))?;
    Some(NameProblem::MixedScripts {
        word: word.chars().take(32).collect(),
        scripts: (first.full_name(), other.full_name()),
    })
}

/// By what names are compared: compatible forms, case and spaces make no difference.
///
/// Two names are the same if their keys are: `Agent`, ` agent ` and `ＡＧＥＮＴ` are one name.
pub fn name_key(name: &str) -> String {
    let folded: String = name
        .nfkc()
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .nfkc()
        .collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn honest_names_of_all_languages_pass() {
        for name in [
            "Acme",
            "Acme 2.0 (beta)",
            "École des chiens",
            "Агент",
            "Acme Москва",
            "Ελλάδα AI",
            "東京タワー",
            "東京Tower",
            "서울 agent",
            "वेब सेवा",
            "שלום",
            "مرحبا",
            "Ligatur: ﬁ",
            "I ❤\u{fe0f} USDT",
            "cafe\u{0301}",
            "https://creator.example/me?x=1&y=%20",
            "",
        ] {
            assert_eq!(name_problem(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_deceive_are_found_with_their_reason() {
        for (name, reason) in [
            ("Ac\u{200b}me", "the invisible character U+200B"),
            ("Acme\u{200d}", "the invisible character U+200D"),
            ("Acme\u{feff}", "the invisible character U+FEFF"),
            ("Acme\u{00ad}", "the invisible character U+00AD"),
            ("Acme\u{fe0f}", "the invisible character U+FE0F"),
            ("\u{3164}", "the invisible character U+3164"),
            ("Acme\u{e0041}", "the invisible character U+E0041"),
            ("\u{202e}emcA", "U+202E, which changes the direction"),
            ("a\u{2066}b\u{2069}", "U+2066, which changes the direction"),
            ("Acme\n", "the control character U+000A"),
            ("Acme\u{2028}", "the control character U+2028"),
            ("p\u{0430}ypal", "mixes Latin and Cyrillic letters in the word"),
            ("the p\u{0430}ypal shop", "in the word `p\u{0430}ypal`"),
            ("\u{0391}cme", "mixes Greek and Latin"),
            ("https://p\u{0430}ypal.example", "mixes Latin and Cyrillic"),
            ("東京\u{0430}", "mixes Han and Cyrillic"),
        ] {
            let problem = name_problem(name).map(|problem| problem.to_string());
            assert!(
                problem.as_ref().is_some_and(|problem| problem.contains(reason)),
                "{name:?}: {problem:?}"
            );
        }
    }

    #[test]
    fn names_that_look_alike_have_one_key() {
        for name in [
            "agent 7",
            "Agent 7",
            " AGENT\u{a0} 7",
            "ＡＧＥＮＴ　７",
            "agent\t7",
        ] {
            assert_eq!(name_key(name), "agent 7", "{name:?}");
        }
        assert_eq!(name_key("École"), name_key("e\u{0301}cole"));
        assert_ne!(name_key("agent"), name_key("agents"));
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key_and_nothing_panics(name in "\\PC{0,40}") {
            let _ = name_problem(&name);
            let key = name_key(&name);
            prop_assert_eq!(name_key(&key), key.clone());
        }
    }
}
