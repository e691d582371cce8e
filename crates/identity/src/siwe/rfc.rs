//! The borrowed parts of EIP-4361's grammar: RFC 3986 (URI) and RFC 3339 (date and time).

use haithe_kernel::Timestamp;
use std::net::Ipv6Addr;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_sub_delim(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

const fn is_gen_delim(byte: u8) -> bool {
    matches!(byte, b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@')
}

/// `*( allowed / pct-encoded )`
fn encoded(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = if byte == b'%' {
            let mut digit = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
            digit() && digit()
        } else {
            allowed(byte)
        };
        if !fits {
            return false;
        }
    }
    true
}

/// `*( reserved / unreserved / " " )`
pub(super) fn is_statement(text: &str) -> bool {
    text.bytes()
        .all(|byte| is_unreserved(byte) || is_sub_delim(byte) || is_gen_delim(byte) || byte == b' ')
}

/// `*pchar`
pub(super) fn is_pchars(text: &str) -> bool {
    encoded(text, |byte| {
        is_unreserved(byte) || is_sub_delim(byte) || matches!(byte, b':' | b'@')
    })
}

/// `scheme`
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// `authority`, with a host.
pub(super) fn is_authority(text: &str) -> bool {
    let (userinfo, rest) = match text.split_once('@') {
        Some((userinfo, rest)) => (userinfo, rest),
        None => ("", text),
    };
    let name = |byte| is_unreserved(byte) || is_sub_delim(byte);
    if !encoded(userinfo, |byte| name(byte) || byte == b':') {
        return false;
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(literal) => {
            let Some((literal, port)) = literal.split_once(']') else {
                return false;
            };
            if !is_ip_literal(literal) {
                return false;
            }
            (None, port)
        }
        None => {
            let colon = rest.find(':').unwrap_or(rest.len());
            let (host, port) = rest.split_at(colon);
            (Some(host), port)
        }
    };
    let port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    port && host.is_none_or(|host| !host.is_empty() && encoded(host, name))
}

/// What stands between brackets: `IPv6address / IPvFuture`
fn is_ip_literal(text: &str) -> bool {
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let Some((version, address)) = text
        .strip_prefix(['v', 'V'])
        .and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    let hex = |byte: u8| byte.is_ascii_hexdigit();
    let plain = |byte| is_unreserved(byte) || is_sub_delim(byte) || byte == b':';
    !version.is_empty() && version.bytes().all(hex) && !address.is_empty() && address.bytes().all(plain)
}

/// `URI`
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let cut = |text| match str::split_once(text, '#') {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    let (rest, fragment) = cut(rest);
    let (hierarchy, query) = match rest.split_once('?') {
        Some((before, after)) => (before, Some(after)),
        None => (rest, None),
    };
    let path_byte = |byte| is_unreserved(byte) || is_sub_delim(byte) || matches!(byte, b':' | b'@' | b'/');
    let tail =
        |text: Option<&str>| text.is_none_or(|text| encoded(text, |byte| path_byte(byte) || byte == b'?'));
    let hierarchy = match hierarchy.strip_prefix("//") {
        Some(rest) => {
            let slash = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(slash);
            // An empty host is the grammar's own exception: `file:///etc/motd`.
            (authority.is_empty() || is_authority(authority)) && encoded(path, path_byte)
        }
        None => encoded(hierarchy, path_byte),
    };
    is_scheme(scheme) && hierarchy && tail(query) && tail(fragment)
}

/// `date-time`, to the microsecond.
pub(super) fn date_time(text: &str) -> Option<Timestamp> {
    // The grammar's shape first: what a library reads beyond it is not ours to accept.
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => matches!(byte, b'T' | b't'),
        13 | 16 => byte == b':',
        0..19 => byte.is_ascii_digit(),
        _ => matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b':' | b'Z' | b'z'),
    });
    if !shape {
        return None;
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1000))
        .ok()
        .map(Timestamp::from_micros)
}
