//! Words that look like credentials, in texts of others that are shown or logged.
//!
//! A provider may repeat the key it was sent, or a caller's own, in what it says about an error.

use std::ops::Range;

/// How keys of well-known services, and JSON Web Tokens, begin.
const BEGINNINGS: [&str; 8] = ["sk-", "sk_", "rk_", "AIza", "gsk_", "xai-", "eyJ", "whsec_"];
/// Shorter words are examples, such as `sk-...`.
const SHORTEST: usize = 12;
/// What follows this word is a credential, whatever it looks like.
const SCHEME: &str = "bearer";
const MASK: &str = "[concealed]";

/// Masks every word that looks like a credential.
pub fn conceal(text: &mut String) {
    let found = credentials(text);
    for word in found.into_iter().rev() {
        text.replace_range(word, MASK);
    }
}

fn credentials(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut after_scheme = false;
    for word in words(text) {
        let content = text.get(word.clone()).unwrap_or_default();
        let known = BEGINNINGS.iter().any(|beginning| content.starts_with(beginning));
        if after_scheme || (known && content.len() >= SHORTEST) {
            found.push(word);
        }
        after_scheme = content.eq_ignore_ascii_case(SCHEME);
    }
    found
}

/// Runs of the characters that credentials are made of (RFC 6750's `b68token`, without what also
/// joins a name and a value).
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.~+".contains(c);
    text.split(move |c| !inside(c))
        .filter(|word| !word.is_empty())
        .map(move |word| {
            let start = word.as_ptr().addr() - text.as_ptr().addr();
            start..start + word.len()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn concealed(text: &str) -> String {
        let mut text = text.to_owned();
        conceal(&mut text);
        text
    }

    #[test]
    fn what_looks_like_a_credential_is_masked_and_nothing_else() {
        for (text, shown) in [
            (
                "Incorrect API key provided: sk-abcdefghijklmnop.",
                "Incorrect API key provided: [concealed]",
            ),
            ("key=AIzaSyA1234567890, retry", "key=[concealed], retry"),
            (
                "Authorization: Bearer hunter2!",
                "Authorization: Bearer [concealed]!",
            ),
            ("\"eyJhbGciOiJIUzI1NiJ9.eyJz.c2ln\"", "\"[concealed]\""),
            (
                "ä sk-0123456789ab ö sk-0123456789ab",
                "ä [concealed] ö [concealed]",
            ),
            ("set OPENAI_API_KEY to sk-...", "set OPENAI_API_KEY to sk-..."),
            ("the desk-lamp-of-somebody", "the desk-lamp-of-somebody"),
            (
                "max_tokens is too large: 999999",
                "max_tokens is too large: 999999",
            ),
            ("bearer", "bearer"),
            ("", ""),
        ] {
            assert_eq!(concealed(text), shown);
        }
    }

    proptest! {
        #[test]
        fn no_key_survives_wherever_it_stands(
            before in "\\PC{0,20}[ :\"'=(,]", key in "(sk-|eyJ|AIza)[A-Za-z0-9_-]{12,60}", after in "[ ,\"')]\\PC{0,20}",
        ) {
            let text = format!("{before}{key}{after}");
            prop_assert!(!concealed(&text).contains(&key));
        }
    }
}
