//! Names that a route does not take: the refusal, with the nearest name that it takes.

use crate::http::ApiError;
use std::fmt::Write as _;

/// Most characters of a caller's text that a message repeats.
const QUOTED: usize = 64;

/// What was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A query parameter.
    Query,
    /// A field of the JSON body.
    Body,
}

/// A name that a route does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// Where it was given.
    pub origin: Origin,
    /// The name, with the names of the objects around it: `budget.limit`.
    pub name: String,
    /// What is wrong, and which name was probably meant.
    pub message: String,
}

impl UnknownName {
    /// The refusal of `name`, which stands inside `parents`, where only `known` are accepted.
    pub fn new<'a>(
        origin: Origin,
        parents: &[String],
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let path = |name: &str| {
            let parents: String = parents.iter().map(|parent| format!("{parent}.")).collect();
            quoted(&format!("{parents}{name}"))
        };
        let what = match origin {
            Origin::Query => "query parameter",
            Origin::Body => "field",
        };
        let known: Vec<&str> = known.into_iter().collect();
        let mut message = format!("unknown {what} `{}`; ", path(name));
        let remedy = match (nearest(name, &known), known.as_slice()) {
            (Some(near), _) => write!(message, "did you mean `{}`?", path(near)),
            (None, []) => write!(message, "this route takes no {what}s here"),
            (None, known) => write!(message, "known: `{}`", known.join("`, `")),
        };
        // Writing to a string cannot fail.
        let _ = remedy;
        Self {
            origin,
            name: path(name),
            message,
        }
    }
}

impl From<UnknownName> for ApiError {
    fn from(unknown: UnknownName) -> Self {
        let code = match unknown.origin {
            Origin::Query => "unknown_parameter",
            Origin::Body => "unknown_field",
        };
        let mut error = Self::bad_request(code, unknown.message);
        error.param = Some(unknown.name);
        error
    }
}

/// A caller's text, bounded and without what would break a line.
fn quoted(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    let mut shown: String = shown.take(QUOTED).collect();
    if text.chars().count() > QUOTED {
        shown.push('…');
    }
    shown
}

/// The known name that was probably meant.
///
/// One name that begins or ends with the other counts (`project`, `project_id`), and otherwise one that is
/// at most a third of its letters away.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name: String = name.chars().take(QUOTED).flat_map(char::to_lowercase).collect();
    let letters = name.chars().filter(|c| c.is_alphanumeric()).count();
    let scored = known.iter().filter_map(|candidate| {
        let extends =
            |long: &str, short: &str| short.len() >= 3 && (long.starts_with(short) || long.ends_with(short));
        let distance = distance(&name, candidate);
        let near = distance <= (letters / 3).max(1) && distance < letters.max(2);
        let related = extends(candidate, &name) || extends(&name, candidate);
        (near || related).then_some((distance, *candidate))
    });
    scored
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be added, removed, replaced or swapped with their neighbour (the optimal string
/// alignment distance).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, against) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, column) + usize::from(letter != against);
            let added = at(&next, column) + 1;
            let removed = at(&last, column + 1) + 1;
            let mut least = replaced.min(added).min(removed);
            let swapped = row > 0
                && column > 0
                && one.get(row - 1) == Some(against)
                && other.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(at(&before_last, column - 1) + 1);
            }
            next.push(least);
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, known: &[&str]) -> String {
        UnknownName::new(Origin::Body, &[], name, known.iter().copied()).message
    }

    #[test]
    fn names_the_nearest_known_field() {
        let key = [
            "name",
            "org_id",
            "project_id",
            "models",
            "routes",
            "expires_at",
            "budget",
        ];
        for (name, expected) in [
            ("project", "project_id"),
            ("projectId", "project_id"),
            ("porject_id", "project_id"),
            ("organization_id", ""),
            ("model", "models"),
            ("expires", "expires_at"),
            ("expire_at", "expires_at"),
            ("Name", "name"),
            ("nmae", "name"),
            ("zzz", ""),
            ("x", ""),
        ] {
            let message = message(name, &key);
            if expected.is_empty() {
                assert!(message.contains("; known: `name`, `org_id`"), "{message}");
            } else {
                let text = format!("unknown field `{name}`; did you mean `{expected}`?");
                assert_eq!(message, text);
            }
        }
    }

    #[test]
    fn a_nested_name_is_given_with_its_parents() {
        let parents = ["budget".to_owned()];
        let unknown = UnknownName::new(Origin::Body, &parents, "limit", ["limit_usdt", "window"]);
        assert_eq!(unknown.name, "budget.limit");
        assert!(unknown.message.ends_with("did you mean `budget.limit_usdt`?"));
    }

    #[test]
    fn a_route_without_parameters_says_so_and_long_names_are_cut() {
        let unknown = UnknownName::new(Origin::Query, &[], "page", []);
        assert_eq!(
            unknown.message,
            "unknown query parameter `page`; this route takes no query parameters here"
        );
        let long = UnknownName::new(Origin::Query, &[], &"é\n".repeat(100_000), ["a"]);
        assert!(long.message.len() < 300 && !long.message.contains('\n'));
    }

    #[test]
    fn distances_count_additions_removals_replacements_and_swaps() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("page", "offset", 5),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
