//! The content of a `knowledge:url` product: one address, or a JSON array of addresses.

use super::Format;
use haithe_kernel::Fetched;
use url::Url;

/// Most addresses of one product.
pub const MOST_ADDRESSES: usize = 20;
/// Longest address, in bytes.
const ADDRESS_BYTES: usize = 2_048;

/// A list of addresses that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the content must be an http or https address of at most {ADDRESS_BYTES} bytes, or a JSON array of 1 to {MOST_ADDRESSES} such addresses"
)]
pub struct AddressesError;

/// Reads the list; each address once. Whether an address may be called is the `Fetcher`'s to say.
///
/// # Errors
/// [`AddressesError`].
pub fn parse(content: &[u8]) -> Result<Vec<Url>, AddressesError> {
    let text = std::str::from_utf8(content).map_err(|_| AddressesError)?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let written: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text).map_err(|_| AddressesError)?
    } else {
        vec![text.to_owned()]
    };
    if written.is_empty() || written.len() > MOST_ADDRESSES {
        return Err(AddressesError);
    }
    let mut addresses = Vec::with_capacity(written.len());
    for address in &written {
        let address = address.trim();
        if address.len() > ADDRESS_BYTES || address.chars().any(char::is_control) {
            return Err(AddressesError);
        }
        let url = Url::parse(address).map_err(|_| AddressesError)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressesError);
        }
        if !addresses.contains(&url) {
            addresses.push(url);
        }
    }
    Ok(addresses)
}

/// How an answer is to be read, by its type or, when it says none, by how it begins. `None` when it
/// is nothing that has text.
pub fn format_of(answer: &Fetched) -> Option<Format> {
    let stated = answer
        .headers
        .iter()
        .find(|(name, _)| name == "content-type")
        .map(|(_, value)| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        })
        .filter(|stated| !stated.is_empty() && stated != "application/octet-stream");
    match stated.as_deref() {
        Some("text/html" | "application/xhtml+xml") => Some(Format::Html),
        Some("application/pdf") => Some(Format::Pdf),
        Some("text/csv" | "text/tab-separated-values") => Some(Format::Csv),
        Some("application/json" | "application/xml") => Some(Format::Text),
        Some(stated) => stated.starts_with("text/").then_some(Format::Text),
        None if answer.body.starts_with(b"%PDF-") => Some(Format::Pdf),
        None if answer.body.trim_ascii_start().starts_with(b"<") => Some(Format::Html),
        None if answer.body.contains(&0) => None,
        None => Some(Format::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(content: &str) -> Result<Vec<String>, AddressesError> {
        parse(content.as_bytes()).map(|urls| urls.iter().map(Url::to_string).collect())
    }

    fn answer(content_type: Option<&str>, body: &[u8]) -> Fetched {
        Fetched {
            status: 200,
            headers: content_type
                .map(|value| ("content-type".to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            body: body.to_vec(),
            url: String::new(),
        }
    }

    #[test]
    fn one_address_or_an_array_of_them() {
        assert_eq!(
            written(" https://example.com/a\n").unwrap(),
            ["https://example.com/a"]
        );
        assert_eq!(
            written(r#"["https://example.com/a", "http://example.org/b", "https://example.com/a"]"#).unwrap(),
            ["https://example.com/a", "http://example.org/b"]
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let many = format!(
            "[{}]",
            vec![r#""https://example.com""#; MOST_ADDRESSES + 1].join(",")
        );
        let long = format!("https://example.com/{}", "a".repeat(ADDRESS_BYTES));
        for content in [
            "",
            "[]",
            "[1]",
            "{}",
            "example.com",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://a.example\nhttps://b.example",
            r#"["https://a.example", "ftp://b.example"]"#,
            &many,
            &long,
        ] {
            assert_eq!(written(content), Err(AddressesError), "{content:.40}");
        }
        assert_eq!(parse(&[0xff, 0xfe]), Err(AddressesError));
    }

    #[test]
    fn an_answer_is_read_as_what_it_says_or_looks_like() {
        for (stated, body, expected) in [
            (Some("text/html; charset=utf-8"), &b"x"[..], Some(Format::Html)),
            (Some("Application/PDF"), b"x", Some(Format::Pdf)),
            (Some("text/csv"), b"x", Some(Format::Csv)),
            (Some("text/markdown"), b"x", Some(Format::Text)),
            (Some("image/png"), b"x", None),
            (Some("application/octet-stream"), b"%PDF-1.7", Some(Format::Pdf)),
            (None, b" \n<!doctype html>", Some(Format::Html)),
            (None, b"plain", Some(Format::Text)),
            (None, b"\x7fELF\0", None),
        ] {
            assert_eq!(format_of(&answer(stated, body)), expected, "{stated:?}");
        }
    }

    proptest! {
        #[test]
        fn no_content_panics(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(urls) = parse(&content) {
                prop_assert!((1..=MOST_ADDRESSES).contains(&urls.len()));
            }
        }
    }
}
